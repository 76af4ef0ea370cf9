"""Colours of the hole from the field: every covering patch has a vote (Wexler 2007)."""

import jax
import jax.numpy as jnp

from inpainting_jax.methods.patchmatch.indexing import put, take
from inpainting_jax.types import Array


def _statistics(
    distances: Array,
    columns: Array,
    hole: Array,
    width: Array,
    *,
    patch: int,
    spread: float,
) -> tuple[Array, Array]:
    """Least distance and vote variance [Nh] over the patches that cover each pixel.

    The P x P window in two passes: along x at `columns`, then along y at `hole`.
    """
    radius = patch // 2

    def along_x(k, carry):
        least, total, number = carry
        value = take(distances, columns + k - radius)
        finite = jnp.isfinite(value)
        total = total + jnp.where(finite, value, 0)
        return jnp.minimum(least, value), total, number + finite

    def along_y(k, carry):
        least, total, number = carry
        row = take(rows, hole + (k - radius) * width)
        least = jnp.minimum(least, row[:, 0])
        return least, total + row[:, 1], number + row[:, 2]

    def nothing(index):
        return jnp.full(index.shape, jnp.inf), *(jnp.zeros(index.shape),) * 2

    summed = jax.lax.fori_loop(0, patch, along_x, nothing(columns))
    rows = jnp.stack(nothing(distances), axis=-1)
    rows = put(rows, columns, jnp.stack(summed, axis=-1))
    least, total, number = jax.lax.fori_loop(0, patch, along_y, nothing(hole))
    return least, spread * total / jnp.maximum(number, 1) + 1e-6


def vote(
    features: Array,
    match: Array,
    distances: Array,
    confidence: Array,
    columns: Array,
    hole: Array,
    width: Array,
    *,
    patch: int,
    spread: float,
) -> Array:
    """`features` [HW, F] with the hole averaged from the patches that cover it.

    A patch at pixel q weighs `exp(confidence(q) - (d(q) - least) / (2 variance))`.

    Args:
      features: [HW, F] table; only known pixels are read.
      match: [HW] matched source of each pixel.
      distances: [HW] of each target to its match, +inf where no patch may vote.
      confidence: [HW] logarithm of the weight of a patch at each pixel.
      columns: pixels with a hole pixel at most P // 2 rows away.
      hole: [Nh] pixels to colour.
      width: W, scalar.
      patch: side P, odd.
      spread: the variance as a share of the mean of d over the covering patches.
    """
    radius = patch // 2
    least, variance = _statistics(
        distances, columns, hole, width, patch=patch, spread=spread
    )
    scale = -0.5 / variance

    def body(k, carry):
        total, colours = carry
        offset = (k // patch - radius) * width + k % patch - radius
        voter = hole + offset
        log_weight = (take(distances, voter) - least) * scale
        # Past the ends of the table reads clip to pixels at infinite distance.
        weight = jnp.exp(log_weight + take(confidence, voter))
        colour = take(features, take(match, voter) - offset)
        return total + weight, colours + weight[:, None] * colour

    start = jnp.zeros(hole.shape), jnp.zeros((*hole.shape, features.shape[1]))
    total, colours = jax.lax.fori_loop(0, patch * patch, body, start)
    colours = jnp.where(
        (total > 0)[:, None],
        colours / jnp.maximum(total, 1e-37)[:, None],
        take(features, hole),
    )
    return put(features, hole, colours)


def best_patch(
    features: Array,
    match: Array,
    distances: Array,
    hole: Array,
    width: Array,
    *,
    patch: int,
) -> Array:
    """`features` [HW, F] with each hole pixel copied from its best covering patch."""
    radius = patch // 2

    def body(k, carry):
        least, source = carry
        offset = (k // patch - radius) * width + k % patch - radius
        distance = take(distances, hole + offset)
        better = distance < least
        copied = take(match, hole + offset) - offset
        return jnp.where(better, distance, least), jnp.where(better, copied, source)

    start = jnp.full(hole.shape, jnp.inf), hole
    _, source = jax.lax.fori_loop(0, patch * patch, body, start)
    return put(features, hole, take(features, source))
