"""Better matches for fixed colours: propagation, random search, exact search.

Every proposal is one vector operation over all targets; proposals follow one another,
so that a good match found in one direction travels on in the next (Barnes et al. 2009
scan pixel by pixel, which no vector machine can).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from inpainting_jax.methods.patchmatch.indexing import (
    put,
    random_below,
    random_bits,
    take,
)
from inpainting_jax.types import Array

_FAR = 1e30
"""Squared distance of padding: above any other, and finite in products."""


class Sources(NamedTuple):
    """The patches that may be copied.

    Attributes:
      descriptors: [HW, D] by pixel; meaningless where not `valid`.
      valid: [HW] bool, true at patch centres that may be copied.
      listed: [S] their indices, padded past the end.
      count: how many of `listed` are real, >= 1.
      width: W of the source picture, scalar int32.
      height: H of it.
    """

    descriptors: Array
    valid: Array
    listed: Array
    count: Array
    width: Array
    height: Array


class Field(NamedTuple):
    """The present matches.

    Attributes:
      match: [HW of the target] index of the matched source, by pixel.
      distance: [N] squared distance of each listed target to its match.
    """

    match: Array
    distance: Array


def distance_to(sources: Sources, descriptors: Array, candidate: Array) -> Array:
    """Squared distances [N] of target descriptors [N, D] to candidates [N]."""
    difference = descriptors - take(sources.descriptors, candidate)
    return jnp.sum(difference * difference, axis=-1)


def random_sources(sources: Sources, seed: Array, draw: Array, index: Array) -> Array:
    """One source per pixel index, uniformly at random."""
    pick = random_below(random_bits(seed, draw, index), sources.count)
    return take(sources.listed, pick)


def _accept(sources, descriptors, current, candidate):
    """The better of current (match, distance) and a candidate."""
    match, distance = current
    proposed = distance_to(sources, descriptors, candidate)
    allowed = take(sources.valid, candidate) & (candidate >= 0)
    better = allowed & (proposed < distance)
    return jnp.where(better, candidate, match), jnp.where(better, proposed, distance)


def propagate(
    sources: Sources,
    field: Field,
    targets: Array,
    descriptors: Array,
    width: Array,
    *,
    jumps: tuple[int, ...],
) -> Field:
    """Proposes to each target the shifted matches of neighbours at the given jumps.

    `targets` [N] index a picture of width `width`; `descriptors` [N, D] are theirs.
    """
    steps = [
        (dy * jump, dx * jump)
        for jump in jumps
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))
    ]
    steps = jnp.asarray(steps, jnp.int32)
    in_target = steps[:, 0] * width + steps[:, 1]
    in_source = steps[:, 0] * sources.width + steps[:, 1]

    def body(k, field):
        neighbour = take(field.match, targets - in_target[k])
        current = take(field.match, targets), field.distance
        match, distance = _accept(
            sources, descriptors, current, neighbour + in_source[k]
        )
        return Field(put(field.match, targets, match), distance)

    return jax.lax.fori_loop(0, len(steps), body, field)


def random_search(
    sources: Sources,
    field: Field,
    targets: Array,
    descriptors: Array,
    seed: Array,
    draw: Array,
    *,
    random: int,
) -> Field:
    """Proposes one uniform source, then sources in boxes of halving radius.

    `random` proposals in all; `draw` numbers them, so that no two calls draw alike.
    """
    side = jnp.maximum(sources.width, sources.height)

    def body(k, current):
        bits = random_bits(seed, draw + k, targets)
        radius = jnp.maximum(side >> (k + 1), 1)
        span = (2 * radius + 1).astype(jnp.uint32)
        # Two 16-bit draws: no picture side here comes near 2**16. A step across the
        # left or right edge lands one row off: an odd proposal, but an allowed one.
        dy = (((bits >> 16) * span) >> 16).astype(jnp.int32) - radius
        dx = (((bits & 0xFFFF) * span) >> 16).astype(jnp.int32) - radius
        near = current[0] + dy * sources.width + dx
        anywhere = take(sources.listed, random_below(bits, sources.count))
        candidate = jnp.where(k == 0, anywhere, near)
        return _accept(sources, descriptors, current, candidate)

    current = take(field.match, targets), field.distance
    match, distance = jax.lax.fori_loop(0, random, body, current)
    return Field(put(field.match, targets, match), distance)


def search(
    sources: Sources,
    match: Array,
    targets: Array,
    descriptors: Array,
    width: Array,
    seed: Array,
    draw: Array,
    *,
    passes: int,
    jumps: tuple[int, ...],
    random: int,
) -> Field:
    """PatchMatch: `passes` times propagation and random search, from `match` [HW].

    The distance of no target ever rises. `draw` must grow by `passes * random` from
    call to call.
    """
    distance = distance_to(sources, descriptors, take(match, targets))

    def body(k, field):
        field = propagate(sources, field, targets, descriptors, width, jumps=jumps)
        return random_search(
            sources,
            field,
            targets,
            descriptors,
            seed,
            draw + k * random,
            random=random,
        )

    return jax.lax.fori_loop(0, passes, body, Field(match, distance))


def search_exactly(
    sources: Sources, match: Array, targets: Array, descriptors: Array, *, block=512
) -> Field:
    """The nearest source of every target, by comparing all pairs block by block."""
    size = sources.listed.shape[0]
    keys = take(sources.descriptors, sources.listed)
    square = jnp.sum(keys * keys, axis=-1)
    square = jnp.where(jnp.arange(size) < sources.count, square, _FAR)
    count = targets.shape[0]
    block = min(block, count)
    blocks = -(-count // block)
    padded = jnp.pad(descriptors, ((0, blocks * block - count), (0, 0)))
    low = (1 << max(size - 1, 1).bit_length()) - 1

    def nearest(part):
        cross = jnp.matmul(part, keys.T, precision="highest")
        own = jnp.sum(part * part, axis=-1, keepdims=True)
        squared = jnp.maximum(square[None] - 2 * cross + own, 0)
        # The bits of floats >= 0 are ordered like the floats: with the index in the
        # low bits, one integer minimum finds the nearest and names it.
        bits = jax.lax.bitcast_convert_type(squared, jnp.int32)
        packed = (bits & ~low) | jnp.arange(size, dtype=jnp.int32)[None]
        return jnp.min(packed, axis=-1) & low

    best = jax.lax.map(nearest, padded.reshape(blocks, block, -1)).reshape(-1)[:count]
    found = take(sources.listed, best)
    # Of all but equal sources the packed index decides; the distance is exact again.
    distance = distance_to(sources, descriptors, found)
    return Field(put(match, targets, found), distance)
