"""Smoothness: differences of neighbouring pixels, of the whole image or near the hole.

Liu et al. 2018 (https://arxiv.org/abs/1804.07723), Eq. 6: the composite image, in the
hole dilated by one pixel, so that the seam to the known pixels counts.
"""

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array


def total_variation_loss(
    image: Array,
    mask: Array | None = None,
    *,
    dilation: int = 0,
    per_region: bool = False,
) -> Array:
    """Mean |difference| to the pixel below plus mean |difference| to that on the right.

    Args:
      image: [B, H, W, C].
      mask: [B, H, W, 1], 1 = hole; only pairs count whose pixels both lie in it (after
        dilation). None: all pairs.
      dilation: pixels by which the hole grows in every direction (square), >= 0; 1 in
        the paper.
      per_region: divide by the number of pairs that count instead of by all.

    Returns:
      [B]; 0 where no pair counts.

    Raises:
      ValueError: a mask of another size, or a negative dilation.
    """
    if mask is None:
        mask = jnp.ones((*image.shape[:3], 1), image.dtype)
    if mask.shape != (*image.shape[:3], 1) or dilation < 0:
        raise ValueError(
            f"mask {mask.shape} must be {(*image.shape[:3], 1)} and dilation >= 0, got "
            f"{dilation}"
        )
    region = dilate(jax.lax.stop_gradient(mask), dilation)
    total = jnp.zeros(image.shape[0])
    for axis in (1, 2):
        # A row or column less than the image has: of each pair the first, the second.
        one, two = _neighbours(image, axis)
        inside = jnp.minimum(*_neighbours(region, axis))
        count = one[0].size
        if per_region:
            count = jnp.maximum(inside.sum(axis=(1, 2, 3)) * image.shape[3], 1)
        distance = (jnp.abs(one - two) * inside).sum(axis=(1, 2, 3))
        total = total + distance / jnp.maximum(count, 1)
    return total


def dilate(mask: Array, pixels: int) -> Array:
    """The mask [B, H, W, 1] grown by a square of `pixels` in every direction."""
    side = 2 * pixels + 1
    window = (1, side, side, 1)
    return jax.lax.reduce_window(mask, -jnp.inf, jax.lax.max, window, (1,) * 4, "SAME")


def _neighbours(array: Array, axis: int) -> tuple[Array, Array]:
    """All but the last, and all but the first, along `axis`."""
    length = array.shape[axis]
    first = jax.lax.slice_in_dim(array, 0, length - 1, axis=axis)
    return first, jax.lax.slice_in_dim(array, 1, length, axis=axis)
