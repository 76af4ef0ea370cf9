import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import resize_nearest, upsample_nearest
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
