"""AlexNet's convolutions (Krizhevsky 2014, "one weird trick"; torchvision's layout)."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array

CHANNELS = (64, 192, 384, 256, 256)
"""Channels of the five feature maps."""

MIN_SIZE = 31
"""Smallest height and width that leaves one pixel after the last pooling."""

_STRIDES = (4, 1, 1, 1, 1)
_PADDING = (2, 2, 1, 1, 1)
_POOLED = (False, True, True, False, False)


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
