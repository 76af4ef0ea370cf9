"""Distances between a prediction and the image it should be.

Images are [B, H, W, C] in [-1, 1]: an L1 here is twice that of images in [0, 1], an L2
four times. Three normalisers occur in the papers: all elements (`l1_loss`, `l2_loss`),
the pixels of a mask (`masked_*`), and all elements after weighting (`weighted_*`).
"""

import jax.numpy as jnp
import numpy as np

from inpainting_jax.types import Array


def _check_same_shape(prediction: Array, image: Array) -> None:
    """Broadcasting would hide a wrong batch: shapes must be equal."""
    if prediction.shape != image.shape:
        raise ValueError(
            f"prediction {prediction.shape} and image {image.shape} differ in shape; "
            "crop or resize one to the other first"
        )


def _masked_mean(distance: Array, mask: Array) -> Array:
    """Mean of [B, H, W, C] where mask [B, H, W, 1] is 1; 0 for an empty mask."""
    if mask.shape != (*distance.shape[:3], 1):
        raise ValueError(
            f"mask {mask.shape} does not fit images {distance.shape}: expected "
            f"{(*distance.shape[:3], 1)}"
        )
    area = mask.sum(axis=(1, 2, 3)) * distance.shape[-1]
    return (distance * mask).sum(axis=(1, 2, 3)) / jnp.maximum(area, 1.0)


def l1_loss(prediction: Array, image: Array) -> Array:
    """Mean absolute difference over the whole image, [B]."""
    _check_same_shape(prediction, image)
    return jnp.abs(prediction - image).mean(axis=(1, 2, 3))


def l2_loss(prediction: Array, image: Array) -> Array:
    """Mean squared difference over the whole image, [B]; no factor one half."""
    _check_same_shape(prediction, image)
    return ((prediction - image) ** 2).mean(axis=(1, 2, 3))


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
    return _masked_mean(jnp.abs(prediction - image), mask)


def masked_l2_loss(prediction: Array, image: Array, mask: Array) -> Array:
    """Mean squared difference where `mask` is 1; arguments as of `masked_l1_loss`."""
    _check_same_shape(prediction, image)
    return _masked_mean((prediction - image) ** 2, mask)


def weighted_l1_loss(prediction: Array, image: Array, weights: Array) -> Array:
    """mean(weights * |prediction - image|), divided by the plain number of elements.

    Args:
      prediction: [B, H, W, C].
      image: [B, H, W, C].
      weights: broadcastable to [B, H, W, C], of rank 4: `discount_weights`, or a mask
        (the hole's error, relative to the whole image).

    Returns:
      [B].
    """
    _check_same_shape(prediction, image)
    return (weights * jnp.abs(prediction - image)).mean(axis=(1, 2, 3))


def weighted_l2_loss(prediction: Array, image: Array, weights: Array) -> Array:
    """mean(weights * (prediction - image)^2); arguments as of `weighted_l1_loss`.

    With `overlap_weights` it is the reconstruction loss of the Context Encoder, with
    the mask that of Globally and Locally Consistent Completion.
    """
    _check_same_shape(prediction, image)
    return (weights * (prediction - image) ** 2).mean(axis=(1, 2, 3))


def overlap_weights(
    height: int, width: int, overlap: int, *, ring: float = 10.0
) -> np.ndarray:
    """Weights of a predicted centre whose rim is known (Pathak et al. 2016, Sec. 3.2).

    Args:
      height: rows of the prediction.
      width: columns of the prediction.
      overlap: pixels on each side that the prediction shares with the known part; 7 in
        the paper, 4 in the authors' code.
      ring: weight there; 1 inside.

    Returns:
      [1, height, width, 1] float32.

    Raises:
      ValueError: an overlap below 0, or one that leaves no inside.
    """
    if overlap < 0 or 2 * overlap >= min(height, width):
        raise ValueError(
            f"overlap must lie in 0..{(min(height, width) - 1) // 2} for a prediction"
            f" of {height} x {width}, got {overlap}"
        )
    weights = np.full((1, height, width, 1), ring, np.float32)
    weights[:, overlap : height - overlap, overlap : width - overlap] = 1
    return weights


def discount_weights(height: int, width: int, *, gamma: float = 0.9) -> np.ndarray:
    """Spatial discounting: error deep inside a hole counts less (Yu et al. 2018, 3.3).

    max(gamma^min(i, H - i), gamma^min(j, W - j)), as the authors' code has it: row 0
    weighs 1, row H - 1 gamma, so the map is not symmetric.

    Args:
      height: rows H of the window.
      width: columns W of the window.
      gamma: per pixel of distance; 0.9 in the released configuration, 0.99 in the
        paper.

    Returns:
      [1, height, width, 1] float32.
    """
    rows, columns = (
        gamma ** np.minimum(np.arange(n), n - np.arange(n)) for n in (height, width)
    )
    weights = np.maximum(rows[:, None], columns[None])
    return weights[None, :, :, None].astype(np.float32)
