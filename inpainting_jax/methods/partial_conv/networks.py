"""The U-Net of Liu et al. 2018 (supplementary material), of any depth."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax import images, layers
from inpainting_jax.layers.conv import Padding
from inpainting_jax.types import Array

VALUE_RANGES = ("unit", "signed", "imagenet")
CONVOLUTIONS = ("partial", "gated", "plain")
HEADS = ("linear", "sigmoid")
HE_NORMAL = nn.initializers.variance_scaling(2.0, "fan_in", "normal")

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def to_native(image: Array, value_range: str) -> Array:
    """From [-1, 1] to the network's range: "unit", "signed", "imagenet" (z-scores)."""
    if value_range == "signed":
        return image
    unit = (image + 1) / 2
    if value_range == "unit":
        return unit
    return (unit - jnp.asarray(_MEAN)[None, None, None]) / jnp.asarray(_STD)[
        None, None, None
    ]


def to_signed(native: Array, value_range: str) -> Array:
    """The inverse of `to_native`."""
    if value_range == "signed":
        return native
    if value_range == "imagenet":
        native = native * jnp.asarray(_STD)[None, None, None]
        native = native + jnp.asarray(_MEAN)[None, None, None]
    return native * 2 - 1


def encoder_channels(width: int, depth: int) -> list[int]:
    """Channels that leave each layer of the encoder: width x 1, 2, 4, 8, 8, ..."""
    return [width * min(2**i, 8) for i in range(depth)]


class PartialBlock(nn.Module):
    """Convolution (`conv`) of one of three kinds, normalisation (`norm`), activation.

    Attributes:
      convolution: "partial"; or "gated" or "plain", which take every pixel as valid.
      features: channels that leave the block.
      norm: builds the normalisation; None for none.
      activation: None for a linear block.
      window: see `layers.partial_conv`.
      dtype: of the convolution.
    """

    features: int
    kernel_size: int = 3
    strides: int = 1
    padding: Padding = "SYMMETRIC"
    use_bias: bool = False
    norm: Callable[..., nn.Module] | None = None
    activation: Callable[[Array], Array] | None = nn.relu
    window: str = "volume"
    convolution: str = "partial"
    dtype: Any = None

    @nn.compact
    def __call__(self, features: Array, valid: Array) -> tuple[Array, Array]:
        features, valid = self._convolve(features, valid)
        if self.norm is not None:
            features = self.norm(name="norm")(features)
        if self.activation is not None:
            features = self.activation(features)
        # All channels of a layer's output are valid alike: one is kept.
        return features, valid[..., :1]

    def _convolve(self, features: Array, valid: Array) -> tuple[Array, Array]:
        options = {
            "kernel_size": (self.kernel_size, self.kernel_size),
            "strides": self.strides,
            "padding": self.padding,
            "use_bias": self.use_bias,
            "kernel_init": HE_NORMAL,
            "dtype": self.dtype,
            "name": "conv",
        }
        if self.convolution == "partial":
            conv = layers.PartialConv(self.features, window=self.window, **options)
            return conv(features, valid)
        # The activation comes after the normalisation, for all three.
        kind = {"gated": layers.GatedConv, "plain": layers.ConvBlock}[self.convolution]
        features = kind(self.features, activation=None, **options)(features)
        return features, jnp.ones_like(features[..., :1], jnp.float32)


