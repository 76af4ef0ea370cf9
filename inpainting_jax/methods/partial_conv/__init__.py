"""Inpainting of irregular holes with partial convolutions (Liu et al., ECCV 2018).

A U-Net whose every convolution sees valid pixels only and tells the next which pixels
are valid now; trained without a discriminator, by differences of pixels, VGG features
and Gram matrices. Two phases: in the second the batch normalisation of the encoder is
frozen, for the batch's statistics are spoilt by the zeros of the holes. Paper: arXiv
1804.07723. No U-Net of the authors is public (NVIDIA/partialconv holds the layer and
losses); naoto0804 and mmagic are PyTorch re-implementations, PConv-Keras one in Keras.

Local vocabulary: `valid` = 1 - mask, 1 = known; "native" the range in which the network
works (`value_range`).

Traps: naoto0804 leaves out the window's size in front of the sum, so kernels are larger
there by that factor; joined in the decoder, features of one pixel may be valid from one
side and not from the other, so validity needs a channel for each of them there.
"""

from inpainting_jax.methods.partial_conv.method import build
from inpainting_jax.methods.partial_conv.networks import Generator

__all__ = ["Generator", "build"]
