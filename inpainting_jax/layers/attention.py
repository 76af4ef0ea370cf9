"""Contextual attention: fills hole features by copying from the known ones.

Yu et al. 2018, "Generative Image Inpainting with Contextual Attention", Sec. 4,
https://arxiv.org/abs/1801.07892. Local vocabulary: a *query* is a position of the
foreground, a *key* one of the background, both on the score grid (features reduced by
`rate`). The tables of scores live in `attention_blocks`.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax import runtime
from inpainting_jax.layers import attention_blocks, patches
from inpainting_jax.layers.resize import ResizeRule, resize_nearest

# The choice of `block_size` None: a table of scores is computed at once if it takes at
# most 1/32 of the free memory (some eight of them live at a time, and the rest of the
# network needs its own); blocks are as high as three times that allows, but 16 rows are
# enough to make the margin that blocks compute twice cheap.
_DENSE_SHARE = 1 / 32
_BLOCK_SHARE = 3 * _DENSE_SHARE
_BLOCK_ROWS = 16


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
    patch_norm: patches.PatchNorm = "max",
    overlap: Literal["const4", "exact"] = "const4",
    mask_mode: Literal["zero", "neg_inf"] = "zero",
    shared_mask: bool = False,
    entropy: bool = False,
) -> tuple[jax.Array, ...]:
    """Fills features with known patches, weighted by similarity (Yu et al. 2018).

    Patches of `foreground` are compared with normalised patches of `background` outside
    the hole; the softmax of the scores mixes the raw patches. Differentiable; where
    there are several blocks, the backward pass computes each anew.

    Args:
      foreground: [B, H, W, C] features to fill.
      background: [B, H', W', C] features to copy from.
      mask: 1 = hole, at the size of `background` or of the score grid
        (H'/rate, W'/rate), [B, ., ., 1] or [1, ., ., 1]; None: everything is known.
        Patches that touch the hole are never copied. If none is left the result is 0.
      ksize: side of the compared patches on the score grid, odd.
      stride: only every `stride`-th row and column of keys may be copied.
      rate: reduction from features to score grid; patches of 2 * rate are pasted.
      fuse_k: length of the diagonals that fusion adds up, odd.
      softmax_scale: inverse temperature, > 0; 10 in the paper.
      fuse: whether neighbouring queries support copying from neighbouring keys.
      block_size: image rows of queries per block, so memory is linear in H * W;
        H / rate or more: all at once (dense); None: by the memory that is free when
        the program is traced (`runtime.free_memory`). On CPUs with 8 GiB free: dense
        if the scores stay below 256 MiB, else at most 16 rows and 768 MiB of scores.
      resize_rule: which pixel the reduction takes (`resize_nearest`).
      patch_norm: length of a patch (`patches.inverse_patch_norms`).
      overlap: "const4": pasted sums are divided by 4, so the outermost pixels, which
        fewer patches cover, are darker (the authors' code); "exact": by the coverage.
      mask_mode: "zero": hole patches keep a score of 0 in the sum of the softmax (the
        authors' code, on purpose); "neg_inf": they take no part in it.
      shared_mask: use the mask of the first sample for the whole batch.
      entropy: whether to return how widely each query looks as a third array, at the
        price of one more pass over the scores.

    Returns:
      [B, H, W, C] filled features in the dtype of `foreground`, and [B, H/rate, W/rate,
      2] int32: (row, column) of the best key minus that of the query, in pixels of the
      score grid; 0 where nothing can be copied. With `entropy` [B, H/rate, W/rate]:
      -sum p log p over the known patches' weights p, by the logarithm of their number.

    Raises:
      ValueError: on shapes that do not fit, or unknown options.

    Differs from the authors' code: each image has its own mask unless `shared_mask`.
    """
    options = attention_blocks.Options(
        height=foreground.shape[1] // rate,
        ksize=ksize,
        fuse_reach=fuse_k // 2 if fuse else 0,
        softmax_scale=softmax_scale,
        mask_mode=mask_mode,
        entropy=entropy,
    )
    if ksize % 2 == 0 or fuse_k % 2 == 0:
        raise ValueError(f"ksize={ksize} and fuse_k={fuse_k} must be odd")
    if stride < 1 or (block_size is not None and block_size < 1):
        raise ValueError(
            f"stride={stride} and block_size={block_size} must be at least 1"
        )
    _check(foreground, background, rate, options)
    reduce = functools.partial(_reduce, rate=rate, rule=resize_rule)
    keys = reduce(background)
    if mask is not None:
        _check_mask(mask, background, keys)
        mask = mask[:1] if shared_mask else mask
        mask = resize_nearest(mask, *keys.shape[1:3], rule=resize_rule)
    valid = _valid_keys(mask, keys.shape[:3], ksize, stride)
    inputs = attention_blocks.Inputs(
        queries=_pad(reduce(foreground), options.row_margin, ksize // 2),
        keys=_pad(keys, ksize // 2, ksize // 2),
        key_scale=patches.inverse_patch_norms(keys, ksize, rule=patch_norm),
        valid=valid,
        pasted=patches.split_blocks(background, rate),
    )
    if block_size is None:
        block_size = _choose_block_size(inputs, options)
    found = attention_blocks.attend(inputs, options, block_size)
    filled = patches.join_blocks(found.pasted, rate)
    filled = filled / _divisor(foreground.shape, rate, overlap)
    any_valid = jnp.any(valid > 0, axis=(1, 2))[:, None, None, None]
    offsets = jnp.where(any_valid, _offsets(found.best, keys.shape[2]), 0)
    filled = filled.astype(foreground.dtype)
    return (filled, offsets, found.entropy) if entropy else (filled, offsets)


def _check(
    foreground: jax.Array,
    background: jax.Array,
    rate: int,
    options: attention_blocks.Options,
) -> None:
    if any(foreground.shape[axis] != background.shape[axis] for axis in (0, 3)):
        raise ValueError(
            "foreground and background need the same batch and channels, got"
            f" {foreground.shape} and {background.shape}"
        )
    sides = (*foreground.shape[1:3], *background.shape[1:3])
    for side in sides:
        if side % rate or side < rate:
            raise ValueError(
                f"height and width must be multiples of rate={rate}, got {side}: pad"
                " the image so that its features are"
            )
    if options.fuse_reach > min(sides) // rate:
        raise ValueError(
            f"fusion reaches {options.fuse_reach} pixels, beyond the score grid of"
            f" {min(sides) // rate}: use a smaller fuse_k"
        )
    if options.mask_mode not in ("zero", "neg_inf"):
        raise ValueError(
            f"unknown mask_mode {options.mask_mode!r}: use 'zero' or 'neg_inf'"
        )


def _check_mask(mask: jax.Array, background: jax.Array, keys: jax.Array) -> None:
    sizes = (background.shape[1:3], keys.shape[1:3])
    if mask.shape[1:3] not in sizes or mask.shape[0] not in (1, keys.shape[0]):
        raise ValueError(
            f"mask {mask.shape} fits neither the background {background.shape} nor its"
            f" score grid {keys.shape[1:3]}: bring it down with resize_nearest"
        )


def _valid_keys(
    mask: jax.Array | None, shape: tuple[int, ...], ksize: int, stride: int
) -> jax.Array:
    """[B, Y, X] float32, 1 where a patch may be copied."""
    offered = np.zeros((1, *shape[1:]), np.float32)
    offered[:, ::stride, ::stride] = 1
    known = 1.0 if mask is None else patches.known_patches(mask, ksize)
    return jnp.broadcast_to(known * offered, shape)


def _reduce(features: jax.Array, *, rate: int, rule: ResizeRule) -> jax.Array:
    height, width = (side // rate for side in features.shape[1:3])
    return resize_nearest(features, height, width, rule=rule)


def _pad(features: jax.Array, rows: int, columns: int) -> jax.Array:
    return jnp.pad(features, ((0, 0), (rows, rows), (columns, columns), (0, 0)))


def _choose_block_size(
    inputs: attention_blocks.Inputs, options: attention_blocks.Options
) -> int:
    row = inputs.queries.shape[2] * inputs.keys[..., 0].size
    free = runtime.free_memory() // 4  # float32 numbers
    if options.height * row <= _DENSE_SHARE * free:
        return options.height
    rows = int(_BLOCK_SHARE * free) // row - 2 * options.row_margin
    return min(max(rows, 1), _BLOCK_ROWS)


def _divisor(shape: tuple[int, ...], rate: int, overlap: str) -> float | jax.Array:
    if overlap == "const4":
        return 4.0
    if overlap == "exact":
        return jnp.asarray(patches.patch_coverage(*shape[1:3], rate))[None]
    raise ValueError(f"unknown overlap {overlap!r}: use 'const4' or 'exact'")


def _offsets(best: jax.Array, key_columns: int) -> jax.Array:
    _, rows, columns = best.shape
    row = best // key_columns - jnp.arange(rows)[None, :, None]
    column = best % key_columns - jnp.arange(columns)[None, None, :]
    return jnp.stack([row, column], axis=-1).astype(jnp.int32)
