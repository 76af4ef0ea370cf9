"""A small segmentation network of atrous convolutions, trained from scratch.

After DeepLab v3+ (Chen et al. 2018, https://arxiv.org/abs/1802.02611), of which no
weights can be had here: a strided stack, a pyramid of dilated convolutions beside a
global mean, and a decoder that adds the edges of a finer layer. It stands in for the
external segmenter of guided inpainting, so it is narrow and reads incomplete images.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax.layers.conv import ConvBlock
from inpainting_jax.layers.normalization import batch_norm
from inpainting_jax.types import Array


class Segmenter(nn.Module):
    """Class logits of every pixel; images of any size.

    Attributes:
      classes: C.
      width: channels of the first layer; the pyramid has four times as many.
      rates: dilations of the pyramid; 6, 12, 18 in DeepLab at an output stride of 16.
      output_stride: pixels per feature of the pyramid, 8 or 16.
      dtype: of the convolutions; logits are float32.
    """

    classes: int
    width: int = 32
    rates: Sequence[int] = (6, 12, 18)
    output_stride: int = 16
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, *, train: bool = False) -> Array:
        """Logits [B, H, W, C].

        Args:
          image: [B, H, W, 3 or more] in [-1, 1]; further channels (a mask) as they are.
          train: whether batch normalisation uses the batch; `batch_stats` must then be
            mutable.
        """
        conv = functools.partial(
            ConvBlock,
            padding="SYMMETRIC",
            norm=batch_norm(train),
            activation=nn.relu,
            kernel_init=nn.initializers.he_normal(),
            dtype=self.dtype,
        )
        features = conv(self.width, strides=2, name="conv1")(image)
        fine = conv(2 * self.width, strides=2, name="conv2a")(features)
        fine = conv(2 * self.width, name="conv2b")(fine)
        features = conv(4 * self.width, strides=2, name="conv3a")(fine)
        features = conv(4 * self.width, name="conv3b")(features)
        stride = self.output_stride // 8
        features = conv(4 * self.width, strides=stride, name="conv4")(features)

        one = functools.partial(conv, kernel_size=(1, 1))
        pyramid = [one(self.width, name="pyramid1")(features)]
        for rate in self.rates:
            layer = conv(self.width, dilation=rate, name=f"pyramid_rate{rate}")
            pyramid.append(layer(features))
        mean = features.mean(axis=(1, 2), keepdims=True)
        mean = one(self.width, norm=None, name="pyramid_mean")(mean)
        pyramid.append(jnp.broadcast_to(mean, pyramid[0].shape))
        features = one(4 * self.width, name="project")(jnp.concatenate(pyramid, -1))

        edges = one(self.width, name="edges")(fine)
        features = jnp.concatenate([_resized(features, *edges.shape[1:3]), edges], -1)
        features = conv(2 * self.width, name="decode")(features)
        last = one(self.classes, norm=None, activation=None, name="last")
        return _resized(last(features).astype(jnp.float32), *image.shape[1:3])


def _resized(features: Array, height: int, width: int) -> Array:
    batch, _, _, channels = features.shape
    return jax.image.resize(features, (batch, height, width, channels), "bilinear")
