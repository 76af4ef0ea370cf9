"""Views are windows of the image, and whatever belongs to it is cut alike."""

import numpy as np
import pytest

from inpainting_jax.data import preprocess


def coordinates(height, width):
    """An image whose pixel values tell where they came from."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)


@pytest.mark.parametrize("height,width", [(40, 60), (60, 40), (7, 7), (1, 30)])
@pytest.mark.parametrize("min_scale", [1.0, 0.3])
def test_windows_are_squares_inside_the_image(height, width, min_scale):
    rng = np.random.default_rng(0)
    sides = set()
    for _ in range(200):
        window = preprocess.random_window(rng, height, width, min_scale=min_scale)
        assert window.width == window.height
        assert 0 <= window.left <= width - window.width
        assert 0 <= window.top <= height - window.height
        sides.add(window.width)
    short = min(height, width)
    assert max(sides) == short
    assert min(sides) >= max(1, round(min_scale * short))
    assert (len(sides) == 1) == (min_scale == 1 or short == 1)


def test_windows_reach_every_place_and_mirror_half_the_time():
    rng = np.random.default_rng(0)
    windows = [preprocess.random_window(rng, 4, 7) for _ in range(400)]
    assert {w.left for w in windows} == {0, 1, 2, 3}
    assert 150 < sum(w.mirror for w in windows) < 250
    still = [preprocess.random_window(rng, 4, 7, flip=False) for _ in range(50)]
    assert not any(w.mirror for w in still)


def test_a_view_of_its_own_size_keeps_the_pixels():
    image = coordinates(20, 30)
    window = preprocess.Window(5, 3, 8, 8, mirror=False)
    np.testing.assert_array_equal(preprocess.view(image, window, 8), image[3:11, 5:13])
    mirrored = preprocess.view(image, window._replace(mirror=True), 8)
    np.testing.assert_array_equal(mirrored, image[3:11, 12:4:-1])


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    view = preprocess.view(stripes, preprocess.centre_window(64, 64), 8)
    np.testing.assert_allclose(view, 127.5, atol=4)


def test_resize_squashes_the_whole_image():
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, 20:] = 200
    window = preprocess.centre_window(10, 40, fit="resize")
    view = preprocess.view(image, window, 20)
    assert view.shape == (20, 20, 3)
    assert view[:, :8].max() == 0 and view[:, 12:].min() == 200


def test_the_centre_window_is_the_largest_centred_square():
    assert preprocess.centre_window(10, 20) == (5, 0, 10, 10, False)
    assert preprocess.centre_window(9, 4) == (0, 2, 4, 4, False)


def test_label_maps_are_cut_with_their_image_and_keep_their_classes():
    rng = np.random.default_rng(1)
    classes = rng.choice([0, 7, 200], (5, 8)).astype(np.uint8)
    label_map = np.kron(classes, np.ones((8, 8), np.uint8))
    sample = {
        "image": np.stack([label_map] * 3, -1),
        "label_map": label_map,
        "name": "a",
    }
    for _ in range(20):
        view = preprocess.train_view(
            sample, rng, image_size=40, min_scale=0.5, guide="labels"
        )
        assert view["guide"].shape == (40, 40, 1) and view["guide"].dtype == np.uint8
        assert set(np.unique(view["guide"])) <= {0, 7, 200}
        close = np.abs(view["image"][..., :1].astype(int) - view["guide"]) < 30
        assert close.mean() > 0.75  # all but the blurred borders of the classes


def test_the_view_follows_from_the_generator():
    sample = {"image": coordinates(50, 70), "name": "a"}
    views = [
        preprocess.train_view(sample, np.random.default_rng(s), image_size=16)["image"]
        for s in (3, 3, 4)
    ]
    np.testing.assert_array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_wrong_options_say_what_is_right():
    with pytest.raises(ValueError, match=r"unknown fit 'cover'.*crop, resize"):
        preprocess.check_fit("cover", 1.0)
    with pytest.raises(ValueError, match=r"min_scale.*1\.5"):
        preprocess.check_fit("crop", 1.5)
    sample = {"image": coordinates(8, 8), "name": "rose.png"}
    with pytest.raises(ValueError, match=r"rose\.png has no label map.*--labels"):
        preprocess.train_view(
            sample, np.random.default_rng(0), image_size=8, guide="labels"
        )
