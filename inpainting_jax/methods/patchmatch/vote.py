"""Colours of the hole from the field: every covering patch has a vote (Wexler 2007)."""

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.methods.patchmatch.indexing import take
from inpainting_jax.types import Array


def _voters(hole: Array, width: Array, patch: int) -> tuple[Array, Array]:
    """The P * P pixels whose patch covers each of [N] pixels: offsets, indices.

    Returns offsets [P * P, 1] and indices [P * P, N], every second pixel first, as on a
    chessboard. Where a window leaves the picture it wraps to pixels that are no patch
    centre, or is clipped to one when read.
    """
    reach = jnp.arange(-(patch // 2), patch // 2 + 1)
    offsets = (reach[:, None] * width + reach[None]).reshape(-1)
    side = np.arange(patch)
    chessboard = np.add.outer(side, side).reshape(-1) % 2
    offsets = offsets[np.argsort(chessboard, kind="stable")][:, None]
    return offsets, hole[None] + offsets


def vote(
    features: Array,
    match: Array,
    distances: Array,
    confidence: Array,
    hole: Array,
    width: Array,
    *,
    patch: int,
    spread: Array,
    thorough: Array,
) -> Array:
    """Colours [N, F] of pixels, averaged from the patches that cover them.

    A patch at pixel q weighs `exp(confidence(q) - (d(q) - least) / (2 variance))`.

    Args:
      features: [HW, F] table; only known pixels are read.
      match: [HW] matched source of each pixel.
      distances: [HW] of each target to its match, +inf where no patch may vote.
      confidence: [HW] logarithm of the weight of a patch at each pixel.
      hole: [N] pixels to colour, padded past the end.
      width: W, scalar.
      patch: side P, odd.
      spread: the variance as a share of the mean of d over the covering patches.
      thorough: scalar bool; False lets only every second covering patch vote, which
        is enough until the last vote.

    Returns:
      [N, F]; where nobody votes the present row of `features`.
    """
    offsets, voters = _voters(hole, width, patch)
    distance = take(distances, voters)
    least = jnp.min(distance, axis=0)
    votes = jnp.isfinite(distance)
    mean = jnp.sum(jnp.where(votes, distance, 0), axis=0)
    mean = mean / jnp.maximum(jnp.sum(votes, axis=0), 1)
    variance = spread * mean + 1e-6
    scale = -0.5 / variance

    def add(k, carry):
        total, colours = carry
        voter = hole + offsets[k]
        # Relative to the least distance, or all would underflow where all are poor.
        exponent = take(confidence, voter) + (distance[k] - least) * scale
        weight = jnp.where(votes[k], jnp.exp(exponent), 0)
        colour = take(features, take(match, voter) - offsets[k])
        return total + weight, colours + weight[:, None] * colour

    carry = jnp.zeros(hole.shape), jnp.zeros((*hole.shape, features.shape[1]))
    number = jnp.where(thorough, patch * patch, (patch * patch + 1) // 2)
    total, colours = jax.lax.fori_loop(0, number, add, carry)
    voted = colours / jnp.maximum(total, 1e-37)[:, None]
    return jnp.where((total > 0)[:, None], voted, take(features, hole))


def best_patch(
    features: Array,
    match: Array,
    distances: Array,
    hole: Array,
    width: Array,
    *,
    patch: int,
) -> Array:
    """Colours [N, F] of pixels, each copied from its best covering patch."""
    offsets, voters = _voters(hole, width, patch)
    best = jnp.argmin(take(distances, voters), axis=0)
    voter = jnp.take_along_axis(voters, best[None], axis=0)[0]
    return take(features, take(match, voter) - offsets[best, 0])
