"""A stack of dilated convolutions: wide context without losing resolution.

Yu and Koltun 2016, https://arxiv.org/abs/1511.07122; in inpainting since Iizuka et al.
2017, so that every hole position sees known pixels.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from inpainting_jax.layers.conv import ConvBlock


class DilatedStack(nn.Module):
    """3x3 convolutions of growing dilation, `conv0`, `conv1`, ... in order.

    Attributes:
      features: channels of every layer.
      dilations: one layer each; 2, 4, 8, 16 in Iizuka et al. and DeepFill.
      conv: builds a layer: `ConvBlock`, `GatedConv` or a partial of one.
    """

    features: int
    dilations: Sequence[int] = (2, 4, 8, 16)
    conv: Callable[..., nn.Module] = ConvBlock

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        for index, dilation in enumerate(self.dilations):
            layer = self.conv(self.features, dilation=dilation, name=f"conv{index}")
            features = layer(features)
        return features
