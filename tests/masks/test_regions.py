"""Random regions and random blocks: areas, sizes of the regions, keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from inpainting_jax import masks


def draw_many(spec, size, count):
    keys = jax.random.split(jax.random.key(1), count)
    draw = masks.sampler(spec)
    return np.asarray(
        jax.jit(lambda k: jax.lax.map(lambda k: draw(k, size, size), k))(keys)
    )


def test_regions_miss_twenty_to_thirty_percent():
    drawn = draw_many("pattern", 128, 1000)
    ratios = drawn.mean(axis=(1, 2, 3))
    assert (ratios > 0.2).all() and (ratios <= 0.3).all()
    assert 0.22 < ratios.mean() < 0.28
    # Everywhere in the image alike.
    np.testing.assert_allclose(drawn.mean(axis=0), ratios.mean(), atol=0.08)


def test_regions_are_as_wide_as_their_resolution():
    """Neighbouring values are 1 / 0.06 pixels apart; the noise repeats the unscaled."""

    def crossings(spec, size):
        drawn = draw_many(spec, size, 40)[..., 0]
        return np.abs(np.diff(drawn, axis=2)).sum() / drawn[:, :, 1:].size

    fine, coarse = crossings("pattern(resolution=0.12)", 128), crossings("pattern", 128)
    assert fine / coarse == pytest.approx(2, rel=0.15)
    small = crossings("pattern(scale=True)", 64)
    assert small / coarse == pytest.approx(2, rel=0.15)


def test_regions_have_smooth_rims(key):
    mask = np.asarray(masks.pattern(key, 128, 128))[..., 0]
    opened = ndimage.binary_opening(mask > 0, np.ones((3, 3)))
    assert opened.sum() > 0.95 * mask.sum()


def test_each_key_has_its_regions_whether_vmapped_or_alone(key):
    keys = jax.random.split(key, 3)
    together = jax.jit(jax.vmap(lambda k: masks.pattern(k, 48, 64)))(keys)
    alone = jax.jit(lambda k: masks.pattern(k, 48, 64))(keys[1])
    assert together.shape == (3, 48, 64, 1)
    np.testing.assert_array_equal(together[1], alone)
    assert not np.array_equal(together[0], together[1])


def test_bounds_of_the_spec_are_bounds_of_the_regions():
    ratios = draw_many("pattern@0.1-0.15", 128, 50).mean(axis=(1, 2, 3))
    assert (ratios > 0.1).all() and (ratios <= 0.15).all()


def test_blocks_are_squares_that_miss_a_quarter_at_most():
    drawn = draw_many("blocks", 64, 1000)[..., 0]
    ratios = drawn.mean(axis=(1, 2))
    assert ratios.max() <= 0.25 and ratios.min() >= (8 / 64) ** 2
    assert ratios.max() > 0.15
    counts = [ndimage.label(mask)[1] for mask in drawn[:200]]
    assert max(counts) == 5
    single = [m for m, c in zip(drawn[:200], counts, strict=True) if c == 1]
    boxes = [ndimage.find_objects(m.astype(int))[0] for m in single]
    sides = [(b[0].stop - b[0].start, b[1].stop - b[1].start) for b in boxes]
    squares = [a for (a, b), m in zip(sides, single, strict=True) if a * b == m.sum()]
    assert squares and all(8 <= side <= 16 for side in squares)


def test_a_block_too_many_is_left_out(key):
    spec = "blocks(min_size=0.5,max_size=0.5,max_ratio=0.3)"
    ratios = draw_many(spec, 32, 200).mean(axis=(1, 2, 3))
    assert ratios.max() <= 0.3 and ratios.min() == 0.25
    none = masks.blocks(key, 32, 32, min_size=0.5, max_size=0.5, max_ratio=0.2)
    assert none.sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.0}, "0 < threshold < 1"),
        ({"min_ratio": 0.4}, "min_ratio < max_ratio"),
        ({"resolution": 2.0}, "2 values per pixel of a 32 x 32"),
    ],
)
def test_options_out_of_range_are_named(key, options, message):
    with pytest.raises(ValueError, match=message):
        masks.pattern(key, 32, 32, **options)


def test_evaluation_sets_have_the_same_regions_in_both_precisions(key):
    single = masks.pattern(key, 64, 64)
    with jax.enable_x64(True):
        double = masks.pattern(key, 64, 64)
    # float64 decides a handful of pixels on the rim the other way.
    assert jnp.mean(jnp.abs(single - double.astype(jnp.float32))) < 1e-3
