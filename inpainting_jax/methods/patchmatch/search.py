"""Better matches for fixed colours: propagation, random search, exact search.

Every proposal is one vector operation over all targets; proposals follow one another,
so that a good match found in one direction travels on in the next (Barnes et al. 2009
scan pixel by pixel, which no vector machine can).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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


def distance_to(sources: Sources, descriptors: Array, candidate: Array) -> Array:
    """Squared distances [N] of target descriptors [N, D] to candidates [N]."""
    difference = descriptors - take(sources.descriptors, candidate)
    return _sum_rows(difference * difference)


def _sum_rows(values: Array) -> Array:
    """Sums [N] of [N, D] rows: eight at a time by a product with a 0-1 matrix.

    Short rows are what XLA's reduction on CPUs is slowest at: this is twice as fast.
    """
    count, size = values.shape
    if count % 8 or size > 32:
        return jnp.sum(values, axis=-1)
    ones = jnp.asarray(np.kron(np.eye(8), np.ones((size, 1))), values.dtype)
    sums = jnp.matmul(values.reshape(count // 8, 8 * size), ones, precision="highest")
    return sums.reshape(count)


def random_sources(sources: Sources, seed: Array, draw: Array, index: Array) -> Array:
    """One source per pixel index, uniformly at random."""
    pick = random_below(random_bits(seed, draw, index), sources.count)
    return take(sources.listed, pick)


class Field(NamedTuple):
    """Present matches of N targets, and of the picture they are in.

    Attributes:
      table: [HW of the target] index of the matched source, by pixel.
      match: [N] the same for the targets.
      distance: [N] squared distance of each target to its match.
    """

    table: Array
    match: Array
    distance: Array


def _accept(sources, descriptors, field, candidate):
    """`field` with the candidates [N] that are better; its table is left as it is."""
    proposed = distance_to(sources, descriptors, candidate)
    allowed = take(sources.valid, candidate) & (candidate >= 0)
    better = allowed & (proposed < field.distance)
    return field._replace(
        match=jnp.where(better, candidate, field.match),
        distance=jnp.where(better, proposed, field.distance),
    )


def _propagate(sources, field, targets, descriptors, width, jumps):
    """Proposes the shifted matches of the four neighbours at each jump."""
    steps = [
        (dy * jump, dx * jump)
        for jump in jumps
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))
    ]
    steps = jnp.asarray(steps, jnp.int32)
    in_target = steps[:, 0] * width + steps[:, 1]
    in_source = steps[:, 0] * sources.width + steps[:, 1]

    def body(k, field):
        neighbour = take(field.table, targets - in_target[k])
        field = _accept(sources, descriptors, field, neighbour + in_source[k])
        return field._replace(table=put(field.table, targets, field.match))

    return jax.lax.fori_loop(0, len(steps), body, field)


def _search_randomly(sources, field, targets, descriptors, seed, draw, random):
    """Proposes a uniform source, then sources in boxes of halving radius."""
    side = jnp.maximum(sources.width, sources.height)

    def body(k, field):
        bits = random_bits(seed, draw + k, targets)
        radius = jnp.maximum(side >> (k + 1), 1)
        span = (2 * radius + 1).astype(jnp.uint32)
        # Two 16-bit draws: no picture side here comes near 2**16. A step across the
        # left or right edge lands one row off: an odd proposal, but an allowed one.
        dy = (((bits >> 16) * span) >> 16).astype(jnp.int32) - radius
        dx = (((bits & 0xFFFF) * span) >> 16).astype(jnp.int32) - radius
        near = field.match + dy * sources.width + dx
        anywhere = take(sources.listed, random_below(bits, sources.count))
        return _accept(sources, descriptors, field, jnp.where(k == 0, anywhere, near))

    field = jax.lax.fori_loop(0, random, body, field)
    return field._replace(table=put(field.table, targets, field.match))


def search(
    sources: Sources,
    table: Array,
    targets: Array,
    descriptors: Array,
    width: Array,
    seed: Array,
    draw: Array,
    *,
    passes: Array,
    jumps: tuple[int, ...],
    random: Array,
) -> Field:
    """PatchMatch: `passes` times propagation and random search.

    The distance of no target ever rises.

    Args:
      sources: what may be matched.
      table: [HW of the target] present matches by pixel.
      targets: [N] patch centres in the target, padded past its end.
      descriptors: [N, D] of the targets.
      width: W of the target, scalar.
      seed: two words.
      draw: first number of the draws; must grow by `passes * random` between calls.
      passes: rounds.
      jumps: distances in pixels from which matches are proposed.
      random: random proposals per round.
    """
    match = take(table, targets)
    distance = distance_to(sources, descriptors, match)

    def body(k, field):
        field = _propagate(sources, field, targets, descriptors, width, jumps)
        return _search_randomly(
            sources, field, targets, descriptors, seed, draw + k * random, random
        )

    return jax.lax.fori_loop(0, passes, body, Field(table, match, distance))


def search_exactly(
    sources: Sources, table: Array, targets: Array, descriptors: Array
) -> Field:
    """The nearest source of every target, by comparing all pairs; as `search`."""
    size = sources.listed.shape[0]
    keys = take(sources.descriptors, sources.listed)
    square = jnp.sum(keys * keys, axis=-1)
    square = jnp.where(jnp.arange(size) < sources.count, square, _FAR)
    cross = jnp.matmul(descriptors, keys.T, precision="highest")
    own = jnp.sum(descriptors * descriptors, axis=-1, keepdims=True)
    squared = jnp.maximum(square[None] - 2 * cross + own, 0)
    # The bits of floats >= 0 are ordered like the floats: with the index in the low
    # bits, one integer minimum finds the nearest and names it.
    low = (1 << max(size - 1, 1).bit_length()) - 1
    bits = jax.lax.bitcast_convert_type(squared, jnp.int32)
    packed = (bits & ~low) | jnp.arange(size, dtype=jnp.int32)[None]
    match = take(sources.listed, jnp.min(packed, axis=-1) & low)
    # The product form cancels near 0; the difference does not.
    distance = distance_to(sources, descriptors, match)
    return Field(put(table, targets, match), match, distance)
