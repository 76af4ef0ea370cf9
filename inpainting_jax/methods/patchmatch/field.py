"""The nearest-neighbour field between two pictures (Barnes et al. 2009, Sec. 3)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.methods.patchmatch import descriptors
from inpainting_jax.methods.patchmatch.indexing import put, seed_words, take
from inpainting_jax.methods.patchmatch.search import (
    Sources,
    random_sources,
    search,
    search_exactly,
)
from inpainting_jax.types import Array, Key

EXACT_PAIRS = 4e7
"""Targets times sources up to which all pairs are compared by default."""

_SAMPLE = 1024
_BLOCK = 512


def nearest_neighbour_field(
    key: Key,
    source: Array,
    target: Array,
    *,
    patch: int = 7,
    valid: Array | None = None,
    passes: int = 5,
    jumps: tuple[int, ...] = (8, 4, 2, 1),
    random: int = 6,
    dims: int | None = 12,
    init: Array | None = None,
    exact: bool | None = None,
) -> tuple[Array, Array]:
    """For every patch of `target` a similar patch of `source`.

    Args:
      key: PRNG key; not used by the exact search.
      source: [Hs, Ws, C] float, any range; Hs, Ws >= `patch`.
      target: [Ht, Wt, C] float, the same channels and range.
      patch: side P, odd, >= 1.
      valid: [Hs, Ws] bool, pixels that may be used: a patch is a source only if all its
        pixels are. None = all. If no patch is, offsets are 0 and distances infinite.
      passes: rounds of propagation and random search.
      jumps: distances in pixels at which matches are propagated.
      random: random proposals per pass.
      dims: patches are compared by this many principal components; None = by all their
        pixels, which takes H * W * P * P * C numbers.
      init: [Ht - P + 1, Wt - P + 1, 2] offsets to start from; None = random. One that
        leads to no source is replaced by a random one.
      exact: compare all pairs; None = if there are at most `EXACT_PAIRS`.

    Returns:
      offsets [Ht - P + 1, Wt - P + 1, 2] int32 (row, column) such that the patch at
      y, x of the target matches the one at y + offsets[y, x, 0], x + offsets[y, x, 1],
      and their sums of squared differences, over all pixels and channels.

    Raises:
      ValueError: for shapes that do not fit.
    """
    _check(source, target, patch, valid, init)
    sources = (source.shape[0] - patch + 1) * (source.shape[1] - patch + 1)
    targets = (target.shape[0] - patch + 1) * (target.shape[1] - patch + 1)
    if exact is None:
        exact = sources * targets <= EXACT_PAIRS
    if valid is None:
        valid = jnp.ones(source.shape[:2], bool)
    return _field(
        seed_words(key),
        jnp.asarray(source, jnp.float32),
        jnp.asarray(target, jnp.float32),
        jnp.asarray(valid, bool),
        init,
        patch=patch,
        passes=jnp.int32(passes),
        jumps=tuple(jumps),
        random=jnp.int32(random),
        dims=dims,
        exact=exact,
    )


def _check(source, target, patch, valid, init):
    if patch < 1 or patch % 2 == 0:
        raise ValueError(f"patch must be odd and at least 1, got {patch}")
    for name, image in (("source", source), ("target", target)):
        if image.ndim != 3 or min(image.shape[:2]) < patch:
            raise ValueError(
                f"{name} must be [H, W, C] with H, W >= patch={patch},"
                f" got {image.shape}"
            )
    if source.shape[2] != target.shape[2]:
        raise ValueError(
            f"source has {source.shape[2]} channels and target {target.shape[2]}"
        )
    if valid is not None and valid.shape != source.shape[:2]:
        raise ValueError(f"valid must be {source.shape[:2]}, got {valid.shape}")
    field = (target.shape[0] - patch + 1, target.shape[1] - patch + 1, 2)
    if init is not None and init.shape != field:
        raise ValueError(f"init must be {field}, got {init.shape}")


@partial(jax.jit, static_argnames=("patch", "jumps", "dims", "exact"))
def _field(
    seed, source, target, valid, init, *, patch, passes, jumps, random, dims, exact
):
    width = jnp.int32(target.shape[1])
    sources = _sources(source, valid, patch)
    targets = jnp.asarray(_centres(target.shape, patch).reshape(-1))
    described = _describe(source, target, sources, targets, patch=patch, dims=dims)
    sources, looked_for = sources._replace(descriptors=described[0]), described[1]
    match = jnp.zeros(target.shape[0] * target.shape[1], jnp.int32)
    if exact:
        found = _search_in_blocks(sources, match, targets, looked_for)
    else:
        start = random_sources(sources, seed, jnp.int32(0), targets)
        if init is not None:
            y, x = targets // width, targets % width
            given = init.reshape(-1, 2)
            given = (y + given[:, 0]) * sources.width + x + given[:, 1]
            start = jnp.where(take(sources.valid, given), given, start)
        found = search(
            sources,
            put(match, targets, start),
            targets,
            looked_for,
            width,
            seed,
            jnp.int32(1),
            passes=passes,
            jumps=jumps,
            random=random,
        ).match
    return _answer(source, target, sources, targets, found, patch)


def _search_in_blocks(sources, table, targets, descriptors):
    """Exact matches [N] with at most `_BLOCK` rows of distances at a time."""
    count = targets.shape[0]
    block = min(_BLOCK, count)
    blocks = -(-count // block)
    padded = jnp.pad(descriptors, ((0, blocks * block - count), (0, 0)))
    padded_targets = jnp.pad(targets, (0, blocks * block - count))
    found = jax.lax.map(
        lambda part: search_exactly(sources, table, *part).match,
        (
            padded_targets.reshape(blocks, block),
            padded.reshape(blocks, block, descriptors.shape[1]),
        ),
    )
    return found.reshape(-1)[:count]


def _centres(shape: tuple[int, ...], patch: int) -> np.ndarray:
    """Flat indices [H - P + 1, W - P + 1] of the patch centres."""
    radius = patch // 2
    index = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape[:2])
    return index[radius : shape[0] - radius, radius : shape[1] - radius]


def _sources(source: Array, valid: Array, patch: int) -> Sources:
    """The wholly valid patches; descriptors are filled in later."""
    height, width = valid.shape
    whole = jax.lax.reduce_window(
        valid.astype(jnp.int32), 1, jax.lax.min, (patch, patch), (1, 1), "VALID"
    )
    margin = patch // 2
    whole = jnp.pad(whole, margin).reshape(-1) > 0
    listed = jnp.nonzero(whole, size=height * width, fill_value=height * width)[0]
    return Sources(
        jnp.zeros(()),
        whole,
        listed.astype(jnp.int32),
        jnp.sum(whole, dtype=jnp.int32),
        jnp.int32(width),
        jnp.int32(height),
    )


def _describe(source, target, sources, targets, *, patch, dims):
    """Descriptors of all source pixels [HW, D] and of the listed targets [N, D]."""
    size = source.shape[2]
    flat_source, flat_target = source.reshape(-1, size), target.reshape(-1, size)
    if dims is None:
        everywhere = jnp.arange(flat_source.shape[0], dtype=jnp.int32)
        return (
            _all_pixels(flat_source, sources.width, everywhere, patch),
            _all_pixels(flat_target, jnp.int32(target.shape[1]), targets, patch),
        )
    spread = jnp.linspace(0.0, 1.0, _SAMPLE) * (sources.count - 1)
    sample = take(sources.listed, spread.astype(jnp.int32))
    basis = descriptors.fit_basis(
        flat_source, sources.width, sample, patch=patch, dims=dims
    )
    _, described = descriptors.describe_all(
        flat_source, sources.width, basis, patch=patch
    )
    columns, _ = descriptors.describe_all(
        flat_target, jnp.int32(target.shape[1]), basis, patch=patch
    )
    return described, descriptors.describe_patches(columns, targets, basis)


def _window(width: Array, patch: int) -> Array:
    reach = jnp.arange(-(patch // 2), patch // 2 + 1)
    return (reach[:, None] * width + reach[None]).reshape(-1)


def _all_pixels(table: Array, width: Array, index: Array, patch: int) -> Array:
    window = _window(width, patch)
    return take(table, index[:, None] + window[None]).reshape(index.shape[0], -1)


def _answer(source, target, sources, targets, found, patch):
    """Offsets and sums of squared differences of the matches."""
    width = target.shape[1]
    flat_source = source.reshape(-1, source.shape[2])
    flat_target = target.reshape(-1, target.shape[2])
    here, there = _window(jnp.int32(width), patch), _window(sources.width, patch)

    def add(k, total):
        difference = take(flat_target, targets + here[k])
        difference = difference - take(flat_source, found + there[k])
        return total + jnp.sum(difference * difference, axis=-1)

    total = jnp.zeros(targets.shape)
    total = jax.lax.fori_loop(0, patch * patch, add, total)
    offsets = jnp.stack(
        [
            found // sources.width - targets // width,
            found % sources.width - targets % width,
        ],
        axis=-1,
    )
    some = sources.count > 0
    shape = (target.shape[0] - patch + 1, width - patch + 1)
    offsets = jnp.where(some, offsets, 0).reshape(*shape, 2)
    return offsets, jnp.where(some, total, jnp.inf).reshape(shape)
