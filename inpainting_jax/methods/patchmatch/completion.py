"""Coarse-to-fine completion: the loop of search and vote (Wexler et al. 2007)."""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.methods.patchmatch import descriptors
from inpainting_jax.methods.patchmatch.indexing import (
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


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of a completion; the defaults are those of the README's tables.

    Attributes:
      patch: side of the patches, odd, 3 to 31.
      levels: scales of the pyramid; None = as many as the size allows.
      passes: search passes per step, each propagation and random search.
      jumps: distances in pixels at which neighbours' matches are proposed.
      random: random proposals per pass.
      steps: (coarsest, finest) number of search-and-vote steps, linear between.
      texture: weight of the two texture features beside the colour; 0 = colour only.
      dims: length of the patch descriptors.
      confidence: factor > 1 by which a patch weighs less per pixel into the hole.
      spread: variance of the votes as a share of the mean squared distance of the
        patches that cover a pixel; less = sharper.
      exact_pairs: targets times sources up to which the search is exhaustive.
      final: `average` (the last vote), `best` (colour of the nearest covering patch)
        or `poisson` (gradients of the patches, sharper).
      batched: whether pictures of a batch run together (`vmap`) or one by one; None =
        together except on a CPU, where that gains nothing. Together, a picture may
        differ from its result alone: sums round otherwise, and matches flip.
    """

    patch: int = 7
    levels: int | None = None
    passes: int = 2
    jumps: tuple[int, ...] = (4, 1)
    random: int = 6
    steps: tuple[int, int] = (30, 4)
    texture: float = 3.0
    dims: int = 12
    confidence: float = 1.4
    spread: float = 0.5
    exact_pairs: float = 1e6
    final: str = "average"
    batched: bool | None = None


class Level(NamedTuple):
    """One scale of one picture as padded arrays; what the device needs.

    Attributes:
      features: [HW, F], 0 in the hole.
      valid: [HW] bool, wholly known patches.
      confidence: [HW] logarithm of a patch's weight.
      targets, hole, columns, sources: index lists (`pyramid.Lists`), padded.
      sample: [SAMPLE] sources for the principal components.
      start: [N] first match of each target; not a source = draw one at random.
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


class Result(NamedTuple):
    """Of one level: hole colours [Nh, F], matches [HW] and distances [N]."""

    colours: Array
    match: Array
    distance: Array


@partial(jax.jit, static_argnames=("options", "exact", "finish"))
def run_levels(
    level: Level,
    seed: Array,
    steps: Array,
    *,
    options: Options,
    exact: bool,
    finish: bool,
) -> Result:
    """`run_level` over a leading axis of pictures with equal shapes; seed [B, 2]."""
    run = partial(run_level, options=options, exact=exact, finish=finish)
    return jax.vmap(run, in_axes=(0, 0, None))(level, seed, steps)


def run_level(
    level: Level,
    seed: Array,
    steps: Array,
    *,
    options: Options,
    exact: bool,
    finish: bool,
) -> Result:
    """Search and vote at one scale; `finish` applies `options.final` at the end."""
    patch = options.patch
    features, width = level.features, level.width
    basis = descriptors.fit_basis(
        features, width, level.sample, patch=patch, dims=options.dims
    )
    columns, described = descriptors.describe_all(features, width, basis, patch=patch)
    sources = Sources(
        described, level.valid, level.sources, level.source_count, width, level.height
    )
    pixels = jnp.arange(features.shape[0], dtype=jnp.int32)
    blank = jnp.full(pixels.shape, jnp.inf)

    def improve(number, features, columns, match):
        changed = descriptors.describe_columns(
            features, width, level.columns, basis, patch=patch
        )
        columns = put(columns, level.columns, changed)
        targets = descriptors.describe_patches(columns, level.targets, basis)
        if exact:
            field = search_exactly(sources, match, level.targets, targets)
        else:
            field = search(
                sources,
                match,
                level.targets,
                targets,
                width,
                seed,
                1 + number * options.passes * options.random,
                passes=options.passes,
                jumps=options.jumps,
                random=options.random,
            )
        return columns, *field

    def step(number, carry):
        features, columns, match, distance = carry
        # The first vote colours the hole from the start field. It shares the loop with
        # the others, because a second copy of the vote costs a second to compile.
        columns, match, distance = jax.lax.cond(
            number > 0,
            improve,
            lambda number, features, columns, match: (columns, match, distance),
            number,
            features,
            columns,
            match,
        )
        features = vote(
            features,
            match,
            put(blank, level.targets, distance),
            level.confidence,
            level.columns,
            level.hole,
            width,
            patch=patch,
            spread=options.spread,
        )
        return features, columns, match, distance

    drawn = random_sources(sources, seed, jnp.int32(0), level.targets)
    known = take(level.valid, level.start)
    match = put(pixels, level.targets, jnp.where(known, level.start, drawn))
    # Where no coarser match is at hand nobody votes, and the smooth start stays.
    distance = jnp.where(known, 0.0, jnp.inf)
    features, _, match, distance = jax.lax.fori_loop(
        0, steps + 1, step, (features, columns, match, distance)
    )
    if finish and options.final == "best":
        distances = put(blank, level.targets, distance)
        features = best_patch(
            features, match, distances, level.hole, width, patch=patch
        )
    elif finish and options.final == "poisson":
        features = screened_poisson(
            features, match, level.hole, level.height, width, patch=patch
        )
    return Result(take(features, level.hole), match, distance)
