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
    size = match.shape[0]
    pixels = jnp.arange(size, dtype=hole.dtype)
    in_hole = put(jnp.zeros((size,), bool), hole, True)
    copied = _copied(match, in_hole, height, width, patch)
    y, x = pixels // width, pixels % width
    planes = colours.T
    degree = jnp.full((size,), screen)
    right = screen * planes
    links = []
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        offset = dy * width + dx
        linked = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        unknown = linked & _shifted(in_hole, offset)
        slope = _slope(colours, copied, unknown, offset).T
        fixed = jnp.where(unknown[None], 0, _shifted(planes, offset))
        right = right + jnp.where(linked[None], fixed + slope, 0)
        degree = degree + linked
        links.append((offset, (unknown & in_hole).astype(jnp.float32)))

    def apply(values):
        twice = jnp.concatenate([values, values], axis=1)
        result = degree[None] * values
        for offset, unknown in links:
            result = result - unknown[None] * _window(twice, offset)
        return result

    right = jnp.where(in_hole[None], right, 0)
    start = jnp.where(in_hole[None], planes, 0)
    solved = _conjugate_gradient(apply, right, start)
    return jnp.where(in_hole[None], solved, planes).T


def _copied(match, in_hole, height, width, patch):
    """The source pixel [HW] that each hole pixel takes from the patch around it."""
    radius = patch // 2
    pixels = jnp.arange(match.shape[0], dtype=match.dtype)
    # A pixel near the border follows the nearest patch that is inside.
    centre = jnp.clip(pixels // width, radius, height - 1 - radius) * width
    centre = centre + jnp.clip(pixels % width, radius, width - 1 - radius)
    return jnp.where(in_hole, take(match, centre) + (pixels - centre), pixels)


def _shifted(values: Array, offset: Array) -> Array:
    """The last axis read `offset` further on, around its end."""
    return _window(jnp.concatenate([values, values], axis=-1), offset)


def _window(twice: Array, offset: Array) -> Array:
    size = twice.shape[-1] // 2
    start = offset % size
    return jax.lax.dynamic_slice_in_dim(twice, start, size, axis=twice.ndim - 1)


def _slope(colours, copied, unknown, offset):
    """Wanted differences [HW, C] of each hole pixel to its neighbour at `offset`."""
    slope = take(colours, copied) - take(colours, copied + offset)
    theirs = _shifted(copied, offset)
    reverse = take(colours, theirs - offset) - take(colours, theirs)
    # Two hole pixels each have an opinion on the step between them: the mean.
    return jnp.where(unknown[:, None], (slope + reverse) / 2, slope)


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
