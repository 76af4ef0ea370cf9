"""Random regions: blobs of a thresholded noise, as the Context Encoder's code has them.

Pathak et al. 2016, https://arxiv.org/abs/1604.07379. Their paper pastes silhouettes of
PASCAL VOC; their released code thresholds a smooth noise instead, which is this.
"""

import functools
import math

import jax.numpy as jnp
from jax import lax

from inpainting_jax.masks.drawing import (
    as_mask,
    bounded,
    draw_shares,
    float_dtype,
)
from inpainting_jax.types import Array, Key


def pattern(
    key: Key,
    height: int,
    width: int,
    *,
    resolution: float = 0.06,
    threshold: float = 0.25,
    min_ratio: float = 0.2,
    max_ratio: float = 0.3,
    scale: bool = False,
) -> Array:
    """Regions where smooth uniform noise is low, redrawn until their share fits.

    The authors upsample 600x600 uniform values bicubically to 10,000 pixels a side and
    cut windows out of it, one for the whole batch. Here only what a window needs is
    drawn, at a random place between the values, for each image by its key.

    Args:
      key: a typed key.
      height: H, pixels.
      width: W, pixels.
      resolution: random values per pixel and axis: regions are some 1 / resolution
        pixels wide.
      threshold: in (0, 1), of the noise; below it is hole.
      min_ratio: smallest share of hole, exclusive.
      max_ratio: largest share of hole.
      scale: resolution relative to a 128 px image, whose shorter side gets 7.7 values.

    Returns:
      [H, W, 1]; where the regions are as large as the image the share may not fit, and
      the closest of 64 draws is given.

    Raises:
      ValueError: options out of range.
    """
    if not 0 < threshold < 1 or not 0 <= min_ratio < max_ratio <= 1:
        raise ValueError(
            "need 0 < threshold < 1 and 0 <= min_ratio < max_ratio <= 1, got "
            f"{threshold}, {min_ratio}, {max_ratio}."
        )
    density = resolution * 128 / min(height, width) if scale else resolution
    if not 0 < density <= 1:
        raise ValueError(
            f"resolution={resolution} gives {density:g} values per pixel of a {height} "
            f"x {width} image; it must lie in (0, 1]."
        )
    draw = functools.partial(_low_noise, density=density, threshold=threshold)
    return bounded(draw, min_ratio, max_ratio)(key, height, width)


def _low_noise(
    key: Key, height: int, width: int, *, density: float, threshold: float
) -> Array:
    """One window of the pattern, whatever its share of hole."""
    rows, columns = (math.ceil(side * density) + 4 for side in (height, width))
    # All numbers in one draw: the first row is where the window lies.
    shares = draw_shares(key, (rows + 1, columns))
    offset = shares[0, :2]
    noise = jnp.einsum(
        "yr,rc,xc->yx",
        _cubic_weights(height, rows, density, offset[0]),
        shares[1:],
        _cubic_weights(width, columns, density, offset[1]),
        precision=lax.Precision.HIGHEST,
    )
    return as_mask(noise < threshold)


def _cubic_weights(length: int, count: int, density: float, offset: Array) -> Array:
    """[length, count] weights of cubic convolution (Keys 1981, a = -1/2)."""
    pixels = (jnp.arange(length, dtype=float_dtype()) + 0.5) * density
    places = 1 + offset + pixels
    distance = jnp.abs(places[:, None] - jnp.arange(count, dtype=float_dtype())[None])
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return jnp.where(distance < 1, near, jnp.where(distance < 2, far, 0))
