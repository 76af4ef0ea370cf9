"""Generator and two-headed discriminator of Demir and Unal 2018."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax import layers
from inpainting_jax.types import Array


class ResidualBlock(nn.Module):
    """x + BN(conv(ReLU(BN(conv(x))))), 3x3, one of the two possibly dilated.

    Attributes:
      dilation: of that one.
      dilated_position: "none" (a plain block), "first" or "second".
      train: whether batch normalisation uses the batch.
      dtype: of the convolutions.
    """

    dilation: int
    dilated_position: str
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, features: Array) -> Array:
        block = functools.partial(
            layers.ConvBlock,
            features.shape[-1],
            padding="SYMMETRIC",
            norm=layers.batch_norm(self.train),
            dtype=self.dtype,
        )
        first, second = (
            self.dilation if self.dilated_position == position else 1
            for position in ("first", "second")
        )
        inner = block(dilation=first, activation=nn.relu, name="conv1")(features)
        return features + block(dilation=second, activation=None, name="conv2")(inner)


class Generator(nn.Module):
    """Residual encoder-decoder; H and W multiples of 4.

    Attributes:
      width: channels of the first layer, then twice and four times as many.
      dilations: one residual block each.
      dilated_position: which convolution of a block is dilated.
      resize: "nearest" or "bilinear", of the interpolated convolutions.
      use_mask: whether the mask is an input channel.
      mean_colour: of the hole in the input, [0, 1]; 0.5 is mid-grey.
      dtype: of the convolutions; the result is float32.
    """

    width: int = 64
    dilations: Sequence[int] = (1, 2, 2, 4, 4, 8, 8, 2, 1)
    dilated_position: str = "first"
    resize: str = "nearest"
    use_mask: bool = True
    mean_colour: Sequence[float] = (0.5, 0.5, 0.5)
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
        colour = 2 * jnp.asarray(self.mean_colour, jnp.float32)[None, None, None] - 1
        features = jnp.where(mask > 0.5, colour, image)
        if self.use_mask:
            features = jnp.concatenate([features, mask], axis=-1)
        conv = functools.partial(
            layers.ConvBlock,
            padding="SYMMETRIC",
            norm=layers.batch_norm(train),
            activation=nn.relu,
            dtype=self.dtype,
        )
        wide = functools.partial(conv, kernel_size=(7, 7), padding="REFLECT")
        features = wide(self.width, name="conv1")(features)
        features = conv(2 * self.width, strides=2, name="conv2")(features)
        features = conv(4 * self.width, strides=2, name="conv3")(features)
        for index, dilation in enumerate(self.dilations, start=1):
            features = ResidualBlock(
                dilation,
                self.dilated_position,
                train,
                dtype=self.dtype,
                name=f"block{index}",
            )(features)
        for index, factor in enumerate((2, 1), start=1):
            features = conv(factor * self.width, name=f"up{index}")(
                self._doubled(features)
            )
        last = wide(3, norm=None, activation=None, name="last")
        return jnp.tanh(last(features).astype(jnp.float32))

    def _doubled(self, features: Array) -> Array:
        if self.resize == "nearest":
            return layers.upsample_nearest(features)
        batch, height, width, channels = features.shape
        shape = (batch, 2 * height, 2 * width, channels)
        return jax.image.resize(features, shape, "bilinear")


class Discriminator(nn.Module):
    """A trunk of strided convolutions with two heads: the whole image, and its patches.

    4x4 convolutions throughout. With three shared layers a judgement of the patch head
    sees 70 x 70 pixels. The global head halves what the trunk leaves to about 4 pixels;
    images must keep the size they had at `init`.

    Attributes:
      width: channels of the first layer, doubled by each layer up to eight times.
      shared_layers: of the trunk.
      global_layers: strided layers of the global head; None follows from the size.
      dtype: of the convolutions; logits are float32.
    """

    width: int = 64
    shared_layers: int = 3
    global_layers: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, *, train: bool = False) -> dict[str, Array]:
        """Logits by head: "global" [B, 1], "patch" [B, h, w, 1] (30 x 30 of 256).

        Args:
          image: [B, H, W, 3 or 4] in [-1, 1].
          train: whether batch normalisation uses the batch; `batch_stats` must then be
            mutable.
        """
        conv = functools.partial(
            layers.ConvBlock,
            kernel_size=(4, 4),
            padding="SYMMETRIC",
            norm=layers.batch_norm(train),
            activation=lambda x: nn.leaky_relu(x, 0.2),
            dtype=self.dtype,
        )
        trunk = image
        for index in range(self.shared_layers):
            trunk = conv(
                self.width * min(2**index, 8),
                strides=2,
                norm=layers.batch_norm(train) if index else None,
                name=f"trunk{index + 1}",
            )(trunk)
        widest = self.width * min(2**self.shared_layers, 8)
        patch = conv(widest, name="patch1")(trunk)
        patch = conv(1, norm=None, activation=None, name="patch2")(patch)
        count = self.global_layers
        if count is None:
            count = max(0, round(math.log2(min(trunk.shape[1:3]) / 4)))
        whole = trunk
        for index in range(count):
            whole = conv(widest, strides=2, name=f"global{index + 1}")(whole)
        flat = whole.reshape(whole.shape[0], -1)
        logit = nn.Dense(1, dtype=self.dtype, name="global_dense")(flat)
        return {
            "global": logit.astype(jnp.float32),
            "patch": patch.astype(jnp.float32),
        }
