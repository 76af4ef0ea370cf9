"""Nearest-neighbour fields: exact search against loops, PatchMatch against exact."""

import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.methods.patchmatch import nearest_neighbour_field


def _noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(height, width, 3)).astype(np.float32)


def _naive(source, target, patch):
    """Least sums of squared differences by a double loop."""
    count_y, count_x = target.shape[0] - patch + 1, target.shape[1] - patch + 1
    windows = np.lib.stride_tricks.sliding_window_view(
        source, (patch, patch), axis=(0, 1)
    ).transpose(0, 1, 3, 4, 2)
    least = np.empty((count_y, count_x))
    for y in range(count_y):
        for x in range(count_x):
            difference = windows - target[y : y + patch, x : x + patch]
            least[y, x] = (difference**2).sum(axis=(2, 3, 4)).min()
    return least


def test_the_exact_field_equals_a_double_loop_and_bounds_patchmatch(key):
    source, target = _noise(24, 24), _noise(24, 24, seed=1)
    _, exact = nearest_neighbour_field(key, source, target, dims=None)
    expected = _naive(source, target, 7)
    np.testing.assert_allclose(exact, expected, rtol=1e-4)
    before = np.inf
    for passes in (1, 2, 4):
        _, found = nearest_neighbour_field(
            key, source, target, dims=None, exact=False, passes=passes
        )
        assert (np.asarray(found) >= expected - 1e-3).all()
        assert (np.asarray(found) <= before).all(), "a distance rose"
        before = np.asarray(found) + 1e-4


def test_a_picture_matches_itself_at_distance_zero(key):
    image = _noise(24, 24)
    offsets, distances = nearest_neighbour_field(key, image, image, dims=None)
    np.testing.assert_array_equal(offsets, 0)
    np.testing.assert_array_equal(distances, 0)


def test_few_correct_entries_spread_over_the_field(key):
    image = _noise(48, 48)
    rng = np.random.default_rng(0)
    wrong = rng.integers(-40, 40, (42, 42, 2))
    correct = rng.uniform(size=(42, 42, 1)) < 0.05
    offsets, _ = nearest_neighbour_field(
        key, image, image, exact=False, passes=5, init=jnp.where(correct, 0, wrong)
    )
    assert (np.asarray(offsets) == 0).all(axis=-1).mean() >= 0.99


def test_a_shifted_picture_is_found_at_its_shift(key):
    image = _noise(60, 64)
    # target[y, x] = source[y + 5, x - 9]
    source, target = image[:48, 9:], image[5:53, :55]
    offsets, distances = nearest_neighbour_field(key, source, target)
    inside = np.asarray(offsets)[:37, 9:]
    assert (inside == [5, -9]).all()
    np.testing.assert_array_equal(np.asarray(distances)[:37, 9:], 0)


@pytest.mark.parametrize("exact", [True, False])
def test_only_valid_pixels_are_used(key, exact):
    image = _noise(24, 24)
    valid = np.ones((24, 24), bool)
    valid[8:16, 8:16] = False
    offsets, _ = nearest_neighbour_field(key, image, image, valid=valid, exact=exact)
    y, x = np.mgrid[:18, :18]
    windows = np.lib.stride_tricks.sliding_window_view(valid, (7, 7)).all(axis=(2, 3))
    found = windows[y + np.asarray(offsets)[..., 0], x + np.asarray(offsets)[..., 1]]
    assert found.all()
    offsets, distances = nearest_neighbour_field(
        key, image, image, valid=np.zeros_like(valid)
    )
    assert (np.asarray(offsets) == 0).all() and np.isinf(distances).all()


def test_bad_shapes_are_refused(key):
    image = _noise(24, 24)
    with pytest.raises(ValueError, match="patch must be odd"):
        nearest_neighbour_field(key, image, image, patch=4)
    with pytest.raises(ValueError, match="source must be"):
        nearest_neighbour_field(key, image[:5], image)
    with pytest.raises(ValueError, match="channels"):
        nearest_neighbour_field(key, image, image[..., :1])
    with pytest.raises(ValueError, match="valid must be"):
        nearest_neighbour_field(key, image, image, valid=np.ones((3, 3), bool))
    with pytest.raises(ValueError, match="init must be"):
        nearest_neighbour_field(key, image, image, init=np.zeros((3, 3, 2), int))
