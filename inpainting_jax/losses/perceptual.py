"""Distances between the features that a frozen network sees in two images.

Johnson, Alahi, Fei-Fei 2016 (https://arxiv.org/abs/1603.08155) square the difference
("feature reconstruction"), the inpainting papers take its absolute value. The network
is the caller's; features are a sequence of [B, h, w, C], one per tapped layer.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from inpainting_jax.layers.resize import resize_area
from inpainting_jax.types import Array


def perceptual_loss(
    features: Sequence[Array],
    target: Sequence[Array],
    *,
    squared: bool = False,
    layer_weights: Sequence[float] | None = None,
    mask: Array | None = None,
) -> Array:
    """Mean difference of the features, summed over layers (Johnson et al. 2016, 3.1).

    Args:
      features: [B, h, w, C] of each layer, of the image to be judged.
      target: the same layers of the image it should be; they get no gradient.
      squared: mean square (Johnson) instead of mean absolute difference (Liu et al.
        2018, pix2pixHD, CRN).
      layer_weights: one per layer; None = 1 each.
      mask: [B, H, W, 1] of the images, 1 where differences count, or None: everywhere.
        A feature counts if any pixel of its cell does; the mean stays that over all
        features (Song et al. 2018).

    Returns:
      [B] float32.

    Raises:
      ValueError: layers that do not correspond.
    """

    def distance(ours: Array, theirs: Array) -> Array:
        difference = ours.astype(jnp.float32) - theirs.astype(jnp.float32)
        values = difference**2 if squared else jnp.abs(difference)
        if mask is not None:
            # Far below the share of a cell that one pixel has, above rounding.
            counts = resize_area(mask, *values.shape[1:3]) > 1e-6
            values = jnp.where(counts, values, 0.0)
        return values.mean(axis=(1, 2, 3))

    return sum_over_layers(distance, features, target, layer_weights)


def sum_over_layers(
    distance: Callable[[Array, Array], Array],
    features: Sequence[Array],
    target: Sequence[Array],
    layer_weights: Sequence[float] | None,
) -> Array:
    """The weighted sum of `distance(ours, theirs)` over layers; no gradient to target.

    Raises:
      ValueError: another number of layers or weights, or shapes that differ.
    """
    weights = [1.0] * len(features) if layer_weights is None else layer_weights
    if not len(features) == len(target) == len(weights) > 0:
        raise ValueError(
            f"{len(features)} layers cannot be compared with {len(target)} by "
            f"{len(weights)} weights: tap the same layers of both, at least one"
        )
    for ours, theirs in zip(features, target, strict=True):
        if ours.shape != theirs.shape:
            raise ValueError(
                f"features {ours.shape} and target features {theirs.shape} differ in "
                "shape: tap the same layers of images of equal size"
            )
    return sum(
        weight * distance(ours, jax.lax.stop_gradient(theirs))
        for ours, theirs, weight in zip(features, target, weights, strict=True)
    )
