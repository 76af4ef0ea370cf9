"""Gradients of the copied patches, colours of the average: a screened Poisson finish.

Minimises the squared difference of the hole's gradients to those of the matched
patches, plus `SCREEN` times the squared difference to the voted colours, the known
pixels fixed (in the spirit of Darabi et al. 2012, Image Melding).
"""

import jax
import jax.numpy as jnp

from inpainting_jax.methods.patchmatch.indexing import put, take
from inpainting_jax.types import Array

SCREEN = 0.05
ITERATIONS = 24

_STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def screened_poisson(
    features: Array,
    match: Array,
    hole: Array,
    height: Array,
    width: Array,
    *,
    patch: int,
) -> Array:
    """`features` [HW, F] with the hole re-solved from the gradients of its matches.

    Args:
      features: [HW, F], the hole already voted.
      match: [HW] matched source of each patch centre.
      hole: [Nh] pixels to solve for, padded past the end.
      height, width: of the picture, scalars.
      patch: side P, odd.
    """
    radius = patch // 2
    y, x = hole // width, hole % width
    # A pixel near the border follows the nearest patch that is inside.
    centre = jnp.clip(y, radius, height - 1 - radius) * width
    centre = centre + jnp.clip(x, radius, width - 1 - radius)
    copied = take(match, centre) + (hole - centre)
    table = jnp.arange(features.shape[0], dtype=hole.dtype)
    in_hole = put(jnp.zeros(table.shape, bool), hole, True)
    copied_by_pixel = put(table, hole, copied)
    voted = take(features, hole)

    degree = jnp.zeros(hole.shape)
    right = SCREEN * voted
    links = []
    for dy, dx in _STEPS:
        offset = dy * width + dx
        neighbour = hole + offset
        linked = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        unknown = take(in_hole, neighbour) & linked
        slope = take(features, copied) - take(features, copied + offset)
        theirs = take(copied_by_pixel, neighbour)
        reverse = take(features, theirs - offset) - take(features, theirs)
        # Two hole pixels each have an opinion on the step between them: the mean.
        slope = jnp.where(unknown[:, None], (slope + reverse) / 2, slope)
        fixed = jnp.where(unknown[:, None], 0, take(features, neighbour))
        right = right + jnp.where(linked[:, None], fixed + slope, 0)
        degree = degree + linked
        links.append((offset, unknown))

    def apply(colours):
        dense = put(jnp.zeros_like(features), hole, colours)
        result = (degree + SCREEN)[:, None] * colours
        for offset, unknown in links:
            result = result - jnp.where(unknown[:, None], take(dense, hole + offset), 0)
        return result

    solved, _ = jax.scipy.sparse.linalg.cg(
        apply, right, x0=voted, tol=0, maxiter=ITERATIONS
    )
    return put(features, hole, solved)
