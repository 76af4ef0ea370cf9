"""Resizing whose choice of pixels is written down: nearest, linear and by area.

Published inpainting networks disagree about which pixel "nearest" is, and weights do
not carry over between the two rules: TensorFlow 1 with `align_corners=True` halves 64
rows to 0, 2, ..., 30, 33, 35, ..., 63, PyTorch takes 0, 2, ..., 62. `jax.image.resize`
takes the pixel at the centre, which is neither. With linear interpolation it is the
same: `align_corners=True` maps corner to corner, `jax.image.resize` border to border.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

ResizeRule = Literal["align_corners", "floor"]


def resize_nearest(
    features: jax.Array,
    height: int,
    width: int,
    *,
    rule: ResizeRule = "align_corners",
) -> jax.Array:
    """Picks `height` x `width` pixels of the features.

    Args:
      features: [B, H, W, C].
      height: rows of the result.
      width: columns of the result.
      rule: "align_corners": first and last pixel map to first and last (TensorFlow 1);
        "floor": the top-left pixel of each block (PyTorch's "nearest").

    Returns:
      [B, height, width, C].

    Raises:
      ValueError: on an unknown rule or a size below 1.
    """
    if features.shape[1:3] == (height, width):
        return features
    rows = nearest_indices(features.shape[1], height, rule)
    columns = nearest_indices(features.shape[2], width, rule)
    return features[:, rows[:, None], columns[None, :]]


def nearest_indices(size: int, new_size: int, rule: ResizeRule) -> np.ndarray:
    """The `new_size` source positions in 0..size-1 that `resize_nearest` reads."""
    _check_size(new_size)
    positions = np.arange(new_size)
    if rule == "floor":
        return positions * size // new_size
    if rule == "align_corners":
        # In float32, as TensorFlow does it: a few ties (x.5) fall differently there.
        step = np.float32(size - 1) / np.float32(max(new_size - 1, 1))
        scaled = positions.astype(np.float32) * step
        return np.floor(scaled.astype(np.float64) + 0.5).astype(np.int64)
    raise ValueError(f"unknown resize rule {rule!r}: use 'align_corners' or 'floor'")


def upsample_nearest(features: jax.Array, factor: int = 2) -> jax.Array:
    """Repeats each pixel of [B, H, W, C] `factor` times along height and width.

    Equal to TensorFlow's nearest resize with and without `align_corners` for factor 2.
    """
    batch, height, width, channels = features.shape
    spread = jnp.broadcast_to(
        features[:, :, None, :, None, :],
        (batch, height, factor, width, factor, channels),
    )
    return spread.reshape(batch, height * factor, width * factor, channels)


def resize_bilinear(features: jax.Array, height: int, width: int) -> jax.Array:
    """Interpolates linearly, corner pixel to corner pixel (TF's `align_corners=True`).

    Args:
      features: [B, H, W, C].
      height: rows of the result.
      width: columns of the result.

    Returns:
      [B, height, width, C] in the dtype of the features.

    Raises:
      ValueError: on a size below 1.
    """
    _, old_height, old_width, _ = features.shape
    rows, columns = _linear(old_height, height), _linear(old_width, width)
    return _resample(features, rows, columns)


def resize_area(features: jax.Array, height: int, width: int) -> jax.Array:
    """Averages the features over the area that each new pixel covers (TF's `AREA`).

    Args:
      features: [B, H, W, C]; one-hot labels become the share of each label.
      height: rows of the result, at most H.
      width: columns of the result, at most W.

    Returns:
      [B, height, width, C] in the dtype of the features.

    Raises:
      ValueError: on a size below 1, or above the old one.
    """
    batch, old_height, old_width, channels = features.shape
    if height > old_height or width > old_width:
        raise ValueError(
            f"resize_area only shrinks: {old_height} x {old_width} cannot become "
            f"{height} x {width}; use resize_bilinear"
        )
    if height > 0 < width and old_height % height == 0 == old_width % width:
        down, across = old_height // height, old_width // width
        blocks = features.reshape(batch, height, down, width, across, channels)
        return blocks.mean(axis=(2, 4))
    rows, columns = _overlaps(old_height, height), _overlaps(old_width, width)
    return _resample(features, rows, columns)


def _resample(features: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    """Applies a matrix [new, old] to each axis: its adjoint is as cheap as itself."""
    rows, columns = (jnp.asarray(m, features.dtype) for m in (rows, columns))
    highest = jax.lax.Precision.HIGHEST
    taller = jnp.einsum("bhwc,ih->biwc", features, rows, precision=highest)
    return jnp.einsum("biwc,jw->bijc", taller, columns, precision=highest)


def _linear(size: int, new_size: int) -> np.ndarray:
    """[new_size, size] weights of linear interpolation between corners."""
    _check_size(new_size)
    positions = np.arange(new_size) * ((size - 1) / max(new_size - 1, 1))
    distance = np.abs(positions[:, None] - np.arange(size)[None])
    return np.maximum(1 - distance, 0)


def _overlaps(size: int, new_size: int) -> np.ndarray:
    """[new_size, size] shares of each new pixel that lie in each old one."""
    _check_size(new_size)
    step = size / new_size
    start, old = np.arange(new_size)[:, None] * step, np.arange(size)[None]
    overlap = np.minimum(start + step, old + 1) - np.maximum(start, old)
    return np.maximum(overlap, 0) / step


def _check_size(size: int) -> None:
    if size < 1:
        raise ValueError(f"cannot resize to {size} pixels: ask for at least 1")
