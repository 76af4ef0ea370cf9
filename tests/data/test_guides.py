"""Edges are thin lines where the image has contours, and nowhere else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.data import eval_images, guides, open_source

edges = jax.jit(guides.edges)  # eager, each operation compiles on its own


@pytest.fixture(scope="module")
def photos():
    pairs = eval_images(open_source("photos"), 64, 3)
    return np.stack([image for _, image in pairs]).astype(np.float32) / 127.5 - 1


def test_a_step_becomes_one_line_of_one_pixel():
    image = np.full((1, 40, 40, 3), -0.5, np.float32)
    image[:, :, 15:] = 0.5
    line = np.asarray(edges(image))
    assert line.shape == (1, 40, 40, 1)
    np.testing.assert_array_equal(line.sum(axis=2), 1)
    assert set(np.nonzero(line)[2]) <= {14, 15}


def test_a_square_is_outlined():
    image = np.full((1, 40, 40, 3), -0.8, np.float32)
    image[:, 10:30, 10:30] = 0.8
    line = np.asarray(edges(image))[0, ..., 0]
    assert line[13:27, 8:12].max(axis=1).all() and line[13:27, 28:32].max(axis=1).all()
    assert line[8:12, 13:27].max(axis=0).all() and line[28:32, 13:27].max(axis=0).all()
    assert not line[14:26, 14:26].any() and not line[:7].any()


def test_a_slanting_edge_is_an_unbroken_line_one_pixel_thin():
    row, column = np.mgrid[:40, :40]
    for side in (row - column, row + column - 39):
        image = np.where(side > 0, 0.8, -0.8)[None, ..., None]
        line = np.asarray(edges(np.repeat(image, 3, -1).astype(np.float32)))[0, ..., 0]
        inner = line[6:-6]
        assert inner.max(axis=1).all() and (inner.sum(axis=1) <= 2).all()


def test_a_strong_line_is_followed_a_few_pixels_into_its_faint_end():
    height = np.interp(np.arange(40), (10, 30), (0.9, 0.2))  # of the step, by row
    image = np.zeros((1, 40, 40, 3), np.float32)
    image[:, :, :10] = -height[:, None, None]
    image[:, :, 30:] = 0.2  # as faint, far from any strong line
    strong = np.asarray(guides.edges(image, weak=1.6))[0, ..., 0]
    followed = np.asarray(edges(image))[0, ..., 0]
    assert not strong[:, 25:].any() and not followed[:, 25:].any()
    assert followed.sum() == strong.sum() + 6


def test_flat_and_faintly_noisy_images_have_no_lines(key):
    flat = jnp.full((1, 40, 40, 3), 0.3)
    assert not edges(flat).any()
    assert not edges(flat + 0.01 * jax.random.normal(key, flat.shape)).any()


def test_photographs_give_sparse_zeros_and_ones(photos):
    lines = np.asarray(edges(photos))
    assert lines.dtype == np.float32 and set(np.unique(lines)) == {0, 1}
    share = lines.mean(axis=(1, 2, 3))
    assert (share > 0.01).all() and (share < 0.15).all()


def test_lines_are_thin(photos):
    lines = np.asarray(edges(photos))[..., 0]
    blocks = (
        lines[:, :-2, :-2] + lines[:, 2:, 2:] + lines[:, :-2, 2:] + lines[:, 2:, :-2]
    )
    solid = (blocks == 4) & (lines[:, 1:-1, 1:-1] == 1)
    assert solid.mean() < 0.002


def test_transposing_the_image_transposes_the_lines(photos):
    turned = edges(photos.swapaxes(1, 2)).swapaxes(1, 2)
    assert (turned != edges(photos)).mean() < 1e-3  # ties of equal slopes


def test_images_of_a_batch_do_not_touch_each_other(photos):
    others = photos.copy()
    others[1:] = photos[0]
    np.testing.assert_array_equal(edges(photos)[0], edges(others)[0])


def test_jitted_equals_eager_and_types_do_not_mix(photos):
    with jax.numpy_dtype_promotion("strict"):
        jitted = edges(photos)
    # rounding may tip a slope over its threshold
    assert (jitted != guides.edges(photos)).mean() < 1e-3


def test_no_gradient_passes(photos):
    gradient = jax.grad(lambda x: (edges(x) * x[..., :1]).sum())(photos)
    np.testing.assert_array_equal(gradient[..., :1], edges(photos))


def test_wrong_input_is_refused(photos):
    with pytest.raises(ValueError, match=r"\[B, H, W, 1\|3\]"):
        guides.edges(photos[0])
    with pytest.raises(ValueError, match="sigma"):
        guides.edges(photos, sigma=0)
