"""What the generators share: random draws, and thick lines by distance to the segment.

A pixel belongs to a segment when its centre lies within half the width, so that the
joints of a poly-line come out round without discs. Points are (x, y) = (column, row) in
pixels, pixel (0, 0) has its centre there. Shapes are static and memory is one [H, W]
plane however many segments: fit for `jit` and `vmap`.

Arithmetic runs in the widest float in use: float32 on device, float64 under
`jax.enable_x64`, which is how hashed evaluation sets are drawn.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax, random

from inpainting_jax.types import Array, Key

MAX_TRIES = 64
"""Draws before a bounded generator gives its closest mask instead."""

Draw = Callable[[Key, int, int], Array]

_TIE = 1e-8
"""Counts pixels exactly on the rim as inside, whatever a machine's rounding (float64).

Squared distances from whole pixels to segments between whole pixels are multiples of
1 / length^2: a true miss is farther off than this at any size up to 2048, a rounding
error nearer.
"""


def float_dtype() -> jnp.dtype:
    """float32, or float64 under `jax.enable_x64`."""
    return jnp.dtype(jnp.float64 if jax.config.jax_enable_x64 else jnp.float32)


def draw_shares(key: Key, shape: tuple[int, ...]) -> Array:
    """Uniform values in [0, 1), the same in float32 and float64.

    Generators draw all their numbers in one call: on CPU every separate draw costs a
    tenth of a second of compilation. The bits always make a float32 share, exact on
    every machine; only what is computed from it depends on the width of floats.
    """
    return random.uniform(key, shape, jnp.float32).astype(float_dtype())


def between(share: Array, low, high) -> Array:
    """The value in [low, high) that lies at `share` in [0, 1)."""
    return low + (high - low) * share


def whole_between(share: Array, low, high) -> Array:
    """The int32 in [low, high) that lies at `share`; `low` if there is none."""
    span = jnp.maximum(jnp.asarray(high - low, jnp.int32), 1)
    step = jnp.floor(share * span.astype(share.dtype)).astype(jnp.int32)
    return low + jnp.minimum(step, span - 1)


def normal_at(share: Array) -> Array:
    """The standard normal quantile at `share` in [0, 1); -inf at 0."""
    return math.sqrt(2) * lax.erf_inv(2 * share - 1)


def draw_segments(
    height: int, width: int, starts: Array, ends: Array, widths: Array
) -> Array:
    """[H, W] bool: the union of N thick segments with round ends.

    Args:
      height: H, pixels.
      width: W, pixels.
      starts: [N, 2] points (x, y) in pixels; equal to `ends` draws a disc.
      ends: [N, 2].
      widths: [N] full widths in pixels; a segment of width <= 0 draws nothing.
    """
    dtype = float_dtype()
    rows = jnp.arange(height, dtype=dtype)[:, None]
    columns = jnp.arange(width, dtype=dtype)[None, :]

    def add(mask, segment):
        start, end, thickness = segment
        step = end - start
        length2 = jnp.sum(step * step)
        x, y = columns - start[0], rows - start[1]
        along = (x * step[0] + y * step[1]) / jnp.where(length2 > 0, length2, 1)
        along = jnp.clip(along, 0, 1)
        distance2 = (x - along * step[0]) ** 2 + (y - along * step[1]) ** 2
        reach2 = jnp.where(thickness > 0, thickness * thickness / 4 + _TIE, -1)
        return mask | (distance2 <= reach2), None

    segments = tuple(array.astype(dtype) for array in (starts, ends, widths))
    empty = jnp.zeros((height, width), bool)
    return lax.scan(add, empty, segments)[0]


def hole_ratio(mask: Array) -> Array:
    """Share of hole pixels of one binary mask [H, W] or [H, W, 1], scalar float."""
    count = jnp.sum(mask.astype(jnp.int32))
    return count.astype(float_dtype()) / mask.size


def as_mask(hole: Array) -> Array:
    """[H, W] bool -> [H, W, 1] float32, 1 = hole."""
    return hole[..., None].astype(jnp.float32)


def bounded(draw: Draw, low: float, high: float) -> Draw:
    """`draw`, repeated until the hole ratio lies in (low, high].

    At most `MAX_TRIES` times; then the mask whose ratio came closest.
    """

    def redraw(key, height, width):
        def again(state):
            _, missed, index = state
            return (missed >= 0) & (index < MAX_TRIES)

        def attempt(state):
            best, missed, index = state
            mask = draw(random.fold_in(key, index), height, width)
            ratio = hole_ratio(mask).astype(jnp.float32)
            outside = jnp.maximum(jnp.maximum(low - ratio, ratio - high), 0)
            new = jnp.where((ratio > low) & (ratio <= high), -1.0, outside)
            best = jnp.where(new < missed, mask, best)
            return best, jnp.minimum(new, missed), index + 1

        empty = jnp.zeros((height, width, 1), jnp.float32)
        start = (empty, jnp.float32(jnp.inf), jnp.int32(0))
        return lax.while_loop(again, attempt, start)[0]

    return redraw
