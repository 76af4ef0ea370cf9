"""Discriminators: networks that judge whether an image, or a patch of it, is real."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

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
