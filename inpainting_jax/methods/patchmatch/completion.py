"""Coarse-to-fine completion: the loop of search and vote (Wexler et al. 2007)."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.methods.patchmatch import descriptors
from inpainting_jax.methods.patchmatch.indexing import (
    chunk_of,
    chunk_size,
    put,
    take,
)
from inpainting_jax.methods.patchmatch.poisson import screened_poisson
from inpainting_jax.methods.patchmatch.search import (
    Sources,
    random_sources,
    search,
    search_exactly,
)
from inpainting_jax.methods.patchmatch.vote import best_patch, vote
from inpainting_jax.types import Array


class Level(NamedTuple):
    """One scale of one picture as padded arrays; what the device needs.

    Attributes:
      features: [HW, F], in the hole a smooth start.
      valid: [HW] bool, wholly known patches.
      confidence: [HW] logarithm of a patch's weight.
      targets, hole, columns, sources: index lists (`pyramid.Lists`), padded.
      sample: [SAMPLE] sources for the principal components.
      start: first match of each target; not a source = draw one at random.
      source_count: number of real `sources`.
      height, width: of the picture, scalars.
    """

    features: np.ndarray
    valid: np.ndarray
    confidence: np.ndarray
    targets: np.ndarray
    hole: np.ndarray
    columns: np.ndarray
    sources: np.ndarray
    sample: np.ndarray
    start: np.ndarray
    source_count: np.ndarray
    height: np.ndarray
    width: np.ndarray


class Dials(NamedTuple):
    """Scalars that need no compilation of their own, shared by a batch.

    Attributes:
      target_chunks, hole_chunks, column_chunks: how many chunks the lists fill.
      steps: search-and-vote steps of the level.
      passes, random, spread, screen: as in `Options`.
    """

    target_chunks: np.ndarray
    hole_chunks: np.ndarray
    column_chunks: np.ndarray
    steps: np.ndarray
    passes: np.ndarray
    random: np.ndarray
    spread: np.ndarray
    screen: np.ndarray


class Kind(NamedTuple):
    """What a level is compiled for, besides its shapes."""

    patch: int
    dims: int
    jumps: tuple[int, ...]
    channels: int
    exact: bool
    final: str


class Result(NamedTuple):
    """Of one level: features or colours [HW, F or C], matches [HW]."""

    colours: Array
    match: Array


@partial(jax.jit, static_argnames="kind")
def run_levels(level: Level, seed: Array, dials: Dials, *, kind: Kind) -> Result:
    """`run_level` over a leading axis of pictures with equal shapes; seed [B, 2]."""
    run = partial(run_level, kind=kind)
    return jax.vmap(run, in_axes=(0, 0, None))(level, seed, dials)


def run_level(level: Level, seed: Array, dials: Dials, *, kind: Kind) -> Result:
    """Search and vote at one scale; `kind.final` is applied at the end."""
    features, width = level.features, level.width
    basis = descriptors.fit_basis(
        features, width, level.sample, patch=kind.patch, dims=kind.dims
    )
    columns, described = descriptors.describe_all(
        features, width, basis, patch=kind.patch
    )
    sources = Sources(
        described, level.valid, level.sources, level.source_count, width, level.height
    )
    match, distances = _start(level, sources, seed)
    improve = partial(_improve, level, sources, basis, seed, dials, kind)
    vote_all = partial(_vote_all, level, dials, kind)

    def step(number, carry):
        features, columns, match, distances = carry
        # The first vote colours the hole from the start field. It shares the loop with
        # the others, because a second copy of the vote takes a second to compile.
        columns, match, distances = jax.lax.cond(
            number > 0,
            improve,
            lambda number, features, *state: state,
            number,
            features,
            columns,
            match,
            distances,
        )
        return vote_all(features, match, distances, number), columns, match, distances

    features, _, match, distances = jax.lax.fori_loop(
        0, dials.steps + 1, step, (features, columns, match, distances)
    )
    colours = _finish(level, dials, kind, features, match, distances)
    return Result(colours, match)


def _start(level: Level, sources: Sources, seed: Array) -> tuple[Array, Array]:
    """First matches and distances [HW]: those given, or random ones."""
    size = level.features.shape[0]
    drawn = random_sources(sources, seed, jnp.int32(0), level.targets)
    known = take(level.valid, level.start)
    start = jnp.where(known, level.start, drawn)
    match = put(jnp.arange(size, dtype=jnp.int32), level.targets, start)
    # Where no coarser match is at hand nobody votes, and the smooth start stays.
    distance = jnp.where(known, 0.0, jnp.inf)
    return match, put(jnp.full((size,), jnp.inf), level.targets, distance)


def _improve(
    level,
    sources,
    basis,
    seed,
    dials,
    kind,
    number,
    features,
    columns,
    match,
    distances,
):
    """Describes the present colours and searches, chunk by chunk."""
    chunk = chunk_size(features.shape[0])

    def describe(k, columns):
        index = chunk_of(level.columns, k, chunk)
        changed = descriptors.describe_columns(
            features, level.width, index, basis, patch=kind.patch
        )
        return put(columns, index, changed)

    def look(k, carry):
        match, distances = carry
        # Forth and back in turn: within one step good matches travel one way.
        k = jnp.where(number % 2 == 1, k, dials.target_chunks - 1 - k)
        index = chunk_of(level.targets, k, chunk)
        targets = descriptors.describe_patches(columns, index, basis)
        if kind.exact:
            field = search_exactly(sources, match, index, targets)
        else:
            field = search(
                sources,
                match,
                index,
                targets,
                level.width,
                seed,
                1 + number * dials.passes * dials.random,
                passes=dials.passes,
                jumps=kind.jumps,
                random=dials.random,
            )
        return field.table, put(distances, index, field.distance)

    columns = jax.lax.fori_loop(0, dials.column_chunks, describe, columns)
    match, distances = jax.lax.fori_loop(
        0, dials.target_chunks, look, (match, distances)
    )
    return columns, match, distances


def _vote_all(level, dials, kind, features, match, distances, number):
    """`features` with the hole coloured by vote, chunk by chunk."""
    chunk = chunk_size(features.shape[0])

    def colour(k, voted):
        index = chunk_of(level.hole, k, chunk)
        colours = vote(
            features,
            match,
            distances,
            level.confidence,
            index,
            level.width,
            patch=kind.patch,
            spread=dials.spread,
            thorough=number == dials.steps,
        )
        return put(voted, index, colours)

    return jax.lax.fori_loop(0, dials.hole_chunks, colour, features)


def _finish(level, dials, kind, features, match, distances):
    """Colours [HW, C] by the last step that `kind` asks for; features for none."""
    if kind.final == "none":
        return features
    colours = features[:, : kind.channels]
    if kind.final == "best":
        chunk = chunk_size(features.shape[0])

        def copy(k, copied):
            index = chunk_of(level.hole, k, chunk)
            best = best_patch(
                colours, match, distances, index, level.width, patch=kind.patch
            )
            return put(copied, index, best)

        return jax.lax.fori_loop(0, dials.hole_chunks, copy, colours)
    if kind.final == "poisson":
        return screened_poisson(
            colours,
            match,
            level.hole,
            level.height,
            level.width,
            patch=kind.patch,
            screen=dials.screen,
        )
    return colours
