"""Nearest neural patches, and the texture loss to them (Yang et al. 2017, Eq. 3, 4).

A neural patch is a `PATCH` x `PATCH` window of a feature map, named by its centre; all
lie inside the map, so that centre [0, 0] of [H - 2, W - 2] stands at [1, 1] of the map.
Patches are never cut out: see `layers.patches`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.layers.patches import BOTH_AXES, diagonal_sum, known_patches
from inpainting_jax.types import Array

PATCH = 3
RULES = ("l2", "ncc")

_ROWS = 4  # rows of centres whose scores are in memory at once


class Targets(NamedTuple):
    """What a map should become: its patches' neighbours laid over one another.

    Attributes:
      mean: [H, W, C] of the neighbours' pixels that fall on one pixel.
      cover: [H, W, 1] how many do; 0 where no patch is.
      spread: sum of squared distances of these pixels from `mean`, the part of the
        texture loss that no features can remove.
      count: number of patches.
    """

    mean: Array
    cover: Array
    spread: Array
    count: Array


def to_cells(mask: Array, stride: int) -> Array:
    """A mask [B, H, W, 1] at the size of a feature map: 1 if any pixel of a cell is."""
    window = (1, stride, stride, 1)
    return jax.lax.reduce_window(mask, 0.0, jax.lax.max, window, window, "VALID")


def stepped(length: int, stride: int) -> np.ndarray:
    """[length] bool: every `stride`-th position and the last."""
    positions = np.arange(length)
    return (positions % stride == 0) | (positions == length - 1)


def centres(height: int, width: int, stride: int) -> np.ndarray:
    """[H - 2, W - 2] bool: the patches of a map that take part at this stride."""
    rows, columns = (stepped(length - PATCH + 1, stride) for length in (height, width))
    return rows[:, None] & columns[None]


def candidates(known: Array, stride: int) -> Array:
    """Which patches of maps may be copied: all of their cells are known.

    Args:
      known: [N, H, W, 1] cells, 1 = known.
      stride: of their centres.

    Returns:
      [N, H - 2, W - 2] bool.
    """
    free = known_patches(1 - known, PATCH)[:, 1:-1, 1:-1] > 0.5
    return free & jnp.asarray(centres(*known.shape[1:3], stride))[None]


def nearest_patches(
    features: Array, sources: Array, allowed: Array, *, rule: str = "l2"
) -> Array:
    """The best source of every patch: nearest ("l2") or most alike in angle ("ncc").

    Args:
      features: [H, W, C].
      sources: [N, h, w, C] maps whose patches may be copied.
      allowed: [N, h - 2, w - 2] bool: these patches.
      rule: "l2" minimises the squared distance (Eq. 4), "ncc" maximises the normalised
        cross-correlation (Li and Wand 2016).

    Returns:
      [H - 2, W - 2] int32 into N * (h - 2) * (w - 2); meaningless if none is allowed.

    Raises:
      ValueError: an unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r} of matching; known: {RULES}")
    sources = sources.astype(jnp.float32)
    squares = jax.lax.reduce_window(
        jnp.sum(sources**2, axis=-1),
        0.0,
        jax.lax.add,
        (1, PATCH, PATCH),
        (1, 1, 1),
        "VALID",
    )
    count, columns = features.shape[0] - PATCH + 1, features.shape[1] - PATCH + 1
    rows = min(_ROWS, count)
    starts = jnp.minimum(jnp.arange(0, count, rows), count - rows)

    def best(start: Array) -> Array:
        """[rows, columns] of the patches from row `start` on."""
        part = jax.lax.dynamic_slice_in_dim(features, start, rows + PATCH - 1)
        table = jnp.einsum(
            "ijc,nklc->nijkl",
            part.astype(jnp.float32),
            sources,
            precision=jax.lax.Precision.HIGHEST,
        )
        products = diagonal_sum(table, PATCH, BOTH_AXES)
        if rule == "l2":
            scores = 2 * products - squares[:, None, None]
        else:
            inverse = jax.lax.rsqrt(jnp.maximum(squares, 1e-8))
            scores = products * inverse[:, None, None]
        scores = jnp.where(allowed[:, None, None], scores, -jnp.inf)
        scores = scores.transpose(1, 2, 0, 3, 4).reshape(rows, columns, -1)
        return jnp.argmax(scores, axis=-1).astype(jnp.int32)

    # The last block may begin before the end of the one ahead of it.
    row = jnp.arange(count)
    return jax.lax.map(best, starts)[row // rows, row - starts[row // rows]]


def gather_targets(index: Array, sources: Array, wanted: Array) -> Targets:
    """Lays the chosen patches over one another.

    Args:
      index: [H - 2, W - 2] of `nearest_patches`.
      sources: [N, h, w, C] as there.
      wanted: [H - 2, W - 2] bool: the patches that count.
    """
    _, height, width, channels = sources.shape
    inner = (height - PATCH + 1, width - PATCH + 1)
    flat = sources.astype(jnp.float32).reshape(-1, channels)
    image, place = index // (inner[0] * inner[1]), index % (inner[0] * inner[1])
    corner = (image * height + place // inner[1]) * width + place % inner[1]
    weights = wanted.astype(jnp.float32)[..., None]
    rows, columns = index.shape
    size = (rows + PATCH - 1, columns + PATCH - 1)

    def pieces():
        """Of each position in a patch: where it falls, and what the sources have."""
        for down in range(PATCH):
            for right in range(PATCH):
                where = np.s_[down : down + rows, right : right + columns]
                yield where, flat[corner + down * width + right]

    total, cover = jnp.zeros((*size, channels)), jnp.zeros((*size, 1))
    for where, piece in pieces():
        total = total.at[where].add(weights * piece)
        cover = cover.at[where].add(weights)
    mean = total / jnp.maximum(cover, 1)
    spread = sum(jnp.sum(weights * (p - mean[w]) ** 2) for w, p in pieces())
    return Targets(mean, cover, spread, weights.sum())


def texture_loss(
    features: Array, targets: Targets, *, reduction: str = "patch"
) -> Array:
    """Distance of a map's patches from their neighbours.

    Args:
      features: [H, W, C].
      targets: of this map.
      reduction: "patch": squared distance of a patch, the mean over patches (Eq. 3);
        its gradient at a pixel is 2 / count times the sum of the differences of the
        patches that cover it. "average": half the squared distance from `targets.mean`,
        summed: the gradient is the mean of these differences, as in the released code.

    Returns:
      A scalar; 0 where there is no patch.
    """
    squares = jnp.sum((features - targets.mean) ** 2, axis=-1, keepdims=True)
    if reduction == "average":
        return 0.5 * jnp.sum(jnp.where(targets.cover > 0, squares, 0))
    total = jnp.sum(targets.cover * squares) + targets.spread
    return total / jnp.maximum(targets.count, 1)
