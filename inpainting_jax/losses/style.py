"""Distances between Gram matrices: which features occur together, not where.

Gatys, Ecker, Bethge 2016 (https://arxiv.org/abs/1508.06576); normalised by Johnson et
al. 2016. The papers disagree on the normaliser, see `gram_matrix`. Computed in float32:
sums over H W of bfloat16 products would lose most digits.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from inpainting_jax.losses.perceptual import sum_over_layers
from inpainting_jax.types import Array

NORMALIZATIONS = ("chw", "hw", "none")


def gram_matrix(features: Array, *, normalization: str = "chw") -> Array:
    """F^T F of the features [B, H, W, C] as a list of H W vectors, [B, C, C] float32.

    Args:
      features: [B, H, W, C].
      normalization: "chw" divides by C H W (Johnson; Liu et al. 2018), "hw" by H W,
        "none" does not (Gatys).

    Raises:
      ValueError: an unknown normalisation.
    """
    _, height, width, channels = features.shape
    sizes = {"chw": height * width * channels, "hw": height * width, "none": 1}
    if normalization not in sizes:
        raise ValueError(
            f"unknown normalization {normalization!r} of a Gram matrix; known: "
            f"{', '.join(NORMALIZATIONS)}"
        )
    # Scaled first: the sums stay small whatever the size of the map.
    scaled = features.astype(jnp.float32) / sizes[normalization] ** 0.5
    return jnp.einsum(
        "bhwc,bhwd->bcd", scaled, scaled, preferred_element_type=jnp.float32
    )


def style_loss(
    features: Sequence[Array],
    target: Sequence[Array],
    *,
    squared: bool = False,
    normalization: str = "chw",
    layer_weights: Sequence[float] | None = None,
) -> Array:
    """Mean difference of the Gram matrices' entries, summed over layers.

    Args:
      features: [B, h, w, C] of each layer, of the image to be judged.
      target: the same layers of the image whose style it should have; no gradient.
      squared: mean square (Gatys, Johnson) instead of mean absolute difference (Liu et
        al. 2018, Eq. 4 and 5).
      normalization: see `gram_matrix`. Gatys's layer loss 1 / (4 N^2 M^2) sum is a
        quarter of the mean square under "hw".
      layer_weights: one per layer; None = 1 each.

    Returns:
      [B] float32.

    Raises:
      ValueError: layers that do not correspond, or an unknown normalisation.
    """

    def distance(ours: Array, theirs: Array) -> Array:
        difference = gram_matrix(ours, normalization=normalization) - gram_matrix(
            theirs, normalization=normalization
        )
        values = difference**2 if squared else jnp.abs(difference)
        return values.mean(axis=(1, 2))

    return sum_over_layers(distance, features, target, layer_weights)
