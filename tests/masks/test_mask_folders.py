"""Mask files: drawn, shuffled, paired, bounded."""

import pickle

import numpy as np
import pytest
from PIL import Image

from inpainting_jax import masks
from inpainting_jax.masks import folders


@pytest.fixture
def folder(tmp_path):
    """Eight 20x30 masks: the first k + 1 columns of file k are hole."""
    (tmp_path / "deep").mkdir()
    for k in range(8):
        mask = np.zeros((20, 30), np.uint8)
        mask[:, : k + 1] = 255
        place = tmp_path / "deep" if k == 7 else tmp_path
        Image.fromarray(mask).save(place / f"m{k}.png")
    return tmp_path


def test_files_are_found_in_order_and_read_as_holes(folder):
    found = masks.files(folder)
    assert len(found) == 8
    assert found.names[0] == "deep/m7.png"
    assert found[1].shape == (20, 30)
    assert found[1].mean() == pytest.approx(1 / 30)
    assert len(masks.files(folder / "m3.png")) == 1
    black = masks.files(folder, convention="black_hole")
    assert black[1].mean() == pytest.approx(29 / 30)


def test_resizing_takes_the_nearest_pixel():
    mask = np.arange(4)[None].repeat(2, 0)
    np.testing.assert_array_equal(
        folders.resize(mask, 1, 8)[0], [0, 0, 1, 1, 2, 2, 3, 3]
    )
    np.testing.assert_array_equal(folders.resize(mask, 2, 2)[0], [1, 3])
    np.testing.assert_array_equal(folders.resize(mask.T, 2, 2)[:, 0], [1, 3])


def test_drawn_masks_keep_to_the_bounds(folder):
    found = masks.host_sampler(f"files:{folder}@0.1-0.2")
    rng = np.random.default_rng(0)
    drawn = np.stack([found.draw(rng, 20, 30) for _ in range(40)])
    assert drawn.shape == (40, 20, 30, 1)
    assert drawn.dtype == np.uint8
    assert set(np.round(drawn.mean((1, 2, 3)) * 30)) == {4, 5, 6}
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(
        again.draw(np.random.default_rng(5), 8, 8),
        found.draw(np.random.default_rng(5), 8, 8),
    )


def test_flips_mirror_masks(folder):
    found = masks.files(folder / "m0.png", flip=True)
    rng = np.random.default_rng(0)
    drawn = {found.draw(rng, 20, 30).tobytes() for _ in range(20)}
    assert len(drawn) == 2  # a column at the left or at the right


def test_shuffled_masks_come_all_before_any_twice(folder):
    drawn, _ = masks.fixed_set(f"files:{folder}", 3, 16, 20, 30)
    first = sorted(np.round(drawn[:8].mean((1, 2)) * 30))
    assert first == list(range(1, 9))
    assert sorted(np.round(drawn[8:].mean((1, 2)) * 30)) == first


def test_pairs_are_found_by_path_or_stem(folder):
    found = masks.files(folder)
    assert found.paired("somewhere/m3.jpg").mean() == pytest.approx(4 / 30)
    assert found.paired("deep/m7.webp", 10, 15).shape == (10, 15, 1)
    names = ["b/m2.jpg", "m5"]
    drawn, _ = masks.fixed_set(f"paired:{folder}", 0, 2, 20, 30, names=names)
    np.testing.assert_allclose(drawn.mean((1, 2)) * 30, [3, 6])
    with pytest.raises(ValueError, match="no mask fits the image 'm9'"):
        found.paired("m9")
    with pytest.raises(ValueError, match="belong to named images"):
        masks.fixed_set(f"paired:{folder}", 0, 1, 20, 30)


def test_files_and_generators_mix_on_the_host(folder):
    mixed = masks.host_sampler(f"files:{folder}/m0.png+half(side=right)")
    drawn = mixed.draw(np.random.default_rng(0), 20, 30)
    assert drawn[:, 15:].all()
    assert drawn[:, 0].all()
    assert not drawn[:, 1:15].any()


def test_buckets_are_half_open_and_the_border_is_a_tenth():
    mask = np.zeros((10, 10))
    mask[0] = 1
    assert masks.hole_bucket(mask) == "0.01-0.1"
    mask[1, 0] = 1
    assert masks.hole_bucket(mask) == "0.1-0.2"
    assert masks.hole_bucket(np.ones((4, 4))) == masks.OTHER
    assert masks.hole_bucket(np.zeros((4, 4))) == masks.OTHER
    wide = np.zeros((512, 512, 1))
    wide[50:462, 50:462] = 1
    assert not masks.touches_border(wide)
    wide[49, 100] = 1
    assert masks.touches_border(wide)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("files:{}/nowhere", "no mask file or folder"),
        ("files:{}@0.9-1.0", "convention"),
        ("files:{}?colour=red", "it takes convention, border, flip"),
        ("files:{}?border=left", "any, touching or inside"),
    ],
)
def test_a_folder_without_fitting_masks_says_so(folder, spec, message):
    with pytest.raises(ValueError, match=message):
        masks.fixed_set(spec.format(folder), 0, 2, 20, 30)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="no mask file in"):
        masks.files(tmp_path)
