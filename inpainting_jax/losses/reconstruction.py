"""Distances between a prediction and the image it should be.

Images are [B, H, W, C] in [-1, 1]: an L1 here is twice that of images in [0, 1].
"""

import jax.numpy as jnp

from inpainting_jax.types import Array


def _check_same_shape(prediction: Array, image: Array) -> None:
    """Broadcasting would hide a wrong batch: shapes must be equal."""
    if prediction.shape != image.shape:
        raise ValueError(
            f"prediction {prediction.shape} and image {image.shape} differ in shape; "
            "crop or resize one to the other first"
        )


def l1_loss(prediction: Array, image: Array) -> Array:
    """Mean absolute difference over the whole image, [B]."""
    _check_same_shape(prediction, image)
    return jnp.abs(prediction - image).mean(axis=(1, 2, 3))


def masked_l1_loss(prediction: Array, image: Array, mask: Array) -> Array:
    """Mean absolute difference where `mask` is 1, per image.

    Args:
      prediction: [B, H, W, C].
      image: [B, H, W, C].
      mask: [B, H, W, 1]; pass the mask for the hole, `1 - mask` for the known part.

    Returns:
      [B]; 0 for an image whose mask is empty.
    """
    _check_same_shape(prediction, image)
    if mask.shape != (*image.shape[:3], 1):
        raise ValueError(
            f"mask {mask.shape} does not fit images {image.shape}: expected "
            f"{(*image.shape[:3], 1)}"
        )
    area = mask.sum(axis=(1, 2, 3)) * image.shape[-1]
    total = (jnp.abs(prediction - image) * mask).sum(axis=(1, 2, 3))
    return total / jnp.maximum(area, 1.0)
