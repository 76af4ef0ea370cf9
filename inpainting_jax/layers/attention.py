"""Contextual attention: fills hole features by copying from the known ones.

Yu et al. 2018, "Generative Image Inpainting with Contextual Attention", Sec. 4,
https://arxiv.org/abs/1801.07892. Local vocabulary: a *query* is a position of the
foreground, a *key* one of the background, both on the score grid (features reduced by
`rate`); shape suffixes: B batch, R rows of queries, W queries per row, K keys, D length
of a compared patch, E length of a pasted patch.

Scores are computed for some image rows of queries at a time. The softmax needs whole
rows of keys only, so the blocks are independent but for the fusion, which adds the
scores of neighbouring queries: a block computes those itself.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from inpainting_jax.layers.patches import (
    PatchNorm,
    extract_patches,
    fold_patches,
    inverse_patch_norms,
    patch_coverage,
)
from inpainting_jax.layers.resize import ResizeRule, resize_nearest

# Scores held at once when `block_size` is None; a block has about four such arrays.
_MAX_SCORES = 2**26


class _Keys(NamedTuple):
    compared: jax.Array  # [B, K, D]
    scale: jax.Array  # [B, K], one over the length of each compared patch
    valid: jax.Array  # [B, K], 1 where the patch holds no hole pixel
    pasted: jax.Array  # [B, K, E]


def contextual_attention(
    foreground: jax.Array,
    background: jax.Array,
    mask: jax.Array | None,
    *,
    ksize: int = 3,
    stride: int = 1,
    rate: int = 2,
    fuse_k: int = 3,
    softmax_scale: float = 10.0,
    fuse: bool = True,
    block_size: int | None = None,
    resize_rule: ResizeRule = "align_corners",
    patch_norm: PatchNorm = "max",
    overlap: Literal["const4", "exact"] = "const4",
    mask_mode: Literal["zero", "neg_inf"] = "zero",
    shared_mask: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Fills features with known patches, weighted by similarity (Yu et al. 2018).

    Patches of `foreground` are compared with normalised patches of `background` outside
    the hole; the softmax of the scores mixes the raw patches. Differentiable; with
    more than one block each is rematerialised in the backward pass.

    Args:
      foreground: [B, H, W, C] features to fill.
      background: [B, H', W', C] features to copy from.
      mask: 1 = hole, at the size of `background` or of the score grid
        (H'/rate, W'/rate), [B, ., ., 1] or [1, ., ., 1]; None: everything is known.
        Patches that touch the hole are never copied. If none is left the result is 0.
      ksize: side of the compared patches on the score grid.
      stride: distance of neighbouring keys on the score grid; 1 if `fuse`.
      rate: reduction from features to score grid; patches of 2 * rate are pasted.
      fuse_k: length of the diagonals that fusion adds up, odd.
      softmax_scale: inverse temperature, > 0.
      fuse: whether neighbouring queries support copying from neighbouring keys.
      block_size: image rows of queries per block; H / rate: all at once (dense);
        None: as many as keep the scores of a block below 256 MiB.
      resize_rule: which pixel the reduction takes (`resize_nearest`).
      patch_norm: length of a patch (`inverse_patch_norms`).
      overlap: "const4": pasted sums are divided by 4, so the outermost pixels, which
        fewer patches cover, are darker (the authors' code); "exact": by the coverage.
      mask_mode: "zero": hole patches keep a score of 0 in the sum of the softmax (the
        authors' code, deliberately); "neg_inf": they take no part in it.
      shared_mask: use the mask of the first sample for the whole batch.

    Returns:
      [B, H, W, C] filled features in the dtype of `foreground`, and [B, H/rate, W/rate,
      2] int32: (row, column) of the best key minus that of the query, in pixels of the
      score grid; 0 where nothing can be copied.

    Raises:
      ValueError: on shapes that do not fit, or unknown options.

    Differs from the authors' code: each image has its own mask unless `shared_mask`.
    """
    _check(foreground, background, ksize, stride, rate, fuse_k if fuse else 1)
    grid = tuple(side // rate for side in foreground.shape[1:3])
    queries = extract_patches(
        resize_nearest(foreground, *grid, rule=resize_rule), ksize
    )
    keys, key_grid = _prepare_keys(
        background, mask, ksize, stride, rate, resize_rule, patch_norm, shared_mask
    )
    attend = functools.partial(
        _attend_rows,
        queries=queries,
        keys=keys,
        key_grid=key_grid,
        reach=fuse_k // 2 if fuse else 0,
        softmax_scale=softmax_scale,
        mask_mode=mask_mode,
    )
    if block_size is None:
        block_size = _choose_block_size(queries.shape, keys.valid.shape[1])
    patches, best = _map_blocks(attend, grid[0], block_size)
    filled = fold_patches(patches, 2 * rate, stride=rate)
    filled = filled / _divisor(filled.shape, rate, overlap)
    any_valid = jnp.any(keys.valid > 0, axis=1)[:, None, None, None]
    offsets = jnp.where(any_valid, _offsets(best, key_grid, stride), 0)
    return filled.astype(foreground.dtype), offsets


def _check(
    foreground: jax.Array,
    background: jax.Array,
    ksize: int,
    stride: int,
    rate: int,
    fuse_k: int,
) -> None:
    same = (0, 3)
    if any(foreground.shape[axis] != background.shape[axis] for axis in same):
        raise ValueError(
            "foreground and background need the same batch and channels, got"
            f" {foreground.shape} and {background.shape}"
        )
    for side in (*foreground.shape[1:3], *background.shape[1:3]):
        if side % rate or side < rate:
            raise ValueError(
                f"height and width must be multiples of rate={rate}, got {side}: pad"
                " the image so that its features are"
            )
    if ksize % 2 == 0 or fuse_k % 2 == 0:
        raise ValueError(f"ksize={ksize} and fuse_k={fuse_k} must be odd")
    if stride != 1 and fuse_k > 1:
        raise ValueError(f"fusion needs stride=1, got {stride}: pass fuse=False")
    if fuse_k // 2 > min(foreground.shape[1], background.shape[1]) // rate:
        raise ValueError(f"fuse_k={fuse_k} is longer than the score grid is high")


def _prepare_keys(
    background: jax.Array,
    mask: jax.Array | None,
    ksize: int,
    stride: int,
    rate: int,
    resize_rule: ResizeRule,
    patch_norm: PatchNorm,
    shared_mask: bool,
) -> tuple[_Keys, tuple[int, int]]:
    batch, height, width, _ = background.shape
    grid = (height // rate, width // rate)
    reduced = resize_nearest(background, *grid, rule=resize_rule)
    compared = extract_patches(reduced, ksize, stride=stride)
    pasted = extract_patches(background, 2 * rate, stride=rate * stride)
    key_grid = compared.shape[1:3]
    compared = compared.reshape(batch, -1, compared.shape[-1])
    if mask is None:
        valid = jnp.ones(compared.shape[:2], jnp.float32)
    else:
        if mask.shape[1:3] not in (grid, (height, width)) or mask.shape[0] not in (
            1,
            batch,
        ):
            raise ValueError(
                f"mask {mask.shape} fits neither the background {background.shape} nor"
                f" its score grid {grid}; resize it with resize_nearest"
            )
        mask = resize_nearest(
            mask[:1] if shared_mask else mask, *grid, rule=resize_rule
        )
        holes = jnp.max(extract_patches(mask, ksize, stride=stride), axis=-1)
        valid = (holes == 0).astype(jnp.float32).reshape(mask.shape[0], -1)
        valid = jnp.broadcast_to(valid, compared.shape[:2])
    scale = inverse_patch_norms(compared, rule=patch_norm)
    return _Keys(compared, scale, valid, pasted.reshape(batch, -1, pasted.shape[-1])), (
        key_grid
    )


def _choose_block_size(shape: tuple[int, ...], keys: int) -> int:
    batch, rows, columns, _ = shape
    affordable = _MAX_SCORES // (batch * columns * keys) - 2
    return min(max(affordable, 1), rows)


def _map_blocks(attend, rows: int, block_size: int):
    """Runs `attend(first_row, rows)` over blocks and joins the rows of the results."""
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1 row, got {block_size}")
    if block_size >= rows:
        return attend(0, rows)
    blocks = -(-rows // block_size)
    # The last block may reach below the image; what it computes there is cut off.
    starts = jnp.arange(blocks) * block_size
    results = jax.lax.map(
        jax.checkpoint(lambda first_row: attend(first_row, block_size)), starts
    )

    def join(blocked: jax.Array) -> jax.Array:
        joined = jnp.moveaxis(blocked, 0, 1)
        joined = joined.reshape(joined.shape[0], -1, *joined.shape[3:])
        return joined[:, :rows]

    return jax.tree.map(join, results)


def _attend_rows(
    first_row: jax.Array | int,
    rows: int,
    *,
    queries: jax.Array,
    keys: _Keys,
    key_grid: tuple[int, int],
    reach: int,
    softmax_scale: float,
    mask_mode: str,
) -> tuple[jax.Array, jax.Array]:
    """Pasted patches [B, R, W, E] and best key [B, R, W] of some rows of queries."""
    scores_BxRxWxK = _fused_scores(first_row, rows, queries, keys, key_grid, reach)
    valid = keys.valid[:, None, None, :]
    if mask_mode == "zero":
        logits = softmax_scale * scores_BxRxWxK * valid
    elif mask_mode == "neg_inf":
        # The lowest number, not -inf: all keys may be invalid, and inf - inf is NaN.
        lowest = jnp.finfo(jnp.float32).min
        logits = jnp.where(valid > 0, softmax_scale * scores_BxRxWxK, lowest)
    else:
        raise ValueError(f"unknown mask_mode {mask_mode!r}: use 'zero' or 'neg_inf'")
    weights_BxRxWxK = jax.nn.softmax(logits, axis=-1) * valid
    patches = jnp.einsum(
        "brwk,bke->brwe",
        weights_BxRxWxK.astype(keys.pasted.dtype),
        keys.pasted,
        preferred_element_type=jnp.float32,
    )
    return patches, jnp.argmax(weights_BxRxWxK, axis=-1)


def _fused_scores(
    first_row: jax.Array | int,
    rows: int,
    queries: jax.Array,
    keys: _Keys,
    key_grid: tuple[int, int],
    reach: int,
) -> jax.Array:
    """Scores [B, R, W, K] of some rows of queries, summed along both diagonals.

    Fusion adds, for t in -reach..reach, the score of query + t with key + t: once with
    positions counted along rows, then (on the sums) along columns. Counting crosses
    from one image row or column into the next, in the authors' code and so here.
    """
    batch, height, width, length = queries.shape
    # Counted along columns, the line above row 0 is the last row one column earlier.
    lines = first_row - reach + jnp.arange(rows + 2 * reach)
    row, shift = lines % height, lines // height
    flat = jnp.pad(
        queries.reshape(batch, -1, length), ((0, 0), (reach + 1,) * 2, (0, 0))
    )
    index = (row * width + shift)[:, None] + jnp.arange(width + 2 * reach)[None, :] + 1
    scores = jnp.einsum(
        "blwd,bkd->blwk",
        jnp.take(flat, index, axis=1, mode="clip"),
        keys.compared,
        preferred_element_type=jnp.float32,
        precision=jax.lax.Precision.HIGHEST,
    )
    scores = scores * keys.scale[:, None, None, :]
    if reach == 0:
        return scores
    along_rows = sum(
        _shift(scores[:, :, reach + step : reach + step + width], step)
        for step in range(-reach, reach + 1)
    )
    column = jnp.arange(width)[None, :] + shift[:, None]
    inside = ((column >= 0) & (column < width))[None, :, :, None]
    along_rows = jnp.where(inside, along_rows, 0)
    along_rows = along_rows.reshape(*along_rows.shape[:3], *key_grid)
    along_columns = sum(
        _shift_along_columns(along_rows[:, reach + step : reach + step + rows], step)
        for step in range(-reach, reach + 1)
    )
    return along_columns.reshape(batch, rows, width, -1)


def _shift(array: jax.Array, step: int) -> jax.Array:
    """`out[..., k] = array[..., k + step]`, 0 beyond the ends."""
    margins = [(0, 0, 0)] * (array.ndim - 1) + [(-step, step, 0)]
    return jax.lax.pad(array, jnp.zeros((), array.dtype), margins)


def _shift_along_columns(array: jax.Array, step: int) -> jax.Array:
    """The same over the last two axes, counted along columns ([..., rows, columns])."""
    if step == 0:
        return array
    if step > 0:
        parts = [array[..., step:, :], _shift(array[..., :step, :], 1)]
    else:
        parts = [_shift(array[..., step:, :], -1), array[..., :step, :]]
    return jnp.concatenate(parts, axis=-2)


def _divisor(shape: tuple[int, ...], rate: int, overlap: str) -> float | jax.Array:
    if overlap == "const4":
        return 4.0
    if overlap == "exact":
        return jnp.asarray(patch_coverage(*shape[1:3], 2 * rate, rate))[None]
    raise ValueError(f"unknown overlap {overlap!r}: use 'const4' or 'exact'")


def _offsets(best: jax.Array, key_grid: tuple[int, int], stride: int) -> jax.Array:
    _, rows, columns = best.shape
    key_row, key_column = best // key_grid[1], best % key_grid[1]
    row = key_row * stride - jnp.arange(rows)[None, :, None]
    column = key_column * stride - jnp.arange(columns)[None, None, :]
    return jnp.stack([row, column], axis=-1).astype(jnp.int32)
