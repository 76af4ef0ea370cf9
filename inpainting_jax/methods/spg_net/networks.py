"""The body that both generators share (Sec. 3.2), and the discriminators' layers."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax import layers
from inpainting_jax.layers.normalization import dcgan_scale_init, instance_norm
from inpainting_jax.types import Array

NORMS = ("batch", "instance")
INIT = nn.initializers.normal(0.02)


def build_norm(kind: str, train: bool) -> Callable[..., nn.Module]:
    """The normalisation of all networks: "batch", or "instance" without parameters."""
    if kind == "instance":
        return instance_norm()
    return layers.batch_norm(train, scale_init=dcgan_scale_init)


class ResidualBlock(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), both 3x3 and dilated alike.

    Attributes:
      conv: builds a convolution with its normalisation.
      dilation: of both.
    """

    conv: Callable[..., nn.Module]
    dilation: int

    @nn.compact
    def __call__(self, features: Array) -> Array:
        # There is nothing to reflect beyond the other border of a small map.
        reflects = min(features.shape[1:3]) > self.dilation
        conv = functools.partial(
            self.conv,
            features.shape[-1],
            dilation=self.dilation,
            padding="REFLECT" if reflects else "SYMMETRIC",
        )
        inner = conv(activation=nn.relu, name="conv1")(features)
        return features + conv(activation=None, name="conv2")(inner)


class Generator(nn.Module):
    """Residual encoder-decoder; H and W multiples of 2**depth.

    With the paper's sizes 48,016,200 parameters for 8 classes in and out (SP-Net),
    48,000,515 for 8 in and colours out (SG-Net).

    Attributes:
      outputs: channels of the result.
      width: channels of the first layer, doubled by each further halving.
      depth: halvings; 4 in the paper.
      dilations: one residual block each.
      norm: "batch" (paper) or "instance" (pix2pixHD).
      dtype: of the convolutions; the result is float32.
    """

    outputs: int
    width: int = 64
    depth: int = 4
    dilations: Sequence[int] = (2, 2, 2, 4, 4, 4, 8, 8, 8)
    norm: str = "batch"
    dtype: Any = None

    @nn.compact
    def __call__(self, planes: Array, *, train: bool = False) -> Array:
        """[B, H, W, outputs] without a last activation.

        Args:
          planes: [B, H, W, C]: the image, the labels and possibly the mask.
          train: whether batch normalisation uses the batch; `batch_stats` must then be
            mutable.
        """
        norm = build_norm(self.norm, train)
        options = {"kernel_init": INIT, "dtype": self.dtype}
        conv = functools.partial(layers.ConvBlock, norm=norm, **options)
        wide = functools.partial(conv, kernel_size=(7, 7), padding="REFLECT")
        down = functools.partial(
            conv, strides=2, padding="SYMMETRIC", activation=nn.relu
        )
        features = planes
        for index in range(self.depth):
            width = self.width * 2**index
            layer = (
                down
                if index
                else functools.partial(wide, strides=2, activation=nn.relu)
            )
            features = layer(width, name=f"down{index + 1}")(features)
        for index, dilation in enumerate(self.dilations, start=1):
            features = ResidualBlock(conv, dilation, name=f"block{index}")(features)
        for index in range(self.depth):
            features = layers.TransposedConvBlock(
                self.width * 2 ** (self.depth - 1 - index),
                (3, 3),
                padding="SYMMETRIC",
                norm=norm,
                name=f"up{index + 1}",
                **options,
            )(features)
        last = wide(self.outputs, norm=None, activation=None, name="last")
        return last(features).astype(jnp.float32)


class Discriminator(nn.Module):
    """Three PatchGANs at full, half and quarter size, equal but for their weights.

    Attributes:
      width: channels of their first layers.
      layers: their halvings: 3 in pix2pixHD, 4 in the paper's text.
      scales: how many.
      norm: "batch" or "instance".
      dtype: of the convolutions.
    """

    width: int = 64
    layers: int = 3
    scales: int = 3
    norm: str = "batch"
    dtype: Any = None

    @nn.compact
    def __call__(
        self, planes: Array, *, train: bool = False
    ) -> list[tuple[Array, list[Array]]]:
        """Logits and features by scale, see `layers.MultiScaleDiscriminator`."""
        patch = functools.partial(
            layers.PatchDiscriminator,
            width=self.width,
            layers=self.layers,
            norm=build_norm(self.norm, train),
            kernel_init=INIT,
            dtype=self.dtype,
        )
        return layers.MultiScaleDiscriminator(patch, self.scales, name="judges")(planes)