class Generator(nn.Module):
    """U-Net of partial convolutions; blocks are named enc1, ..., dec1 as in the ports.

    Attributes:
      width: channels that leave the first layer; 64 in the paper.
      depth: halvings; 8 for 512 px (32,859,732 parameters), 7 for 256 px (25,779,796).
      window: see `layers.partial_conv`.
      convolution: "partial"; or the same network of "gated" or "plain" convolutions,
        which are told the mask as a fourth channel of their input instead.
      first_bias: whether the first layer has a bias (mmagic).
      head: "linear"; or "sigmoid", of a 1 x 1 convolution after an activation, which
        ends in [0, 1] (PConv-Keras).
      value_range: in which it works: "unit" [0, 1], "signed" [-1, 1] or "imagenet"
        (less the mean, by the standard deviation).
      dtype: of the convolutions.
    """

    width: int = 64
    depth: int = 7
    window: str = "volume"
    first_bias: bool = False
    value_range: str = "unit"
    convolution: str = "partial"
    head: str = "linear"
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        image: Array,
        mask: Array,
        *,
        train: bool = False,
        freeze_encoder_norm: bool = False,
    ) -> tuple[Array, Array]:
        """The predicted image, and what of it rests on any known pixel.

        Args:
          image: [B, H, W, 3] in [-1, 1], H and W multiples of 2**depth; its hole is not
            read.
          mask: [B, H, W, 1], 1 = hole.
          train: normalise by the batch (and record it) instead of running statistics.
          freeze_encoder_norm: not in the encoder, though.

        Returns:
          [B, H, W, 3] float32, not bounded, near [-1, 1]; and [B, H, W, 1] valid (all
          of it, if the convolutions are not partial ones).
        """
        block = functools.partial(
            PartialBlock,
            window=self.window,
            convolution=self.convolution,
            dtype=self.dtype,
        )
        # Two kinds of normalisation: of the encoder, and of the decoder.
        encoder_norm = layers.batch_norm(train and not freeze_encoder_norm)
        decoder_norm = layers.batch_norm(train)
        features = to_native(images.mask_image(image, mask), self.value_range)
        if self.convolution != "partial":
            features = jnp.concatenate([features, mask.astype(features.dtype)], axis=-1)
        valid = 1 - mask
        channels = encoder_channels(self.width, self.depth)
        skips = []
        for i, count in enumerate(channels, 1):
            skips.append((features, valid))
            features, valid = block(
                count,
                kernel_size={1: 7, 2: 5, 3: 5}.get(i, 3),
                strides=2,
                use_bias=i == 1 and self.first_bias,
                norm=None if i == 1 else encoder_norm,
                name=f"enc{i}",
            )(features, valid)
        leaky_relu = functools.partial(nn.leaky_relu, negative_slope=0.2)
        for i in range(self.depth, 0, -1):
            features, valid = _join((features, valid), skips.pop())
            last = i == 1
            features, valid = block(
                3 if last else channels[i - 2],
                use_bias=last,
                norm=None if last else decoder_norm,
                activation=None if last and self.head == "linear" else leaky_relu,
                name=f"dec{i}",
            )(features, valid)
        if self.head == "sigmoid":
            head = layers.ConvBlock(
                3, kernel_size=(1, 1), activation=None, dtype=self.dtype, name="head"
            )
            features = nn.sigmoid(head(features))
        return to_signed(features.astype(jnp.float32), self.value_range), valid


def _join(below: tuple[Array, Array], skip: tuple[Array, Array]) -> tuple[Array, Array]:
    """Doubled features [B, h, w, C] with those of the encoder, a validity for each."""
    up = [layers.upsample_nearest(array) for array in below]
    if up[0].shape[1:3] != skip[0].shape[1:3]:
        raise ValueError(
            f"features of {skip[0].shape[1:3]} pixels cannot be halved and doubled "
            "again: height and width must be multiples of 2**depth"
        )
    sides = [up, skip]
    features = jnp.concatenate([f.astype(up[0].dtype) for f, _ in sides], axis=-1)
    valid = jnp.concatenate([jnp.broadcast_to(v, f.shape) for f, v in sides], axis=-1)
    return features, valid


def freeze_encoder_norm(params: Any) -> Any:
    """The parameters, without a gradient to scale and bias of the encoder's norms."""
    return {
        name: {**block, "norm": jax.lax.stop_gradient(block["norm"])}
        if name.startswith("enc") and "norm" in block
        else block
        for name, block in params.items()
    }
