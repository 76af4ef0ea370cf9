import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import patches


def test_diagonal_sum_equals_a_loop_over_both_pairs(rng):
    table = rng.normal(size=(2, 4, 5, 6, 4)).astype(np.float32)
    out = patches.diagonal_sum(jnp.asarray(table), 3, patches.BOTH_AXES)
    expected = np.zeros((2, 2, 3, 4, 2))
    for down in range(3):
        for right in range(3):
            expected += table[
                :,
                down : down + 2,
                right : right + 3,
                down : down + 4,
                right : right + 2,
            ]
    np.testing.assert_allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("pairs", [patches.BOTH_AXES, ((1, 3),)])
def test_diagonal_sum_has_the_gradient_that_jax_derives(rng, pairs):
    table = jnp.asarray(rng.normal(size=(1, 5, 4, 6, 5)).astype(np.float32))
    derived = patches.diagonal_sum.__wrapped__
    weights = jnp.cos(derived(table, 3, pairs))

    def gradient(summed):
        return jax.grad(lambda table: jnp.sum(weights * summed(table, 3, pairs)))(table)

    np.testing.assert_allclose(
        gradient(patches.diagonal_sum), gradient(derived), atol=1e-5
    )


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_joined_blocks_are_the_image_again(rng, side):
    features = jnp.asarray(
        rng.normal(size=(2, 4 * side, 3 * side, 5)).astype(np.float32)
    )
    blocks = patches.split_blocks(features, side)
    assert blocks.shape == (2, 5, 4, side * side * 5)
    np.testing.assert_array_equal(patches.join_blocks(blocks, side), features)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_coverage_counts_patches_of_two_sides(side):
    height, width = 4 * side, 3 * side
    count = np.zeros((height + 2 * side, width + 2 * side, 1))
    for top in range(0, height, side):
        for left in range(0, width, side):
            count[top : top + 2 * side, left : left + 2 * side] += 1
    start = side // 2  # SAME padding puts the smaller half before
    expected = count[start : start + height, start : start + width]
    np.testing.assert_array_equal(patches.patch_coverage(height, width, side), expected)


def test_norms_and_known_patches_equal_a_loop(rng):
    features = rng.normal(size=(1, 5, 6, 3)).astype(np.float32)
    mask = (rng.uniform(size=(1, 5, 6, 1)) > 0.9).astype(np.float32)
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
    holes = np.pad(mask, ((0, 0), (1, 1), (1, 1), (0, 0)))
    norms = {
        rule: patches.inverse_patch_norms(jnp.asarray(features), 3, rule=rule)
        for rule in ("max", "daa233")
    }
    known = patches.known_patches(jnp.asarray(mask), 3)
    assert 0 < known.sum() < known.size
    for row in range(5):
        for column in range(6):
            window = padded[0, row : row + 3, column : column + 3]
            squares = np.sum(window.astype(np.float64) ** 2)
            np.testing.assert_allclose(
                norms["max"][0, row, column], squares**-0.5, rtol=1e-6
            )
            np.testing.assert_allclose(
                norms["daa233"][0, row, column], (squares + 27e-4) ** -0.5, rtol=1e-6
            )
            hole = holes[0, row : row + 3, column : column + 3].any()
            assert known[0, row, column] == float(not hole)


def test_norm_of_zeros_is_bounded_and_so_is_its_gradient():
    zeros = jnp.zeros((1, 3, 3, 2))
    np.testing.assert_allclose(patches.inverse_patch_norms(zeros, 3), 1e4, rtol=1e-5)
    for rule in ("max", "daa233"):
        gradient = jax.grad(
            lambda x, rule=rule: jnp.sum(patches.inverse_patch_norms(x, 3, rule=rule))
        )(zeros)
        assert np.all(np.isfinite(gradient))


def test_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="'max' or 'daa233'"):
        patches.inverse_patch_norms(jnp.ones((1, 3, 3, 1)), 3, rule="l2")
