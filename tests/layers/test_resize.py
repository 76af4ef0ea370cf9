import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import (
    resize_area,
    resize_bilinear,
    resize_nearest,
    upsample_nearest,
)
from inpainting_jax.layers.resize import nearest_indices


def test_align_corners_picks_the_rows_that_tensorflow_picks(golden):
    tables = golden("losses_tf_original")
    names = [name for name in tables.files if name.startswith("nearest_align_corners")]
    assert names
    for name in names:
        old, new = map(int, name.split("/")[1].split("to"))
        np.testing.assert_array_equal(
            nearest_indices(old, new, "align_corners"), tables[name]
        )


def test_halving_64_rows_shifts_by_one_in_the_middle():
    indices = nearest_indices(64, 32, "align_corners")
    np.testing.assert_array_equal(indices[:16], np.arange(0, 32, 2))
    np.testing.assert_array_equal(indices[16:], np.arange(33, 64, 2))


def test_floor_rule_takes_the_top_left_pixel_of_each_block(rng):
    features = rng.normal(size=(2, 12, 8, 3)).astype(np.float32)
    reduced = resize_nearest(jnp.asarray(features), 3, 4, rule="floor")
    np.testing.assert_array_equal(reduced, features[:, ::4, ::2])
    np.testing.assert_array_equal(nearest_indices(10, 4, "floor"), [0, 2, 5, 7])


@pytest.mark.parametrize("side", [2, 5, 33, 64])
def test_doubling_repeats_pixels_under_both_rules(rng, side):
    features = jnp.asarray(rng.normal(size=(1, side, side + 1, 2)).astype(np.float32))
    doubled = upsample_nearest(features)
    np.testing.assert_array_equal(doubled, features.repeat(2, 1).repeat(2, 2))
    for rule in ("align_corners", "floor"):
        size = (2 * side, 2 * side + 2)
        np.testing.assert_array_equal(
            resize_nearest(features, *size, rule=rule), doubled
        )


def test_one_pixel_can_be_asked_for_and_none_cannot():
    features = jnp.ones((1, 4, 4, 1))
    assert resize_nearest(features, 1, 1).shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match="at least 1"):
        resize_nearest(features, 0, 4)


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="'align_corners' or 'floor'"):
        resize_nearest(jnp.ones((1, 4, 4, 1)), 2, 2, rule="nearest")


def test_bilinear_doubling_aligns_corners():
    """By hand: 3 pixels become 6 that lie 2/5 apart."""
    column = jnp.asarray([0.0, 1.0, 4.0]).reshape(1, 3, 1, 1)
    doubled = resize_bilinear(column, 6, 1)[0, :, 0, 0]
    np.testing.assert_allclose(doubled, [0, 0.4, 0.8, 1.6, 2.8, 4], atol=1e-6)


def test_bilinear_resizing_interpolates_both_axes(rng):
    features = rng.normal(size=(2, 4, 3, 5)).astype(np.float32)
    resized = resize_bilinear(jnp.asarray(features), 7, 9)
    for i in range(7):
        for j in range(9):
            row, column = i * 3 / 6, j * 2 / 8
            top, left = min(int(row), 2), min(int(column), 1)
            down, across = row - top, column - left
            corners = features[:, top : top + 2, left : left + 2]
            rows = corners[:, 0] * (1 - down) + corners[:, 1] * down
            expected = rows[:, 0] * (1 - across) + rows[:, 1] * across
            np.testing.assert_allclose(resized[:, i, j], expected, atol=1e-5)


def test_one_pixel_is_spread_over_all():
    assert (resize_bilinear(jnp.full((1, 1, 1, 2), 3.0), 4, 5) == 3).all()


def test_area_means_are_exact_at_whole_and_broken_factors(rng):
    features = rng.normal(size=(2, 6, 4, 3)).astype(np.float32)
    halved = resize_area(jnp.asarray(features), 3, 2)
    blocks = features.reshape(2, 3, 2, 2, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(halved, blocks, atol=1e-6)
    column = jnp.asarray([3.0, 6.0, 9.0]).reshape(1, 3, 1, 1)
    # The new pixels reach over one and a half old ones.
    np.testing.assert_allclose(resize_area(column, 2, 1)[0, :, 0, 0], [4, 8], atol=1e-6)


def test_areas_cannot_grow_and_sizes_start_at_one():
    features = jnp.ones((1, 4, 4, 1))
    with pytest.raises(ValueError, match="only shrinks: 4 x 4 cannot become 5 x 4"):
        resize_area(features, 5, 4)
    for resize in (resize_area, resize_bilinear):
        with pytest.raises(ValueError, match="at least 1"):
            resize(features, 2, 0)
