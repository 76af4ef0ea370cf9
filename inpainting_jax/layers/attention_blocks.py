"""The tables behind contextual attention, some image rows of queries at a time.

A table is [B, R, W, Y, X]: queries (R rows of W) by keys (Y rows of X). The softmax
needs all the keys of a query but no other query, so blocks of rows are independent
except for the fusion, which adds scores of neighbouring queries: a block computes those
of its margin itself. The passes over a table cost as much as the products in it, hence
`diagonal_sum` wherever patches or neighbours are added up.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax import runtime
from inpainting_jax.layers import attention_fusion as fusion
from inpainting_jax.layers.patches import BOTH_AXES, diagonal_sum, pad_pairs


class Inputs(NamedTuple):
    """Arrays that every block reads.

    Attributes:
      queries: [B, h + 2 * row_margin, w + 2 * (ksize // 2), C], zeros around.
      keys: [B, Y + 2 * (ksize // 2), X + 2 * (ksize // 2), C], zeros around.
      key_scale: [B, Y, X], one over the length of a key's patch.
      valid: [B, Y, X], 1 where a patch may be copied.
      pasted: [B, Y + 1, X + 1, E], blocks of the raw background (`split_blocks`).
    """

    queries: jax.Array
    keys: jax.Array
    key_scale: jax.Array
    valid: jax.Array
    pasted: jax.Array


class Options(NamedTuple):
    """Numbers that are fixed when the program is traced."""

    height: int
    ksize: int
    fuse_reach: int
    softmax_scale: float
    mask_mode: str
    entropy: bool = False

    @property
    def row_margin(self) -> int:
        """Rows of queries that a block reads above its own, and below."""
        return self.ksize // 2 + (self.fuse_reach + 1 if self.fuse_reach else 0)


class Attended(NamedTuple):
    """What becomes of the queries.

    Attributes:
      pasted: [B, h + 1, w + 1, E] sums of overlapping patches (`join_blocks` makes
        features of them).
      best: [B, h, w] the heaviest key of each query, as index in Y * X.
      entropy: [B, h, w] of a query's weights, 0 to 1; None unless asked for.
    """

    pasted: jax.Array
    best: jax.Array
    entropy: jax.Array | None


def attend(inputs: Inputs, options: Options, block_size: int) -> Attended:
    """Mixes the keys' raw patches for every query, `block_size` rows at a time."""
    height, rows, reach = options.height, block_size, options.fuse_reach
    if rows >= height:
        scores = _fused(0, height, None, inputs, options)
        return _paste(scores, jnp.ones(height), inputs, options)
    edges = None
    if reach:
        first = _patch_scores(-1, reach + 2, inputs, options)
        last = _patch_scores(height - reach - 1, reach + 2, inputs, options)
        first, last = (fusion.row_sums(scores, reach) for scores in (first, last))
        edges = fusion.edges_of(first, last)

    def block(index: jax.Array) -> Attended:
        # The last block starts early so as to end with the image; the rows that the
        # block before it has pasted already get no weight.
        first = jnp.minimum(index * rows, height - rows)
        fresh = first + jnp.arange(rows) >= index * rows
        scores = _fused(first, rows, edges, inputs, options)
        return _paste(scores, fresh.astype(jnp.float32), inputs, options)

    count = -(-height // rows)
    return _join(jax.lax.map(jax.checkpoint(block), jnp.arange(count)), height)


def _fused(
    first: jax.Array | int,
    rows: int,
    edges: fusion.Edges | None,
    inputs: Inputs,
    options: Options,
) -> jax.Array:
    """Scores of rows of queries; with fusion, summed with those of their neighbours."""
    reach = options.fuse_reach
    if reach == 0:
        return _patch_scores(first, rows, inputs, options)
    start = jnp.asarray(first, jnp.int32)
    scores = _patch_scores(first - reach - 1, rows + 2 * reach + 2, inputs, options)
    return fusion.fuse(scores, start, edges, reach, options.height)


def _patch_scores(
    first: jax.Array | int, rows: int, inputs: Inputs, options: Options
) -> jax.Array:
    """Products of the queries' patches with the normalised patches of the keys."""
    size = options.ksize
    start = first + options.row_margin - size // 2
    queries = jax.lax.dynamic_slice_in_dim(inputs.queries, start, rows + size - 1, 1)
    products = jnp.einsum(
        "brwc,byxc->brwyx",
        queries,
        inputs.keys,
        preferred_element_type=jnp.float32,
        # The softmax magnifies errors tenfold: no TensorFloat-32 here.
        precision=jax.lax.Precision.HIGHEST,
    )
    return _sum_products(products, inputs.key_scale, first, size, options.height)


@functools.partial(runtime.outlined, static_argnums=(3, 4))
def _sum_products(products, key_scale, first, size, height):
    """Products of pixels to scores of patches; 0 for queries outside the image."""
    scores = diagonal_sum(products, size, BOTH_AXES)
    numbers = first + jnp.arange(scores.shape[1])
    exists = ((numbers >= 0) & (numbers < height)).astype(jnp.float32)
    return scores * exists[None, :, None, None, None] * key_scale[:, None, None, :, :]


def _paste(
    scores: jax.Array, fresh: jax.Array, inputs: Inputs, options: Options
) -> Attended:
    """Softmax over the known keys, then the raw patches by these weights.

    Args:
      scores: [B, R, W, Y, X].
      fresh: [R], 0 for rows of queries that shall paste nothing.

    Returns:
      For these rows, as `Attended` for all.
    """
    valid = inputs.valid[:, None, None, :, :]
    logits = options.softmax_scale * scores
    if options.mask_mode == "zero":
        logits = logits * valid
    else:
        # The lowest number, not -inf: where no key is left, inf - inf would be NaN.
        logits = jnp.where(valid > 0, logits, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(logits, axis=(-2, -1)) * valid
    best = jnp.argmax(weights.reshape(*weights.shape[:3], -1), axis=-1)
    entropy = _entropy(weights, valid) if options.entropy else None
    weights = weights * fresh[None, :, None, None, None]
    table = diagonal_sum(pad_pairs(weights, 1, BOTH_AXES), 2, BOTH_AXES)
    batch, rows, columns, _, _ = table.shape
    # One key axis instead of two: the product is a third faster on CPU.
    pasted = jnp.einsum(
        "bqk,bke->bqe",
        table.reshape(batch, rows * columns, -1).astype(inputs.pasted.dtype),
        inputs.pasted.reshape(batch, -1, inputs.pasted.shape[-1]),
        preferred_element_type=jnp.float32,
    )
    pasted = pasted.reshape(batch, rows, columns, -1)
    return Attended(pasted, best, entropy)


def _entropy(weights: jax.Array, valid: jax.Array) -> jax.Array:
    """-sum p log p / log(count) over the known keys: 0 for one, 1 for all alike."""
    total = jnp.sum(weights, axis=(-2, -1), keepdims=True)
    share = weights / jnp.maximum(total, jnp.finfo(jnp.float32).tiny)
    # 1 in place of 0: the logarithm is then 0 instead of minus infinity.
    terms = share * jnp.log(jnp.where(share > 0, share, 1))
    keys = jnp.maximum(jnp.sum(valid > 0, axis=(-2, -1)), 2).astype(jnp.float32)
    return -jnp.sum(terms, axis=(-2, -1)) / jnp.log(keys)


def _join(blocks: Attended, height: int) -> Attended:
    """What N blocks made, stacked in front, as one image's."""
    pasted, best, entropy = blocks
    count, _, rows, _ = best.shape
    number = np.minimum(np.arange(height + 1) // rows, count - 1)
    row = np.arange(height + 1) - np.minimum(number * rows, height - rows)
    whole = pasted[number, :, row].swapaxes(0, 1)
    # Patches of a block's last row reach into the first row of the next block.
    whole = whole.at[:, rows:height:rows].add(pasted[:-1, :, rows].swapaxes(0, 1))
    last, inner = number[:-1], row[:-1]
    best = best[last, :, inner].swapaxes(0, 1)
    if entropy is not None:
        entropy = entropy[last, :, inner].swapaxes(0, 1)
    return Attended(whole, best, entropy)
