"""The image transformation network of Johnson, Alahi, Fei-Fei 2016.

Perceptual Losses for Real-Time Style Transfer and Super-Resolution,
https://arxiv.org/abs/1603.08155; the layout is that of the authors' code,
jcjohnson/fast-neural-style: `c9s1-32,d64,d128,R128 x 5,u64,u32,c9s1-3`, padded once by
reflection, with residual blocks that do not pad.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax import layers
from inpainting_jax.features.vgg import normalise
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array

NORMS = ("instance", "batch")


def from_grey_levels(centred: Array) -> Array:
    """[-1, 1] from grey levels less ImageNet's mean: undoes `normalise(caffe_rgb)`."""
    mean = normalise(jnp.full((1, 1, 1, 3), -1.0), "caffe_rgb")
    return (centred - mean) / 127.5 - 1


class ResidualBlock(nn.Module):
    """conv, norm, ReLU, conv, norm without padding, added to the middle of its input.

    Attributes:
      features: channels, of the input too.
      norm: builds the normalisation.
      dtype: of the convolutions.
    """

    features: int
    norm: Callable[..., nn.Module]
    dtype: Any = None

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """[B, H, W, C] to [B, H - 4, W - 4, C]."""
        block = functools.partial(
            layers.ConvBlock,
            self.features,
            padding="VALID",
            norm=self.norm,
            dtype=self.dtype,
        )
        change = block(activation=nn.relu, name="conv1")(features)
        change = block(activation=None, name="conv2")(change)
        return features[:, 2:-2, 2:-2] + change


class TransformerNet(nn.Module):
    """Repaints any photograph in the style it was trained on.

    Attributes:
      width: channels of the first layer; 32 in the paper.
      blocks: residual blocks; 5.
      norm: "instance" (the authors' later models) or "batch" (the paper).
      dtype: of the convolutions.
    """

    width: int = 32
    blocks: int = 5
    norm: str = "instance"
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, *, train: bool = False) -> Array:
        """The repainted images.

        Args:
          image: [B, H, W, 3] in [-1, 1], H and W multiples of 4 of any size.
          train: with "batch", whether to use (and record) the batch's statistics.

        Returns:
          [B, H, W, 3] float32; it reaches beyond [-1, 1]: clip what you show.

        Raises:
          ValueError: a size that is no multiple of 4, or an unknown norm.
        """
        if image.shape[1] % 4 or image.shape[2] % 4:
            raise ValueError(
                f"height and width must be multiples of 4, got {image.shape[1:3]}"
            )
        norm = self._norm(train)
        conv = functools.partial(
            layers.ConvBlock,
            padding="SYMMETRIC",
            norm=norm,
            activation=nn.relu,
            dtype=self.dtype,
        )
        # A block takes 4 of the small map's pixels, 16 of the image's: 8 a side.
        pad = (8 * self.blocks,) * 2
        features = normalise(image.astype(jnp.float32), "caffe_rgb")
        features = jnp.pad(features, ((0, 0), pad, pad, (0, 0)), mode="reflect")
        features = conv(self.width, kernel_size=(9, 9), name="conv1")(features)
        for i, factor in enumerate((2, 4)):
            out = factor * self.width
            features = conv(out, strides=2, name=f"down{i + 1}")(features)
        for i in range(self.blocks):
            block = ResidualBlock(4 * self.width, norm, self.dtype, name=f"block{i}")
            features = block(features)
        for i, factor in enumerate((2, 1)):
            features = layers.TransposedConvBlock(
                factor * self.width,
                kernel_size=(3, 3),
                padding="SYMMETRIC",
                norm=norm,
                activation=nn.relu,
                dtype=self.dtype,
                name=f"up{i + 1}",
            )(features)
        drawn = conv(3, kernel_size=(9, 9), norm=None, activation=nn.tanh, name="conv2")
        return from_grey_levels(150 * drawn(features).astype(jnp.float32))

    def _norm(self, train: bool) -> Callable[..., nn.Module]:
        if self.norm == "batch":
            return layers.batch_norm(train)
        if self.norm == "instance":
            scale = nn.initializers.uniform(1.0)  # U(0, 1), as the authors' code
            return functools.partial(
                layers.instance_norm(affine=True), scale_init=scale
            )
        raise UnknownNameError("norm", self.norm, dict.fromkeys(NORMS))
