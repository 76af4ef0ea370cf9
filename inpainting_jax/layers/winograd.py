"""3 x 3 convolutions with a quarter of the products: Winograd's minimal filtering.

Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks",
https://arxiv.org/abs/1509.09308, their F(4 x 4, 3 x 3): a tile of 6 x 6 pixels and the
kernel become 36 numbers each, whose products become 4 x 4 outputs; plainly that takes
144. The tiles of a dilated convolution are those of its d x d subsampled images.

Theirs evaluates polynomials at 0, 1, -1, 2, -2 and infinity. At 0, 3/4, -3/4, 3/2,
-3/2 and infinity the rounding error is half as large: 9e-7 of the output's standard
deviation (root mean square; largest 9e-6) where plain sums of float32 products have
3e-7 (2e-6).
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
_OUT = 4  # side of a tile's outputs
_SIDE = _OUT + 2  # of what they see
Margins = tuple[tuple[int, int], tuple[int, int]]


class Tiles(NamedTuple):
    """How many tiles an output [B, height, width, F] takes.

    Attributes:
      height: of the output.
      width: of the output.
      down: tiles one under another, in each subsampled image.
      across: tiles side by side.
      dilation: d; there are d x d subsampled images.
    """

    height: int
    width: int
    down: int
    across: int
    dilation: int

    @property
    def count(self) -> int:
        """Tiles of an image."""
        return self.down * self.across * self.dilation**2

    @property
    def covered(self) -> int:
        """Outputs that they compute; beyond height x width for nothing."""
        return self.count * _OUT**2


def tiles_of(shape: Sequence[int], dilation: int, margins: Margins) -> Tiles:
    """The tiles for the convolution of features of this shape [B, H, W, C]."""
    height, width = (
        size + sum(margin) - 2 * dilation
        for size, margin in zip(shape[1:3], margins, strict=True)
    )
    side = _OUT * dilation
    return Tiles(height, width, -(-height // side), -(-width // side), dilation)


def convolve(
    features: jax.Array,
    kernel: jax.Array,
    dilation: int,
    margins: Margins,
    *,
    precision: jax.lax.Precision | None = None,
) -> jax.Array:
    """Convolution of stride 1, zeros ((top, bottom), (left, right)) around.

    Args:
      features: [B, H, W, C], float32.
      kernel: [3, 3, C, F], float32.
      dilation: d, distance of neighbouring taps.
      margins: zeros around the features; below 0 they crop.
      precision: of the products.

    Returns:
      [B, H + top + bottom - 2 d, W + left + right - 2 d, F].
    """
    tiles = tiles_of(features.shape, dilation, margins)
    seen = _seen(features, tiles, margins)
    *_, channels, filters = kernel.shape
    weights = jnp.dot(_of_kernel(), kernel.reshape(9, -1), precision="highest")
    weights = weights.reshape(_SIDE**2, channels, filters)
    products = jax.lax.dot_general(
        seen, weights, (((2,), (1,)), ((0,), (0,))), precision=precision
    )
    grid = (len(features), tiles.down, dilation, tiles.across, dilation, filters)
    products = products.reshape(_SIDE, _SIDE, *grid)
    columns = _combine(_unstack(products, 0), _matrices().outputs)
    out = _combine(_unstack(columns, 1), _matrices().outputs)
    # [row of the tile, its column, B, down, d, across, d, F]
    out = out.transpose(2, 3, 0, 4, 5, 1, 6, 7)
    side = _OUT * dilation
    out = out.reshape(len(features), tiles.down * side, tiles.across * side, filters)
    return out[:, : tiles.height, : tiles.width]


def kernel_gradient(
    features: jax.Array,
    gradient: jax.Array,
    dilation: int,
    margins: Margins,
    *,
    precision: jax.lax.Precision | None = None,
) -> jax.Array:
    """The gradient [3, 3, C, F] of `convolve` with respect to its kernel.

    Args:
      features: [B, H, W, C], float32.
      gradient: with respect to the output, of its shape.
      dilation: as of the convolution.
      margins: as of the convolution.
      precision: of the products.
    """
    tiles = tiles_of(features.shape, dilation, margins)
    seen = _seen(features, tiles, margins)
    products = jax.lax.dot_general(
        seen,
        _slopes_of_products(gradient, tiles),
        (((1,), (1,)), ((0,), (0,))),
        precision=precision,
    )
    _, channels, filters = products.shape
    products = products.reshape(_SIDE**2, -1)
    kernel = jnp.dot(_of_kernel().T, products, precision="highest")
    return kernel.reshape(3, 3, channels, filters)


def _seen(features, tiles, margins):
    """What the products see of every tile: [36, tiles of all images, C]."""
    _, _, down, across, dilation = tiles
    around = [
        (first, dilation * (_OUT * count + 2) - size - first, 0)
        for count, size, (first, _) in zip(
            (down, across), features.shape[1:3], margins, strict=True
        )
    ]
    zero = jnp.zeros((), features.dtype)
    padded = jax.lax.pad(features, zero, ((0, 0, 0), *around, (0, 0, 0)))
    batch, height, width, channels = padded.shape
    padded = padded.reshape(
        batch, height // dilation, dilation, width // dilation, dilation, channels
    )
    rows = _combine(_windows(padded, 1, down), _matrices().inputs)
    columns = _combine(_windows(rows, 4, across), _matrices().inputs)
    return columns.reshape(_SIDE**2, -1, channels)


def _slopes_of_products(gradient, tiles):
    """The gradient with respect to the products: [36, tiles of all images, F]."""
    height, width, down, across, dilation = tiles
    side = _OUT * dilation
    batch, _, _, filters = gradient.shape
    rest = ((0, down * side - height), (0, across * side - width))
    padded = jnp.pad(gradient, ((0, 0), *rest, (0, 0)))
    padded = padded.reshape(
        batch, down, _OUT, dilation, across, _OUT, dilation, filters
    )
    rows = _combine(_unstack(padded, 2), _matrices().outputs.T)
    columns = _combine(_unstack(rows, 5), _matrices().outputs.T)
    return columns.reshape(_SIDE**2, -1, filters)


def _windows(array, axis, count):
    """The first to sixth row of every tile along an axis; tiles are 4 rows apart."""
    last = _OUT * (count - 1) + 1
    return [
        jax.lax.slice_in_dim(array, first, first + last, _OUT, axis)
        for first in range(_SIDE)
    ]


def _unstack(array, axis):
    return [
        jax.lax.index_in_dim(array, index, axis, keepdims=False)
        for index in range(array.shape[axis])
    ]


def _combine(arrays, matrix):
    """The matrix times the arrays, on a new first axis, without its zeros.

    The barrier has it written once. XLA would compute it again for each of its readers.
    """
    sums = []
    for row in matrix:
        terms = [
            array if factor == 1 else array * float(factor)
            for array, factor in zip(arrays, row, strict=True)
            if factor
        ]
        sums.append(functools.reduce(jnp.add, terms))
    return jax.lax.optimization_barrier(jnp.stack(sums))


class _Matrices(NamedTuple):
    """B^T [6, 6], G [6, 3] and A^T [4, 6] of Lavin and Gray, Equation 8."""

    inputs: np.ndarray
    kernel: np.ndarray
    outputs: np.ndarray


@functools.cache
def _matrices() -> _Matrices:
    """Each point evaluates a polynomial of the inputs and the kernel; by Lagrange."""
    points = np.array(_POINTS)
    others = [np.delete(points, index) for index in range(len(points))]
    inputs = np.zeros((_SIDE, _SIDE))
    inputs[:-1, :-1] = [np.poly(roots)[::-1] for roots in others]
    inputs[-1] = np.poly(points)[::-1]
    scales = [np.prod(point - rest) for point, rest in zip(points, others, strict=True)]
    kernel = np.vander(points, 3, increasing=True) / np.array(scales)[:, None]
    outputs = np.vander(points, _OUT, increasing=True)
    return _Matrices(
        inputs,
        np.concatenate([kernel, [[0, 0, 1]]]),
        np.concatenate([outputs, [[0, 0, 0, 1]]]).T,
    )


def _of_kernel() -> np.ndarray:
    """[36, 9]: the columns' transform and the rows', as one product; columns first."""
    kernel = _matrices().kernel
    both = np.einsum("jb,ia->jiab", kernel, kernel)
    return both.reshape(_SIDE**2, 9).astype(np.float32)
