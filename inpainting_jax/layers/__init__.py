"""Building blocks of the networks: pure functions, and linen shells owning weights."""

from inpainting_jax.layers.activations import elu
from inpainting_jax.layers.attention import contextual_attention
from inpainting_jax.layers.channelwise import ChannelwiseFC, channelwise_fc
from inpainting_jax.layers.conv import ConvBlock, UpsampleConv, convolve
from inpainting_jax.layers.crops import (
    hole_boxes,
    hole_corners,
    random_corners,
    take_windows,
    zoom_in,
    zoom_out,
)
from inpainting_jax.layers.dilated import DilatedStack
from inpainting_jax.layers.discriminators import (
    MultiScaleDiscriminator,
    PatchDiscriminator,
)
from inpainting_jax.layers.flow import offsets_to_flow
from inpainting_jax.layers.gated import GatedConv, gated_conv
from inpainting_jax.layers.normalization import batch_norm, instance_norm
from inpainting_jax.layers.partial import PartialConv, partial_conv
from inpainting_jax.layers.resize import (
    resize_area,
    resize_bilinear,
    resize_nearest,
    upsample_nearest,
)
from inpainting_jax.layers.spectral import SNConv, spectral_normalize
from inpainting_jax.layers.transposed import (
    TransposedConvBlock,
    convolve_transposed,
)

__all__ = [
    "ChannelwiseFC",
    "ConvBlock",
    "DilatedStack",
    "GatedConv",
    "MultiScaleDiscriminator",
    "PartialConv",
    "PatchDiscriminator",
    "SNConv",
    "TransposedConvBlock",
    "UpsampleConv",
    "batch_norm",
    "channelwise_fc",
    "contextual_attention",
    "convolve",
    "convolve_transposed",
    "elu",
    "gated_conv",
    "hole_boxes",
    "hole_corners",
    "instance_norm",
    "offsets_to_flow",
    "partial_conv",
    "random_corners",
    "resize_area",
    "resize_bilinear",
    "resize_nearest",
    "spectral_normalize",
    "take_windows",
    "upsample_nearest",
    "zoom_in",
    "zoom_out",
]
