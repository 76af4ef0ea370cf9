"""Gradients of the copied patches, colours of the average: a screened Poisson finish.

Minimises the squared difference of the hole's gradients to those of the matched
patches, plus `screen` times the squared difference to the voted colours, the known
pixels fixed (in the spirit of Darabi et al. 2012, Image Melding).
"""

import jax
import jax.numpy as jnp

from inpainting_jax.methods.patchmatch.indexing import put, take
from inpainting_jax.types import Array

ITERATIONS = 24
"""Conjugate-gradient steps; the screen keeps the condition number below 8 / screen."""


def screened_poisson(
    colours: Array,
    match: Array,
    hole: Array,
    height: Array,
    width: Array,
    *,
    patch: int,
    screen: Array,
) -> Array:
    """`colours` [HW, C] with the hole re-solved from the gradients of its matches.

    Args:
      colours: [HW, C], the hole already voted.
      match: [HW] matched source of each patch centre.
      hole: [Nh] pixels to solve for, padded past the end.
      height, width: of the picture, scalars.
      patch: side P, odd.
      screen: weight > 0 of the voted colours; less = sharper.
    """
    steps = jnp.asarray([(0, 1), (0, -1), (1, 0), (-1, 0)], jnp.int32)
    offsets = (steps[:, 0] * width + steps[:, 1])[None]
    neighbours = hole[:, None] + offsets
    y, x = (hole // width)[:, None], (hole % width)[:, None]
    y, x = y + steps[None, :, 0], x + steps[None, :, 1]
    linked = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    unknown = take(put(jnp.zeros(match.shape, bool), hole, True), neighbours) & linked
    fixed = jnp.where((linked & ~unknown)[..., None], take(colours, neighbours), 0)

    slopes = _slopes(colours, match, hole, height, width, offsets, unknown, patch)
    voted = take(colours, hole)
    degree = jnp.sum(linked, axis=1, keepdims=True) + screen
    right = screen * voted + jnp.sum(
        fixed + jnp.where(linked[..., None], slopes, 0), axis=1
    )

    def apply(values):
        dense = put(jnp.zeros_like(colours), hole, values)
        around = jnp.where(unknown[..., None], take(dense, neighbours), 0)
        return degree * values - jnp.sum(around, axis=1)

    return put(colours, hole, _conjugate_gradient(apply, right, voted))


def _slopes(colours, match, hole, height, width, offsets, unknown, patch):
    """Wanted differences [Nh, 4, C] of each hole pixel to its neighbours."""
    radius = patch // 2
    # A pixel near the border follows the nearest patch that is inside.
    centre = jnp.clip(hole // width, radius, height - 1 - radius) * width
    centre = centre + jnp.clip(hole % width, radius, width - 1 - radius)
    copied = take(match, centre) + (hole - centre)
    table = put(jnp.arange(match.shape[0], dtype=hole.dtype), hole, copied)
    theirs = take(table, hole[:, None] + offsets)
    here = take(colours, copied)[:, None]
    slope = here - take(colours, copied[:, None] + offsets)
    reverse = take(colours, theirs - offsets) - take(colours, theirs)
    # Two hole pixels each have an opinion on the step between them: the mean.
    return jnp.where(unknown[..., None], (slope + reverse) / 2, slope)


def _conjugate_gradient(apply, right: Array, start: Array) -> Array:
    """`ITERATIONS` steps towards apply(x) = right, all channels as one system."""

    def body(_, carry):
        solution, residual, direction, energy = carry
        product = apply(direction)
        # The floors keep an exactly solved system (0 / 0) at its solution.
        length = energy / jnp.maximum(jnp.sum(direction * product), 1e-30)
        solution = solution + length * direction
        residual = residual - length * product
        renewed = jnp.sum(residual * residual)
        direction = residual + renewed / jnp.maximum(energy, 1e-30) * direction
        return solution, residual, direction, renewed

    residual = right - apply(start)
    carry = start, residual, residual, jnp.sum(residual * residual)
    return jax.lax.fori_loop(0, ITERATIONS, body, carry)[0]
