"""Fusion of attention's scores: neighbours support copying from neighbours.

Yu et al. 2018, Sec. 4.1 ("attention propagation"): the score of a query and a key gains
those of query + t and key + t, t up to `reach`, positions being counted along rows, and
again counted along columns. So the sums cross from the end of an image row, or column,
to the start of the next. Tables are as in `attention_blocks`.

XLA's CPU backend turns padding and concatenation within a pass into a choice for every
number. There a pass reads the table as one list, at distances of t rows and columns,
times 0 where that leaves the grid, and the few places that need others are added to.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax import runtime
from inpainting_jax.layers.patches import diagonal_sum

Edges = tuple[jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def fuse(
    scores: jax.Array, first: jax.Array, edges: Edges | None, reach: int, height: int
) -> jax.Array:
    """Scores of some rows of queries, summed with their neighbours' both ways.

    Args:
      scores: [B, R + 2 reach + 2, W, Y, X], of the rows from `first` - reach - 1 on;
        those outside the image are 0.
      first: number of the first row wanted, int32.
      edges: of `edges_of`; None where these are all the rows of the image.
      reach: largest t, 1 or more, at most W and Y.
      height: rows of the image.

    Returns:
      [B, R, W, Y, X].
    """
    # In a narrower image the list ends before what is read for nothing.
    listed = runtime.alone_on_cpu() and reach + 1 < scores.shape[2]
    form = _fuse_lists if listed else _fuse
    return form(scores, first, edges, reach, height)


def _fuse(scores, first, edges, reach, height):
    lines = row_sums(scores, reach)
    if edges is None:
        edges = edges_of(lines[:, reach : 2 * reach], lines[:, -2 * reach : -reach])
    outer = lines[:, :reach], lines[:, -reach:]
    top, end = _edge_lines(outer, first, scores.shape[1] - 2 * reach - 2, edges, height)
    return _column_sums(
        jnp.concatenate([top, lines[:, reach:-reach], end], axis=1), reach
    )


def _forward(scores, first, edges, reach, height):
    return fuse(scores, first, edges, reach, height), (first, edges)


def _backward(reach, height, saved, gradient):
    # The fusion is linear; nothing of the forward pass is kept or computed.
    first, edges = saved
    batch, rows, *rest = gradient.shape
    scores = jnp.zeros((batch, rows + 2 * reach + 2, *rest), gradient.dtype)
    _, pull = jax.vjp(lambda s, e: _fuse(s, first, e, reach, height), scores, edges)
    to_scores, to_edges = pull(gradient)
    return to_scores, None, to_edges


fuse.defvjp(_forward, _backward)


def row_sums(scores: jax.Array, reach: int) -> jax.Array:
    """The first of both sums, of all rows of queries but the first and the last.

    Args:
      scores: [B, R + 2, W, Y, X].
      reach: largest t.

    Returns:
      [B, R, W, Y, X].
    """
    batch, rows, width, *key_grid = scores.shape
    flat = scores.reshape(batch, rows * width, -1)
    flat = flat[:, width - reach : (rows - 1) * width + reach]
    flat = jnp.pad(flat, ((0, 0), (0, 0), (reach, reach)))
    sums = diagonal_sum(flat, 2 * reach + 1, ((1, 2),))
    return sums.reshape(batch, rows - 2, width, *key_grid)


def edges_of(first: jax.Array, last: jax.Array) -> Edges:
    """The lines above row 0 and below the last row, counted along columns.

    Above the first row comes the last row, one column earlier; and the other way round.

    Args:
      first: `row_sums` of the image's first rows, [B, reach, W, Y, X].
      last: of its last rows.
    """
    return _shift(last, 2, -1), _shift(first, 2, 1)


def _edge_lines(outer, first, rows, edges, height):
    """The lines before and after a block's rows; outside the image, wrapped ones."""
    (before, after), (above, below) = outer, edges
    reach = above.shape[1]
    number = first - reach + jnp.arange(reach)
    outside = (number < 0)[None, :, None, None, None]
    top = jnp.where(outside, _take(above, number + reach), before)
    number = first + rows + jnp.arange(reach)
    outside = (number >= height)[None, :, None, None, None]
    return top, jnp.where(outside, _take(below, number - height), after)


def _take(lines, numbers):
    return jnp.take(lines, numbers.ravel(), axis=1, mode="clip")


