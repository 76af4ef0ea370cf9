"""Discriminators: networks that judge whether an image, or a patch of it, is real."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax.layers.conv import ConvBlock, Padding
from inpainting_jax.layers.normalization import batch_norm
from inpainting_jax.layers.spectral import SNConv
from inpainting_jax.types import Array


class SNPatchDiscriminator(nn.Module):
    """SN-PatchGAN: six strided convolutions, every output a judgement (Yu et al. 2019).

    Each of the H/64 x W/64 x 256 outputs sees another region, and through its channel
    another aspect, of the image; the hinge loss is applied to all of them. All kernels
    are spectrally normalised; leaky ReLU also follows the last layer, as in the
    authors' code (the paper's figure does not show it).

    Attributes:
      features: output channels of each 5x5 convolution with stride 2.
      padding: "SAME" (TensorFlow's) or "SYMMETRIC" (2 on both sides, nipponjo's port).
      dtype: compute type of the convolutions; outputs are float32.
    """

    features: Sequence[int] = (64, 128, 256, 256, 256, 256)
    padding: str = "SAME"
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, *, update_stats: bool = False) -> Array:
        """Logits [B, H/64 * W/64 * features[-1]].

        Args:
          image: [B, H, W, C], colours and the mask (and the guide) as channels.
          update_stats: whether to advance the power iteration; the `spectral_stats`
            collection must then be mutable.
        """
        for index, features in enumerate(self.features, start=1):
            conv = SNConv(
                features,
                kernel_size=(5, 5),
                strides=2,
                padding=self.padding,
                dtype=self.dtype,
                name=f"conv{index}",
            )
            image = nn.leaky_relu(conv(image, update_stats=update_stats), 0.2)
        return image.reshape(image.shape[0], -1).astype(jnp.float32)


class StridedDiscriminator(nn.Module):
    """Strided convolutions, then one dense layer on all that is left.

    The shape that the context discriminators of Iizuka et al. 2017, the critics of
    DeepFill v1 and the discriminator of DCGAN share; images must keep the size they
    had at `init`. Layers are `conv1`, `conv2`, ... and `dense`.

    Attributes:
      features: output channels of each convolution with stride 2.
      kernel_size: side of the kernels.
      padding: see `layers.conv`.
      norm_from: index (from 1) of the first convolution with batch normalisation; 1
        normalises all, 2 all but the first (DCGAN), None none.
      norm_last: normalise after the activation instead of before it.
      activation: after each convolution.
      outputs: of the dense layer; 1 gives one logit per image.
      use_bias: of the convolutions.
      dense_bias: of the dense layer.
      kernel_init: of the convolutions and the dense layer.
      scale_init: of the normalisations' scales.
      dtype: compute type; outputs are float32.
    """

    features: Sequence[int]
    kernel_size: int = 5
    padding: Padding = "SAME"
    norm_from: int | None = None
    norm_last: bool = False
    activation: Callable[[Array], Array] = lambda x: nn.leaky_relu(x, 0.2)
    outputs: int = 1
    use_bias: bool = True
    dense_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, *, train: bool = False) -> Array:
        """[B, outputs]: logits, or features for a dense layer to come.

        Args:
          image: [B, H, W, C].
          train: whether batch normalisation uses the batch; `batch_stats` must then be
            mutable.
        """
        norm = batch_norm(train, scale_init=self.scale_init)
        for index, features in enumerate(self.features, start=1):
            normalised = self.norm_from is not None and index >= self.norm_from
            image = ConvBlock(
                features,
                (self.kernel_size, self.kernel_size),
                strides=2,
                padding=self.padding,
                use_bias=self.use_bias,
                norm=norm if normalised else None,
                norm_last=self.norm_last,
                activation=self.activation,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name=f"conv{index}",
            )(image)
        flat = image.reshape(image.shape[0], -1)
        dense = nn.Dense(
            self.outputs,
            use_bias=self.dense_bias,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="dense",
        )
        return dense(flat).astype(jnp.float32)


class PatchDiscriminator(nn.Module):
    """PatchGAN of pix2pixHD (Wang et al. 2018): 4x4 kernels, 2 zeros on each side.

    `layers` convolutions of stride 2, then two of stride 1, the last of which gives one
    logit per patch; an image of H rows becomes H / 2**layers + 2, more or less.

    Attributes:
      width: channels of the first layer, doubled by each layer up to eight times.
      layers: halvings.
      norm: builds the normalisation of all layers but the first and the last.
      kernel_init: of the convolutions.
      dtype: compute type; logits are float32.
    """

    width: int = 64
    layers: int = 3
    norm: Callable[..., nn.Module] | None = None
    kernel_init: nn.initializers.Initializer = nn.initializers.normal(0.02)
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array) -> tuple[Array, list[Array]]:
        """Logits [B, h, w, 1], and the features of each layer before them."""
        features, found = image, []
        for index in range(self.layers + 2):
            last = index == self.layers + 1
            features = ConvBlock(
                1 if last else self.width * min(2**index, 8),
                (4, 4),
                strides=2 if index < self.layers else 1,
                padding=((2, 2), (2, 2)),
                norm=None if last or not index else self.norm,
                activation=None if last else lambda x: nn.leaky_relu(x, 0.2),
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name=f"conv{index + 1}",
            )(features)
            found.append(features)
        return features.astype(jnp.float32), found[:-1]


class MultiScaleDiscriminator(nn.Module):
    """Equal discriminators on an image and on smaller and smaller copies of it.

    Wang et al. 2018, Sec. 3.2. `scale1` sees the full image, `scale2` half of it, ...

    Attributes:
      discriminator: builds each of them, `PatchDiscriminator` or a partial of it.
      scales: how many.
    """

    discriminator: Callable[..., nn.Module] = PatchDiscriminator
    scales: int = 3

    @nn.compact
    def __call__(self, image: Array) -> list[tuple[Array, list[Array]]]:
        """What each discriminator says, the finest first."""
        judged = []
        for index in range(self.scales):
            judged.append(self.discriminator(name=f"scale{index + 1}")(image))
            # Means of 3x3 windows, of what is there of them at the border.
            image = nn.avg_pool(
                image, (3, 3), (2, 2), ((1, 1), (1, 1)), count_include_pad=False
            )
        return judged
