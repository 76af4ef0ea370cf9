"""Patches as short vectors: the distance that the search compares.

A patch of P x P pixels with F features is projected on its leading principal
components, in two steps that cost a fraction of one: every column of P pixels on
`COLUMN_DIMS` components, then P neighbouring columns on `dims` components. Distances
of the result bound those of the patches from below.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.methods.patchmatch.indexing import take
from inpainting_jax.types import Array

COLUMN_DIMS = 12
ITERATIONS = 8


class Basis(NamedTuple):
    """Orthonormal columns of the two projections.

    Attributes:
      column: [P * F, K] for a column of pixels, rows ordered (dy, feature).
      patch: [P * K, D] for P projected columns, rows ordered (dx, component).
    """

    column: Array
    patch: Array


def fit_basis(
    features: Array, width: Array, sample: Array, *, patch: int, dims: int
) -> Basis:
    """Leading principal components of the patches centred on `sample`.

    Args:
      features: [HW, F] table.
      width: W, scalar.
      sample: [S] indices of patches wholly inside and wholly known.
      patch: side P, odd.
      dims: length of the descriptor, >= 1.
    """
    reach = jnp.arange(-(patch // 2), patch // 2 + 1)
    centres = (sample[:, None] + reach[None]).reshape(-1)
    columns = _column_taps(features, width, centres, patch)
    column = _leading_components(columns, COLUMN_DIMS)
    rows = jnp.matmul(columns, column, precision="highest")
    rows = rows.reshape(sample.shape[0], -1)
    return Basis(column, _leading_components(rows, dims))


def _leading_components(rows: Array, count: int) -> Array:
    """Orthonormal [N, min(count, N)] close to the leading eigenvectors of [S, N] rows.

    Orthogonal iteration: any orthonormal basis keeps the distance a lower bound, so
    there is no need for exact eigenvectors, nor for an eigenvalue solver, whose
    threads cost more than the level's search on a busy machine.
    """
    size = rows.shape[1]
    centred = rows - jnp.mean(rows, axis=0, keepdims=True)
    covariance = jnp.matmul(centred.T, centred, precision="highest") / rows.shape[0]
    # The ridge gives a constant picture some basis instead of none.
    ridge = 1e-6 * jnp.trace(covariance) + 1e-12
    covariance = covariance + ridge * jnp.eye(size)
    start = np.random.default_rng(0).standard_normal((size, min(count, size)))

    def iterate(_, basis):
        product = jnp.matmul(covariance, basis, precision="highest")
        return jnp.linalg.qr(product)[0]

    basis = jnp.linalg.qr(jnp.asarray(start, jnp.float32))[0]
    return jax.lax.fori_loop(0, ITERATIONS, iterate, basis)


def _column_taps(features: Array, width: Array, index: Array, patch: int) -> Array:
    radius = patch // 2
    taps = [take(features, index + dy * width) for dy in range(-radius, radius + 1)]
    return jnp.concatenate(taps, axis=1)


def describe_columns(
    features: Array, width: Array, index: Array, basis: Basis, *, patch: int
) -> Array:
    """Projected columns [N, K] of P pixels centred on `index`."""
    taps = _column_taps(features, width, index, patch)
    return jnp.matmul(taps, basis.column, precision="highest")


def describe_patches(columns: Array, index: Array, basis: Basis) -> Array:
    """Descriptors [N, D] of the patches centred on `index`, from `columns` [HW, K]."""
    size = columns.shape[1]
    patch = basis.patch.shape[0] // size
    starts = index - patch // 2
    # One contiguous slice of P rows per patch: no index arithmetic inside.
    rows = jax.vmap(
        lambda start: jax.lax.dynamic_slice(columns, (start, 0), (patch, size))
    )(starts)
    rows = rows.reshape(index.shape[0], patch * size)
    return jnp.matmul(rows, basis.patch, precision="highest")


def describe_all(
    features: Array, width: Array, basis: Basis, *, patch: int, block: int = 16_384
) -> tuple[Array, Array]:
    """Columns [HW, K] and descriptors [HW, D] of every pixel, block by block.

    Entries whose patch leaves the picture or meets an unknown pixel have no meaning.
    """
    count = features.shape[0]
    block = min(block, count)
    blocks = -(-count // block)
    index = jnp.arange(blocks * block, dtype=jnp.int32).reshape(blocks, block)
    columns = jax.lax.map(
        lambda part: describe_columns(features, width, part, basis, patch=patch), index
    )
    columns = columns.reshape(blocks * block, -1)[:count]
    patches = jax.lax.map(lambda part: describe_patches(columns, part, basis), index)
    return columns, patches.reshape(blocks * block, -1)[:count]
