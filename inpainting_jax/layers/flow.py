"""Displacements as colours, to look at where attention copied from.

The Middlebury colour wheel (Baker et al. 2011, http://vision.middlebury.edu/flow/):
hue = direction, saturation = distance. Rows and columns enter as in DeepFill's code.
"""

from typing import Any

import numpy as np

_SEGMENTS = (15, 6, 4, 11, 13, 6)  # red-yellow-green-cyan-blue-magenta-red


def offsets_to_flow(offsets: Any, *, largest: float | None = None) -> np.ndarray:
    """Colours offsets by the Middlebury wheel, on the host (not to be jitted).

    Args:
      offsets: [B, H, W, 2] array (row, column), as `contextual_attention` returns them.
      largest: length that is painted fully saturated, > 0; None: the largest of each
        image (DeepFill's code: of the batch).

    Returns:
      [B, H, W, 3] float32 in [-1, 1], multiples of 1/127.5; no offset is white.
    """
    # In float64, as DeepFill's code: values are rounded down, and many are whole
    # numbers but for rounding errors.
    tiny = np.finfo(np.float64).eps
    row, column = np.moveaxis(np.asarray(offsets, np.float64), -1, 0)
    if largest is None:
        largest = np.hypot(row, column).max(axis=(1, 2), keepdims=True)
    row, column = row / (largest + tiny), column / (largest + tiny)
    radius = np.sqrt(row**2 + column**2)[..., None]
    wheel = _colour_wheel() / 255
    place = (np.arctan2(-column, -row) / np.pi + 1) / 2 * (len(wheel) - 1)
    below = np.floor(place).astype(np.int64)
    fraction = (place - below)[..., None]
    colour = (1 - fraction) * wheel[below] + fraction * wheel[(below + 1) % len(wheel)]
    value = np.floor(255 * (1 - radius * (1 - colour)))
    return (value / 127.5 - 1).astype(np.float32)


def _colour_wheel() -> np.ndarray:
    """[55, 3] in 0..255: in each segment one channel ramps up or down."""
    wheel = np.zeros((sum(_SEGMENTS), 3))
    start = 0
    for number, length in enumerate(_SEGMENTS):
        segment = wheel[start : start + length]
        ramp = np.floor(255 * np.arange(length) / length)
        old, new = number // 2, (number // 2 + 1) % 3
        if number % 2 == 0:
            segment[:, old], segment[:, new] = 255, ramp
        else:
            segment[:, old], segment[:, new] = 255 - ramp, 255
        start += length
    return wheel
