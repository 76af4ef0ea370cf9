"""Convolution of an enlarged image, computed on the small one.

An image whose pixels are each repeated 2 x 2 times holds every number four times: of
the 3 x 3 taps at one of its pixels only 2 x 2 see different numbers, and which ones
depends on the pixel's place in its 2 x 2 block alone. So the convolution is four small
ones, of the sums of taps, whose results are interleaved (as in Shi et al. 2016,
arXiv 1609.05158): 4/9 of the products, equal up to rounding.
"""

import jax
import jax.numpy as jnp

from inpainting_jax.layers.conv_gradients import convolve_with_margins


def convolve_doubled(
    features: jax.Array,
    kernel: jax.Array,
    *,
    precision: jax.lax.Precision | None = None,
) -> jax.Array:
    """3 x 3 convolution, zeros around, of the features with each pixel repeated 2 x 2.

    Args:
      features: [B, H, W, C].
      kernel: [3, 3, C, F]; its taps are added up in its own dtype.
      precision: of the products.

    Returns:
      [B, 2 H, 2 W, F] in the dtype of the features.
    """
    batch, height, width, _ = features.shape
    rows = []
    for down in (0, 1):
        places = []
        for across in (0, 1):
            taps = _sum_taps(_sum_taps(kernel, 0, down), 1, across)
            places.append(
                convolve_with_margins(
                    features,
                    taps.astype(features.dtype),
                    1,
                    1,
                    ((1 - down, down), (1 - across, across)),
                    precision=precision,
                )
            )
        rows.append(jnp.stack(places, axis=3))
    doubled = jnp.stack(rows, axis=2)
    return doubled.reshape(batch, 2 * height, 2 * width, -1)


def _sum_taps(kernel: jax.Array, axis: int, place: int) -> jax.Array:
    """The two taps that the first (0) or second (1) pixel of a pair sees."""
    first, middle, last = jnp.split(kernel, 3, axis)
    pair = [first, middle + last] if place == 0 else [first + middle, last]
    return jnp.concatenate(pair, axis)
