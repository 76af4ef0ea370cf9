"""The tables behind contextual attention, some image rows of queries at a time.

A table is [B, R, W, Y, X]: queries (R rows of W) by keys (Y rows of X). The softmax
needs all the keys of a query but no other query, so blocks of rows are independent
except for the fusion, which adds scores of neighbouring queries: a block computes those
of its margin itself. The passes over a table cost as much as the products in it, hence
`diagonal_sum` wherever patches or neighbours are added up.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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
        scores = _row_sums(0, height, inputs, options)
        if reach:
            edges = _wrap(scores[:, -reach:], scores[:, :reach])
            scores = _column_sums(
                jnp.concatenate([edges[0], scores, edges[1]], 1), reach
            )
        return _paste(scores, jnp.ones(height), inputs, options)
    edges = None
    if reach:
        last = _row_sums(height - reach, reach, inputs, options)
        edges = _wrap(last, _row_sums(0, reach, inputs, options))

    def block(index: jax.Array) -> Attended:
        # The last block starts early so as to end with the image; the rows that the
        # block before it has pasted already get no weight.
        first = jnp.minimum(index * rows, height - rows)
        fresh = first + jnp.arange(rows) >= index * rows
        scores = _row_sums(first - reach, rows + 2 * reach, inputs, options)
        if reach:
            scores = _column_sums(_set_edges(scores, first, edges, height), reach)
        return _paste(scores, fresh.astype(jnp.float32), inputs, options)

    count = -(-height // rows)
    return _join(jax.lax.map(jax.checkpoint(block), jnp.arange(count)), height)


def _row_sums(
    first: jax.Array | int, rows: int, inputs: Inputs, options: Options
) -> jax.Array:
    """Scores of rows of queries; with fusion, summed with those of their neighbours.

    Fusion adds the scores of query + t and key + t for t in -reach..reach, positions
    being counted along rows: it crosses from the end of one image row into the next.
    """
    reach = options.fuse_reach
    if reach == 0:
        return _patch_scores(first, rows, inputs, options)
    scores = _patch_scores(first - 1, rows + 2, inputs, options)
    batch, _, width, *key_grid = scores.shape
    numbers = first - 1 + jnp.arange(rows + 2)
    exists = ((numbers >= 0) & (numbers < options.height)).astype(jnp.float32)
    scores = scores * exists[None, :, None, None, None]
    flat = scores.reshape(batch, (rows + 2) * width, -1)
    flat = flat[:, width - reach : (rows + 1) * width + reach]
    flat = jnp.pad(flat, ((0, 0), (0, 0), (reach, reach)))
    sums = diagonal_sum(flat, 2 * reach + 1, ((1, 2),))
    return sums.reshape(batch, rows, width, *key_grid)


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
    scores = diagonal_sum(products, size, BOTH_AXES)
    return scores * inputs.key_scale[:, None, None, :, :]


def _column_sums(lines: jax.Array, reach: int) -> jax.Array:
    """Adds neighbours again, positions being counted along columns.

    Args:
      lines: [B, R + 2 * reach, W, Y, X], with the lines above and below the block.

    Returns:
      [B, R, W, Y, X].
    """
    top, bottom = lines[..., -reach:, :], lines[..., :reach, :]
    top, bottom = _shift(top, 4, -1), _shift(bottom, 4, 1)
    extended = jnp.concatenate([top, lines, bottom], axis=3)
    return diagonal_sum(extended, 2 * reach + 1, ((1, 3),))


def _wrap(last: jax.Array, first: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The lines above row 0 and below the last row, counted along columns.

    Above the first row comes the last row, one column earlier; and the other way round.
    """
    return _shift(last, 2, -1), _shift(first, 2, 1)


def _set_edges(
    lines: jax.Array,
    first: jax.Array,
    edges: tuple[jax.Array, jax.Array],
    height: int,
) -> jax.Array:
    """Puts the wrapped lines in place of those outside the image."""
    above, below = edges
    reach = above.shape[1]
    before = first - reach + jnp.arange(reach)
    after = first + lines.shape[1] - 2 * reach + jnp.arange(reach)
    before, after = before[None, :, None, None, None], after[None, :, None, None, None]
    top = jnp.where(before < 0, _take(above, before + reach), lines[:, :reach])
    end = jnp.where(after >= height, _take(below, after - height), lines[:, -reach:])
    return jnp.concatenate([top, lines[:, reach:-reach], end], axis=1)


def _take(lines: jax.Array, numbers: jax.Array) -> jax.Array:
    return jnp.take(lines, numbers.ravel(), axis=1, mode="clip")


def _shift(table: jax.Array, axis: int, step: int) -> jax.Array:
    """`out[i] = table[i + step]` along an axis, 0 beyond the ends."""
    margins = [(0, 0, 0)] * table.ndim
    margins[axis] = (-step, step, 0)
    return jax.lax.pad(table, jnp.zeros((), table.dtype), margins)


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
