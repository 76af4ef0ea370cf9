"""Nearest-neighbour resizing whose pixel choice is written down.

Published inpainting networks disagree about which pixel "nearest" is, and weights do
not carry over between the two rules: TensorFlow 1 with `align_corners=True` halves 64
rows to 0, 2, ..., 30, 33, 35, ..., 63, PyTorch takes 0, 2, ..., 62. `jax.image.resize`
takes the pixel at the centre, which is neither.
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
    if new_size < 1:
        raise ValueError(f"cannot resize to {new_size} pixels: ask for at least 1")
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
