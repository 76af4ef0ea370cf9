"""Statistics, geometry and errors of the mask generators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ks_2samp

from inpainting_jax import masks


def ratios(draw, size, count=1000):
    """Hole ratios of `count` masks, one at a time so that memory stays small."""
    keys = jax.random.split(jax.random.key(1), count)
    one = jax.jit(lambda k: jax.lax.map(lambda k: draw(k, size, size).mean(), k))
    return np.asarray(one(keys))


@pytest.mark.parametrize(
    ("draw", "name", "mean", "std"),
    [
        # The first is the mean of 20,000 draws of the reference, see its notes.
        (masks.strokes, "stroke", 0.152, 0.080),
        (masks.box, "bbox", 0.191, 0.0237),
        (masks.deepfill, "union", 0.309, 0.066),
    ],
    ids=["strokes", "box", "union"],
)
def test_deepfill_masks_follow_the_reference_distribution(
    golden, draw, name, mean, std
):
    stored = golden("freeform_mask_statistics")[f"256x256/{name}_hole_ratio"]
    drawn = ratios(draw, 256)
    assert drawn.mean() == pytest.approx(mean, abs=0.008)
    assert drawn.std() == pytest.approx(std, abs=0.006)
    assert ks_2samp(drawn, stored).pvalue > 0.01


def test_scaled_strokes_cover_the_same_share_at_64_pixels():
    scaled = ratios(lambda k, h, w: masks.strokes(k, h, w, scale=True), 64)
    assert scaled.mean() == pytest.approx(0.152, abs=0.012)


@pytest.mark.parametrize("name", list(masks.MASKS))
def test_shapes_and_dtypes_hold_without_implicit_promotion(name, key):
    draw = masks.MASKS[name]
    with jax.numpy_dtype_promotion("strict"):
        out = jax.eval_shape(lambda k: draw(k, 40, 56), key)
    assert out.shape == (40, 56, 1)
    assert out.dtype == jnp.float32


def test_masks_are_the_same_vmapped_and_alone(key):
    def draw(k):
        return masks.strokes(k, 24, 40, scale=True)

    keys = jax.random.split(key, 3)
    batch = np.asarray(jax.jit(jax.vmap(draw))(keys))
    # a fused multiply-add may move a pixel that lies exactly on the edge of a stroke
    assert np.mean(batch[1] != np.asarray(jax.jit(draw)(keys[1]))) < 2e-3
    assert set(np.unique(batch)) == {0.0, 1.0}
    assert not np.array_equal(batch[0], batch[1])


def test_strokes_stay_in_the_image_when_it_is_not_square(key):
    # Clipped by the wrong side, a tall image would have strokes in its top rows only.
    keys = jax.random.split(key, 60)
    draw = jax.jit(jax.vmap(lambda k: masks.strokes(k, 192, 48)))
    drawn = np.asarray(draw(keys))
    assert drawn[:, 96:].mean() == pytest.approx(drawn[:, :96].mean(), rel=0.25)


def test_center_is_centred_and_a_quarter(key):
    mask = np.asarray(masks.center(key, 16, 24))[..., 0]
    assert mask.sum() == 8 * 12
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])
    assert mask[4:12, 6:18].all()


def test_box_shrinks_alike_on_opposite_sides(key):
    draw = jax.jit(jax.vmap(lambda k: masks.box(k, 64, 64, margin=4)))
    for mask in np.asarray(draw(jax.random.split(key, 50)))[..., 0]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns)
        assert len(rows) in (32, 30, 28, 26, 24)
        assert len(columns) in (32, 30, 28, 26, 24)
        assert rows[0] >= 4
        assert rows[-1] < 60


def test_half_outpaint_and_grid_are_exact(key):
    right = np.asarray(masks.half(key, 8, 12))[..., 0]
    assert right[:, 6:].all()
    assert not right[:, :6].any()
    top = np.asarray(masks.half(key, 8, 12, side="top", share=0.25))[..., 0]
    assert top.sum() == 2 * 12
    assert top[:2].all()
    sides = jax.jit(jax.vmap(lambda k: masks.half(k, 8, 8, side="random")))
    assert len(np.unique(sides(jax.random.split(key, 30)), axis=0)) == 4
    assert masks.outpaint(key, 256, 256, keep=0.25).mean() == 1 - 1 / 16
    lines = np.asarray(masks.grid(key, 8, 8, axis="rows"))[..., 0]
    assert lines[1::2].all()
    assert not lines[::2].any()
    assert masks.grid(key, 8, 8).mean() == 0.75


@pytest.mark.parametrize("border", ["touching", "inside"])
def test_irregular_masks_keep_their_range_and_border_rule(key, border):
    def draw(k):
        return masks.irregular(k, 96, 96, min_ratio=0.2, max_ratio=0.3, border=border)

    drawn = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, 16)))
    ratio = drawn.mean((1, 2, 3))
    assert ratio.min() > 0.2
    assert ratio.max() <= 0.3
    contact = [masks.touches_border(mask) for mask in drawn]
    assert set(contact) == {border == "touching"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: masks.half(k, 8, 8, side="up"), "left, right, top, bottom, random"),
        (lambda k: masks.grid(k, 8, 8, step=1), "at least 2"),
        (lambda k: masks.center(k, 8, 8, size=0), r"size=0 must be a share"),
        (lambda k: masks.boxes(k, 8, 8, min_count=3, max_count=2), "min_count"),
        (lambda k: masks.strokes(k, 8, 8, min_strokes=0), "min_strokes"),
        (lambda k: masks.irregular(k, 8, 8, min_ratio=0.5, max_ratio=0.4), "0.5, 0.4"),
        (
            lambda k: masks.irregular(k, 64, 64, max_ratio=0.7, border="inside"),
            "lower it",
        ),
    ],
)
def test_impossible_options_are_named(key, call, message):
    with pytest.raises(ValueError, match=message):
        call(key)
