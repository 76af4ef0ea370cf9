"""Completion network and context discriminator (Iizuka et al. 2017, Tables 1 and 2).

Layers carry the numbers of the paper's table and the names of otenim's state dict.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax import images, layers
from inpainting_jax.layers.discriminators import StridedDiscriminator
from inpainting_jax.types import Array


class Layer(NamedTuple):
    """One row of the paper's table."""

    name: str
    width: float  # output channels in units of the network's width
    kernel: int = 3
    strides: int = 1
    dilation: int = 1
    transposed: bool = False


LAYERS = (
    Layer("conv1", 1, kernel=5),
    Layer("conv2", 2, strides=2),
    Layer("conv3", 2),
    Layer("conv4", 4, strides=2),
    Layer("conv5", 4),
    Layer("conv6", 4),
    Layer("conv7", 4, dilation=2),
    Layer("conv8", 4, dilation=4),
    Layer("conv9", 4, dilation=8),
    Layer("conv10", 4, dilation=16),
    Layer("conv11", 4),
    Layer("conv12", 4),
    Layer("deconv13", 2, kernel=4, strides=2, transposed=True),
    Layer("conv14", 2),
    Layer("deconv15", 1, kernel=4, strides=2, transposed=True),
    Layer("conv16", 0.5),
)
"""All but the last, `conv17`, which gives the colours and is not normalised."""


class CompletionNetwork(nn.Module):
    """Completes [B, H, W, 3] from its known pixels; H and W multiples of 4.

    Attributes:
      width: channels that leave the first layer, even.
      mean_colour: what the hole is filled with, [0, 1]; the training set's mean.
      subtract_mean: subtract it everywhere, so that the hole is 0 (the authors),
        instead of painting the hole with it (otenim).
      norm_last: normalise after the ReLU (otenim) instead of before it.
      signed: work on [-1, 1] and clip the last layer (mmagic) instead of on [0, 1] with
        a sigmoid.
      dtype: of the convolutions; the result is float32.
    """

    width: int = 64
    mean_colour: Sequence[float] = (0.5, 0.5, 0.5)
    subtract_mean: bool = True
    norm_last: bool = False
    signed: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, mask: Array, *, train: bool = False) -> Array:
        """The raw prediction [B, H, W, 3] in [-1, 1].

        Args:
          image: [B, H, W, 3] in [-1, 1]; never read inside the hole.
          mask: [B, H, W, 1], 1 = hole.
          train: whether batch normalisation uses the batch; `batch_stats` must then be
            mutable.
        """
        features = jnp.concatenate([self._filled(image, mask), mask], axis=-1)
        shared = {
            "norm": layers.batch_norm(train),
            "norm_last": self.norm_last,
            "activation": nn.relu,
            "dtype": self.dtype,
        }
        for layer in LAYERS:
            if layer.transposed:
                block = layers.TransposedConvBlock
            else:
                block = functools.partial(
                    layers.ConvBlock, dilation=layer.dilation, padding="SYMMETRIC"
                )
            features = block(
                round(layer.width * self.width),
                kernel_size=(layer.kernel, layer.kernel),
                strides=layer.strides,
                name=layer.name,
                **shared,
            )(features)
        last = layers.ConvBlock(
            3, padding="SYMMETRIC", activation=None, dtype=self.dtype, name="conv17"
        )
        colours = last(features).astype(jnp.float32)
        return jnp.clip(colours, -1, 1) if self.signed else 2 * nn.sigmoid(colours) - 1

    def _filled(self, image: Array, mask: Array) -> Array:
        """What the first layer sees of the colours."""
        mean = jnp.asarray(self.mean_colour, jnp.float32)[None, None, None, :]
        known = images.mask_image(image, mask)
        if self.signed:
            mean = 2 * mean - 1
        else:
            known = images.to_unit(known)
        centred = images.mask_image(known - mean, mask)
        return centred if self.subtract_mean else centred + mean


def depth(side: int) -> int:
    """Halvings that leave about 4 pixels: 6 of 256, 5 of 160, 128 and 96 (the paper's).

    The smallest is 1.
    """
    return max(1, round(math.log2(side / 4)))


class ContextDiscriminator(nn.Module):
    """Judges the whole image and a window of it at once (Iizuka et al. 2017, Sec. 3.3).

    Images and windows must keep the sizes they had at `init`.

    Attributes:
      width: channels that leave the first layers; each branch ends in 16 times as many.
      global_layers: convolutions of the global branch; None follows from its input, see
        `depth`.
      local_layers: likewise of the local branch.
      local_first: the window's features come first in the last layer (otenim), not the
        image's (mmagic).
      activate_features: a ReLU on each branch's features, as in the ports.
      norm_last: normalise after the ReLU (otenim) instead of before it.
      signed: work on [-1, 1] instead of [0, 1].
      dtype: of the convolutions; logits are float32.
    """

    width: int = 64
    global_layers: int | None = None
    local_layers: int | None = None
    local_first: bool = False
    activate_features: bool = True
    norm_last: bool = False
    signed: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, window: Array, *, train: bool = False) -> Array:
        """Logits [B, 1].

        Args:
          image: [B, H, W, 3] in [-1, 1].
          window: [B, h, w, 3], part of it.
          train: whether batch normalisation uses the batch; `batch_stats` must then be
            mutable.
        """
        parts = [
            self._branch(self.global_layers, "global_branch", image, train),
            self._branch(self.local_layers, "local_branch", window, train),
        ]
        features = jnp.concatenate(parts[::-1] if self.local_first else parts, axis=-1)
        return nn.Dense(1, name="fusion")(features)

    def _branch(
        self, count: int | None, name: str, pixels: Array, train: bool
    ) -> Array:
        """Features [B, 16 * width] of one view."""
        count = depth(min(pixels.shape[1:3])) if count is None else count
        factors = [min(2**i, 8) for i in range(count)]
        branch = StridedDiscriminator(
            [self.width * factor for factor in factors],
            padding="SYMMETRIC",
            norm_from=1,
            norm_last=self.norm_last,
            activation=nn.relu,
            outputs=16 * self.width,
            dtype=self.dtype,
            name=name,
        )
        features = branch(pixels if self.signed else (pixels + 1) / 2, train=train)
        return nn.relu(features) if self.activate_features else features
