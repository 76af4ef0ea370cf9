"""The networks of the Context Encoder, layer by layer (Pathak et al. 2016, Sec. 3.1).

`Generator` and `build_discriminator` are the released inpainting networks: those of
DCGAN (Radford et al. 2016) with a wider bottleneck. `ChannelwiseGenerator` is that of
feature learning. All see images of one size.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax import layers
from inpainting_jax.layers.discriminators import StridedDiscriminator
from inpainting_jax.layers.normalization import dcgan_scale_init
from inpainting_jax.types import Array, Key

_KERNEL_INIT = nn.initializers.normal(0.02)


def stage_widths(side: int) -> tuple[int, ...]:
    """Widths, in units of the first, of the stages that halve `side` down to 4 px.

    128 px: 1, 1, 2, 4, 8; 64 px: 1, 2, 4, 8. Larger sides begin with further stages of
    width 1, as the released code does from 64 to 128.

    Raises:
      ValueError: a side that is no power of two, or below 16.
    """
    if side < 16 or side & (side - 1):
        raise ValueError(
            f"these networks halve their images down to 4 pixels: {side} must be a "
            "power of two, at least 16"
        )
    halvings = side.bit_length() - 3
    return (1,) * max(halvings - 4, 0) + (1, 2, 4, 8)[:halvings]


def _leaky_relu(features: Array) -> Array:
    return nn.leaky_relu(features, 0.2)


ACTIVATIONS = {"relu": (_leaky_relu, nn.relu), "elu": (layers.elu, layers.elu)}
"""Of the encoder (bottleneck included) and of the decoder."""


class Generator(nn.Module):
    """Encoder, bottleneck of one pixel, decoder (variants "center" and "random").

    Attributes:
      image_size: side of the images it sees; a power of two.
      output_size: side of what it predicts; a power of two.
      width: channels of the first stage; 64 in the authors' code.
      bottleneck: units between encoder and decoder; 4000 in the paper.
      dtype: compute type of the convolutions.
      activation: "relu" (leaky in the encoder) or "elu" (Yang et al. 2017).
    """

    image_size: int = 128
    output_size: int = 64
    width: int = 64
    bottleneck: int = 4000
    dtype: Any = None
    activation: str = "relu"

    @nn.compact
    def __call__(
        self, image: Array, *, train: bool = False, keys: Key | None = None
    ) -> Array:
        """Predicts [B, output_size, output_size, 3] in (-1, 1), float32.

        Args:
          image: [B, image_size, image_size, 3], its hole blanked.
          train: whether batch normalisation uses the batch; `batch_stats` must then be
            mutable.
          keys: ignored; nothing is drawn here.
        """
        del keys
        _check_size(image, self.image_size)
        norm = layers.batch_norm(train, scale_init=dcgan_scale_init)
        shared = {"use_bias": False, "kernel_init": _KERNEL_INIT, "dtype": self.dtype}
        encode, decode = ACTIVATIONS[self.activation]
        encoding = {**shared, "kernel_size": (4, 4), "activation": encode}
        features = image
        for index, factor in enumerate(stage_widths(self.image_size), start=1):
            features = layers.ConvBlock(
                factor * self.width,
                strides=2,
                norm=norm if index > 1 else None,
                name=f"conv{index}",
                **encoding,
            )(features)
        features = layers.ConvBlock(
            self.bottleneck, padding="VALID", norm=norm, name="bottleneck", **encoding
        )(features)
        widths = stage_widths(self.output_size)[::-1]
        for index, factor in enumerate(widths, start=1):
            features = layers.TransposedConvBlock(
                factor * self.width,
                strides=2 if index > 1 else 1,
                padding="SAME" if index > 1 else "VALID",
                norm=norm,
                activation=decode,
                name=f"deconv{index}",
                **shared,
            )(features)
        colours = layers.TransposedConvBlock(
            3, activation=None, name=f"deconv{len(widths) + 1}", **shared
        )(features)
        return jnp.tanh(colours.astype(jnp.float32))


def build_discriminator(
    *, output_size: int = 64, width: int = 64, dtype: Any = None
) -> StridedDiscriminator:
    """DCGAN's discriminator for what the generator predicts, never for its context.

    The last layer, a 4x4 convolution of 4x4 features, is a dense one.

    Args:
      output_size: side of what it judges; a power of two.
      width: channels of the first stage.
      dtype: compute type.
    """
    return StridedDiscriminator(
        tuple(factor * width for factor in stage_widths(output_size)),
        kernel_size=4,
        norm_from=2,
        use_bias=False,
        dense_bias=False,
        kernel_init=_KERNEL_INIT,
        scale_init=dcgan_scale_init,
        dtype=dtype,
    )


class ChannelwiseGenerator(nn.Module):
    """AlexNet's encoder, the channel-wise layer, five up-convolutions (Sec. 3.1).

    The channel-wise layer is the paper's; AlexNet's sizes, those of the decoder and the
    initialisation are not in its text (`docs/methods.md`).

    Attributes:
      image_size: side of the images it sees and predicts, at least 99; 227 gives
        features of 6x6 and decoder stages of 11, 21, 41, 81, 161.
      width: 64 gives AlexNet's 96 channels in the first layer; a multiple of 2.
      pool_free: strided convolutions instead of pooling.
      dropout: share of the channel-wise layer's outputs dropped in training.
      dtype: compute type of the convolutions.
    """

    image_size: int = 227
    width: int = 64
    pool_free: bool = False
    dropout: float = 0.5
    dtype: Any = None

    @nn.compact
    def __call__(
        self, image: Array, *, train: bool = False, keys: Key | None = None
    ) -> Array:
        """Predicts [B, image_size, image_size, 3] in (-1, 1), float32.

        Args:
          image: [B, image_size, image_size, 3], its hole blanked.
          train: whether to drop; needs `keys`.
          keys: [B] keys, one per image.
        """
        if self.image_size < 99:
            raise ValueError(
                f"AlexNet leaves nothing of {self.image_size} pixels: at least 99"
            )
        _check_size(image, self.image_size)
        shared = {"kernel_init": nn.initializers.he_normal(), "dtype": self.dtype}
        features = self._encode(image, shared)
        features = layers.ChannelwiseFC(dtype=self.dtype, name="channelwise")(features)
        if train and self.dropout:
            features = drop(features, keys, self.dropout)
        features = layers.ConvBlock(
            features.shape[-1], (1, 1), activation=nn.relu, name="mix", **shared
        )(features)
        for index, factor in enumerate((2, 1, 1, 0.5), start=1):
            features = layers.TransposedConvBlock(
                int(factor * self.width),
                (5, 5),
                padding="VALID",
                name=f"deconv{index}",
                **shared,
            )(features)[:, 2:-2, 2:-2]  # n pixels become 2 n - 1
        colours = layers.TransposedConvBlock(
            3,
            (5, 5),
            padding="VALID",
            activation=None,
            name="deconv5",
            kernel_init=nn.initializers.lecun_normal(),
            dtype=self.dtype,
        )(features)[:, 2:-2, 2:-2]
        shape = (len(image), self.image_size, self.image_size, 3)
        colours = jax.image.resize(colours.astype(jnp.float32), shape, "bilinear")
        return jnp.tanh(colours)

    def _encode(self, image: Array, shared: dict[str, Any]) -> Array:
        """AlexNet's five convolutions; a pooling after the first two and the last."""
        table = (
            (1.5, 11, 4, "VALID", True),
            (4, 5, 1, "SAME", True),
            (6, 3, 1, "SAME", False),
            (6, 3, 1, "SAME", False),
            (4, 3, 1, "SAME", True),
        )
        features = image
        for index, (factor, size, strides, padding, pooled) in enumerate(table, 1):
            features = layers.ConvBlock(
                int(factor * self.width),
                (size, size),
                strides=strides,
                padding=padding,
                activation=nn.relu,
                name=f"conv{index}",
                **shared,
            )(features)
            if pooled and self.pool_free:
                features = layers.ConvBlock(
                    features.shape[-1],
                    strides=2,
                    padding="VALID",
                    activation=nn.relu,
                    name=f"pool{index}",
                    **shared,
                )(features)
            elif pooled:
                features = nn.max_pool(features, (3, 3), (2, 2))
        return features


def drop(features: Array, keys: Key | None, share: float) -> Array:
    """Dropout whose draws belong to the image, whatever device it is on.

    Args:
      features: [B, ...].
      keys: [B].
      share: in [0, 1) of the elements set to 0; the others grow by 1 / (1 - share).

    Raises:
      ValueError: no keys.
    """
    if keys is None:
        raise ValueError("dropout needs keys [B], one per image; pass keys=")
    shape = features.shape[1:]
    kept = jax.vmap(
        lambda key: jax.random.bernoulli(jax.random.fold_in(key, 0), 1 - share, shape)
    )(keys)
    return jnp.where(kept, features / (1 - share), 0).astype(features.dtype)


def _check_size(image: Array, size: int) -> None:
    if image.shape[1:3] != (size, size):
        raise ValueError(
            f"this network sees {size} x {size} pixels, got {image.shape[1:3]}: zoom "
            "to that size first, as `predict` does"
        )