def _shift(table, axis, step):
    """`out[i] = table[i + step]` along an axis, 0 beyond the ends."""
    margins = [(0, 0, 0)] * table.ndim
    margins[axis] = (-step, step, 0)
    return jax.lax.pad(table, jnp.zeros((), table.dtype), margins)


def _column_sums(lines, reach):
    """[B, R + 2 reach, W, Y, X] to [B, R, W, Y, X]."""
    top, bottom = lines[..., -reach:, :], lines[..., :reach, :]
    top, bottom = _shift(top, 4, -1), _shift(bottom, 4, 1)
    extended = jnp.concatenate([top, lines, bottom], axis=3)
    return diagonal_sum(extended, 2 * reach + 1, ((1, 3),))


def _fuse_lists(scores, first, edges, reach, height):
    """`_fuse` for one CPU device.

    The list has a query more at both ends, for what is read there and counts nothing.
    """
    batch, rows, width, *key_grid = scores.shape
    keys = scores[0, 0, 0].size
    row = width * keys
    rows -= 2
    line = scores.reshape(batch, -1)
    line = _line_sums(line, rows * width + 2, row - keys, keys, reach)
    line = _set_edges(line, (rows, width, *key_grid), first, edges, reach, height)
    rows -= 2 * reach
    grid = (batch, rows, width, *key_grid)
    terms = []
    for step in range(-reach, reach + 1):
        start = keys + (reach + step) * row + step * key_grid[1]
        seen = jax.lax.slice_in_dim(line, start, start + rows * row, axis=1)
        inside = _inside(key_grid[0], step)
        terms.append(seen.reshape(grid) * inside[None, None, None, :, None])
    return _add_turns(sum(terms), line, reach)


@functools.partial(runtime.outlined, static_argnums=(1, 2, 3, 4))
def _line_sums(line, queries, start, keys, reach):
    """`row_sums` of so many queries, of which the first starts there in the list."""
    terms = []
    for step in range(-reach, reach + 1):
        first = start + step * (keys + 1)
        seen = jax.lax.slice_in_dim(line, first, first + queries * keys, axis=1)
        seen = seen.reshape(len(line), queries, keys)
        terms.append(seen * _inside(keys, step)[None, None, :])
    return sum(terms).reshape(len(line), -1)


def _inside(size, step):
    index = np.arange(size) + step
    return ((index >= 0) & (index < size)).astype(np.float32)


def _set_edges(line, grid, first, edges, reach, height):
    """Writes the lines around the image over those of the list."""
    rows, width, *key_grid = grid
    keys = key_grid[0] * key_grid[1]
    row = width * keys

    def lines(start, count):
        part = jax.lax.slice_in_dim(
            line, keys + start * row, keys + (start + count) * row, axis=1
        )
        return part.reshape(len(line), count, width, *key_grid)

    if edges is None:
        edges = edges_of(lines(reach, reach), lines(rows - 2 * reach, reach))
        top, end = edges
    else:
        outer = lines(0, reach), lines(rows - reach, reach)
        top, end = _edge_lines(outer, first, rows - 2 * reach, edges, height)
    for part, start in ((top, 0), (end, rows - reach)):
        part = jax.lax.optimization_barrier(part).reshape(len(line), -1)
        line = jax.lax.dynamic_update_slice_in_dim(line, part, keys + start * row, 1)
    return line


def _add_turns(sums, line, reach):
    """Adds what lies beyond the end of a column of keys: the start of the next."""
    _, rows, width, key_rows, key_columns = sums.shape
    keys = key_rows * key_columns
    row = width * keys
    for step in (*range(-reach, 0), *range(1, reach + 1)):
        start = keys + (reach + step) * row
        seen = jax.lax.slice_in_dim(line, start, start + rows * row, axis=1)
        seen = seen.reshape(sums.shape)
        if step < 0:
            seen, to = _shift(seen[..., step:, :], 4, -1), 0
        else:
            seen, to = _shift(seen[..., :step, :], 4, 1), key_rows - step
        index = (0, 0, 0, to, 0)
        old = jax.lax.dynamic_slice(sums, index, seen.shape)
        new = jax.lax.optimization_barrier(old + seen)
        sums = jax.lax.dynamic_update_slice(sums, new, index)
    return sums
