import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import (
    hole_boxes,
    hole_corners,
    random_corners,
    take_windows,
    zoom_in,
    zoom_out,
)


def _mask(*boxes, side=16):
    mask = np.zeros((len(boxes), side, side, 1), np.float32)
    for i, (top, left, height, width) in enumerate(boxes):
        mask[i, top : top + height, left : left + width] = 1
    return jnp.asarray(mask)


def test_boxes_bound_the_holes():
    boxes = [(3, 5, 4, 2), (0, 0, 16, 1), (15, 15, 1, 1)]
    np.testing.assert_array_equal(hole_boxes(_mask(*boxes)), boxes)


def test_no_hole_has_the_box_of_the_image():
    np.testing.assert_array_equal(hole_boxes(_mask((0, 0, 0, 0))), [[0, 0, 16, 16]])


def test_windows_are_centred_and_stay_inside():
    corners = hole_corners(_mask((6, 4, 4, 4), (0, 14, 2, 2)), 8)
    np.testing.assert_array_equal(corners, [[4, 2], [0, 8]])


def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="17 x 17 does not fit images of 16"):
        hole_corners(_mask((0, 0, 4, 4)), 17)


def test_random_corners_reach_every_place(key):
    corners = random_corners(jax.random.split(key, 400), jnp.zeros((400, 6, 5, 3)), 4)
    assert {tuple(c) for c in np.asarray(corners).tolist()} == {
        (row, column) for row in range(3) for column in range(2)
    }


def test_windows_equal_slices(rng):
    image = jnp.asarray(rng.normal(size=(2, 9, 7, 3)).astype(np.float32))
    windows = take_windows(image, jnp.array([[1, 2], [5, 0]]), 4)
    np.testing.assert_array_equal(windows[0], image[0, 1:5, 2:6])
    np.testing.assert_array_equal(windows[1], image[1, 5:9, 0:4])


def test_zoom_by_one_is_exact_both_ways(rng):
    image = jnp.asarray(rng.normal(size=(1, 9, 7, 3)).astype(np.float32))
    box = jnp.array([[2.0, 1.0, 4.0]])
    window = jax.jit(zoom_in, static_argnums=2)(image, box, 4)
    np.testing.assert_array_equal(window, image[:, 2:6, 1:5])
    back = zoom_out(window, box, 9, 7)
    expected = np.zeros((1, 9, 7, 3), np.float32)
    expected[:, 2:6, 1:5] = image[:, 2:6, 1:5]
    np.testing.assert_array_equal(back, expected)


def test_zoom_by_two_averages_and_interpolates(rng):
    image = jnp.asarray(np.arange(8, dtype=np.float32)[None, :, None, None])
    image = jnp.broadcast_to(image, (1, 8, 8, 1))
    small = zoom_in(image, jnp.array([[0.0, 0.0, 8.0]]), 4)
    # Inside, a triangle over four rows keeps a ramp; at the edge it is cut off.
    np.testing.assert_allclose(small[0, 1:3, 0, 0], [2.5, 4.5], atol=1e-6)
    large = zoom_out(small, jnp.array([[0.0, 0.0, 8.0]]), 8, 8)
    np.testing.assert_allclose(large[0, 3:5, 0, 0], [3.0, 4.0], atol=1e-6)


def test_zoom_repeats_the_edge_outside(rng):
    image = jnp.asarray(rng.normal(size=(1, 4, 4, 2)).astype(np.float32))
    window = zoom_in(image, jnp.array([[-2.0, 0.0, 4.0]]), 4)
    expected = image[:, jnp.array([0, 0, 0, 1])]
    np.testing.assert_allclose(window, expected, atol=1e-6)
    back = zoom_out(window, jnp.array([[-2.0, 0.0, 4.0]]), 4, 4)
    np.testing.assert_allclose(back[:, :2], image[:, :2], atol=1e-6)
    assert (back[:, 2:] == 0).all()
