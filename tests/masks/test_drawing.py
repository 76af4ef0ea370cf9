"""The rasteriser against a naive loop and against Pillow's thick lines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.masks import drawing


def distance(point, start, end):
    """Distance of a point to a segment, by the textbook."""
    step, offset = end - start, point - start
    length2 = step @ step
    along = 0.0 if length2 == 0 else np.clip(offset @ step / length2, 0, 1)
    return np.linalg.norm(offset - along * step)


def test_segments_are_the_pixels_within_half_a_width():
    starts = np.array([[2.0, 3.0], [9.0, 9.0], [1.0, 1.0]])
    ends = np.array([[11.0, 6.0], [9.0, 9.0], [12.0, 1.0]])
    widths = np.array([2.5, 5.1, 0.0])
    with jax.numpy_dtype_promotion("strict"):
        drawn = drawing.draw_segments(
            12, 14, *(jnp.asarray(a, jnp.float32) for a in (starts, ends, widths))
        )
    wanted = np.zeros((12, 14), bool)
    for y in range(12):
        for x in range(14):
            point = np.array([x, y], float)
            wanted[y, x] = any(
                distance(point, a, b) <= w / 2
                for a, b, w in zip(starts, ends, widths, strict=True)
                if w > 0
            )
    np.testing.assert_array_equal(drawn, wanted)


def exact(height, width, start, end, thickness):
    """[H, W] bool of one segment between whole pixels, in whole numbers."""
    y, x = np.mgrid[:height, :width]
    step, (dx, dy) = end - start, (x - start[0], y - start[1])
    length2 = int(step @ step)
    along = dx * step[0] + dy * step[1]
    across = dx * step[1] - dy * step[0]
    beyond = (x - end[0]) ** 2 + (y - end[1]) ** 2
    distance2 = np.where(along <= 0, dx**2 + dy**2, beyond) * length2
    distance2 = np.where((along > 0) & (along < length2), across**2, distance2)
    return 4 * distance2 <= thickness**2 * length2


def test_float64_draws_what_whole_numbers_say():
    # Multiples of (3, 4) and the like have pixels exactly on the rim, where rounding
    # would otherwise decide, on each machine in its own way.
    rng = np.random.default_rng(0)
    steps = np.array([[3, 4], [4, -3], [5, 12], [-8, 15], [7, 24], [20, -21], [1, 0]])
    with jax.enable_x64(True):
        draw = jax.jit(drawing.draw_segments, static_argnums=(0, 1))
        for step in np.repeat(steps, 6, axis=0):
            start = rng.integers(60, 140, 2)
            end = start + rng.integers(1, 4) * step
            thickness = int(rng.integers(6, 20)) * 2
            lines = (jnp.asarray(a[None], float) for a in (start, end))
            drawn = draw(200, 200, *lines, jnp.array([float(thickness)]))
            wanted = exact(200, 200, start, end, thickness)
            np.testing.assert_array_equal(drawn, wanted, str((start, end, thickness)))


def reference_strokes(rng, size):
    """The next mask of the reference's stream: its poly-lines and widths."""
    mean = np.hypot(size, size) / 8
    for _ in range(rng.randint(1, 4)):
        count = rng.randint(4, 12)
        low = 2 * np.pi / 5 - rng.uniform(0, 2 * np.pi / 15)
        high = 2 * np.pi / 5 + rng.uniform(0, 2 * np.pi / 15)
        angles = [rng.uniform(low, high) for _ in range(count)]
        angles = [2 * np.pi - a if i % 2 == 0 else a for i, a in enumerate(angles)]
        points = [(int(rng.randint(0, size)), int(rng.randint(0, size)))]
        for angle in angles:
            radius = np.clip(rng.normal(loc=mean, scale=mean // 2), 0, 2 * mean)
            x = np.clip(points[-1][0] + radius * np.cos(angle), 0, size)
            y = np.clip(points[-1][1] + radius * np.sin(angle), 0, size)
            points.append((int(x), int(y)))
        yield np.array(points, np.float32), int(rng.uniform(12, 40))
    rng.normal()
    rng.normal()


def test_the_reference_masks_come_out_of_the_reference_vertices(golden):
    # 2 % of hole pixels differ: Pillow's lines are polygons of whole-pixel corners.
    stored = golden("freeform_mask_statistics")["256x256/first_masks_u8"]
    stored = np.unpackbits(stored, axis=-1).astype(bool)
    rng = np.random.RandomState(3001)
    for wanted in stored:
        starts, ends, widths = [], [], []
        for points, width in reference_strokes(rng, 256):
            starts.append(points[:-1])
            ends.append(points[1:])
            widths.append(np.full(len(points) - 1, width, np.float32))
        segments = (jnp.concatenate(a) for a in (starts, ends, widths))
        drawn = np.asarray(drawing.draw_segments(256, 256, *segments))
        overlap = (drawn & wanted).sum() / (drawn | wanted).sum()
        assert overlap >= 0.95
        assert drawn.mean() == pytest.approx(wanted.mean(), rel=0.03)


def test_whole_numbers_fill_their_range_evenly(key):
    shares = drawing.draw_shares(key, (6000,))
    counts = np.bincount(drawing.whole_between(shares, 2, 5), minlength=5)
    assert counts[:2].sum() == 0
    assert counts[2:].sum() == 6000
    assert np.all(np.abs(counts[2:] - 2000) < 150)  # four standard deviations
    assert drawing.whole_between(jnp.float32(1 - 2**-23), 0, 1000) == 999


def test_hole_ratio_counts_pixels():
    mask = jnp.zeros((4, 5, 1)).at[1, 2:].set(1)
    assert float(drawing.hole_ratio(mask)) == pytest.approx(3 / 20)
