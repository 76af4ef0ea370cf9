"""Patches of feature maps, compared and pasted without cutting them out.

The score of two k x k patches is the sum of k * k products of pixels that lie on one
diagonal of the (query pixel, key pixel) table; pasting overlapping patches by weight is
the same sum on the weights. So one matrix product of pixels serves all patches: k * k
times fewer products than comparing patches that were cut out. Tables are [B, rows,
columns, key rows, key columns].
"""

import functools
import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

PatchNorm = Literal["max", "daa233"]
AxisPairs = tuple[tuple[int, int], ...]

BOTH_AXES: AxisPairs = ((1, 3), (2, 4))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def diagonal_sum(table: jax.Array, size: int, pairs: AxisPairs) -> jax.Array:
    """Sums `size` neighbours along the diagonals of pairs of axes.

    `out[.., i, .., j, ..] = sum_t table[.., i + t, .., j + t, ..]` for t in 0..size-1
    and one pair; with two pairs also over the diagonals of the second.

    Args:
      table: any array.
      size: number of neighbours.
      pairs: axes that move together; each becomes shorter by `size` - 1.

    Returns:
      The sums, in the dtype of the table.
    """
    total = 0.0
    for steps in itertools.product(range(size), repeat=len(pairs)):
        window = [slice(None)] * table.ndim
        for step, pair in zip(steps, pairs, strict=True):
            for axis in pair:
                window[axis] = slice(step, table.shape[axis] - size + 1 + step)
        total = total + table[tuple(window)]
    return total


def _forward(table: jax.Array, size: int, pairs: AxisPairs):
    return diagonal_sum(table, size, pairs), None


def _backward(size: int, pairs: AxisPairs, _, cotangent: jax.Array):
    # Its own adjoint, on a padded table. Derived by JAX instead, the backward pass is a
    # sum of padded copies, ten times slower on CPU.
    return (diagonal_sum(pad_pairs(cotangent, size - 1, pairs), size, pairs),)


diagonal_sum.defvjp(_forward, _backward)


def pad_pairs(table: jax.Array, margin: int, pairs: AxisPairs) -> jax.Array:
    """Puts `margin` zeros before and after every axis named in `pairs`."""
    margins = [(0, 0)] * table.ndim
    for axis in itertools.chain.from_iterable(pairs):
        margins[axis] = (margin, margin)
    return jnp.pad(table, margins)


def inverse_patch_norms(
    features: jax.Array, size: int, *, rule: PatchNorm = "max"
) -> jax.Array:
    """One over the length of the patch around each pixel, zeros outside the image.

    Args:
      features: [B, H, W, C].
      size: side of a patch, odd.
      rule: "max": length, but at least 1e-4 (DeepFill, nipponjo, mmagic); "daa233":
        sqrt(sum(w^2 + 1e-4)) over the elements, which gives faint patches less weight.

    Returns:
      [B, H, W] float32, finite for patches of zeros, and so is the gradient.

    Raises:
      ValueError: on an unknown rule.
    """
    squares = jnp.sum(jnp.square(features.astype(jnp.float32)), axis=-1)
    window = (1, size, size)
    total = jax.lax.reduce_window(
        squares, 0.0, jax.lax.add, window, (1, 1, 1), padding="SAME"
    )
    if rule == "max":
        return jax.lax.rsqrt(jnp.maximum(total, 1e-8))
    if rule == "daa233":
        return jax.lax.rsqrt(total + 1e-4 * size**2 * features.shape[-1])
    raise ValueError(f"unknown patch norm {rule!r}: use 'max' or 'daa233'")


def known_patches(mask: jax.Array, size: int) -> jax.Array:
    """Where the `size` x `size` patch around a pixel of [B, H, W, 1] holds no hole.

    Returns:
      [B, H, W] float32, 1 or 0; outside the image counts as known.
    """
    holes = jax.lax.reduce_window(
        (mask[..., 0] != 0).astype(jnp.float32),
        0.0,
        jax.lax.max,
        (1, size, size),
        (1, 1, 1),
        padding="SAME",
    )
    return 1 - holes


def split_blocks(features: jax.Array, side: int) -> jax.Array:
    """Cuts [B, H, W, C] into blocks on the grid of overlapping patches' quarters.

    Patches of 2 * `side` pixels, `side` apart (SAME padding), consist of 2 x 2 blocks.

    Returns:
      [B, H / side + 1, W / side + 1, side * side * C].
    """
    batch, height, width, channels = features.shape
    margin = (side // 2, side - side // 2)
    padded = jnp.pad(features, ((0, 0), margin, margin, (0, 0)))
    rows, columns = height // side + 1, width // side + 1
    blocks = padded.reshape(batch, rows, side, columns, side, channels)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows, columns, -1)


def join_blocks(blocks: jax.Array, side: int) -> jax.Array:
    """The inverse of `split_blocks`, to [B, H, W, C]."""
    batch, rows, columns, length = blocks.shape
    padded = blocks.reshape(batch, rows, columns, side, side, length // side**2)
    padded = padded.transpose(0, 1, 3, 2, 4, 5)
    padded = padded.reshape(batch, rows * side, columns * side, -1)
    start, cut = side // 2, side - side // 2
    return padded[:, start : rows * side - cut, start : columns * side - cut]


def patch_coverage(height: int, width: int, side: int) -> np.ndarray:
    """How many of these patches cover each pixel, [H, W, 1] (see `split_blocks`)."""
    counts = []
    for length in (height, width):
        count = np.full(length + side, 2, np.float32)
        count[:side] = count[-side:] = 1
        counts.append(count[side // 2 : side // 2 + length])
    return (counts[0][:, None] * counts[1][None, :])[:, :, None]
