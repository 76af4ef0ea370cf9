"""Building blocks of the networks: pure functions, and linen shells owning weights."""

from inpainting_jax.layers.attention import contextual_attention
from inpainting_jax.layers.conv import ConvBlock, UpsampleConv, convolve
from inpainting_jax.layers.dilated import DilatedStack
from inpainting_jax.layers.flow import offsets_to_flow
from inpainting_jax.layers.gated import GatedConv, gated_conv
from inpainting_jax.layers.partial import PartialConv, partial_conv
from inpainting_jax.layers.resize import resize_nearest, upsample_nearest
from inpainting_jax.layers.spectral import SNConv, spectral_normalize

__all__ = [
    "ConvBlock",
    "DilatedStack",
    "GatedConv",
    "PartialConv",
    "SNConv",
    "UpsampleConv",
    "contextual_attention",
    "convolve",
    "gated_conv",
    "offsets_to_flow",
    "partial_conv",
    "resize_nearest",
    "spectral_normalize",
    "upsample_nearest",
]
