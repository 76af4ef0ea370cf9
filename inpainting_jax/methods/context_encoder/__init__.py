"""Context Encoder: a hole's content predicted from what surrounds it (CVPR 2016).

Pathak, Krähenbühl, Donahue, Darrell, Efros: "Context Encoders: Feature Learning by
Inpainting", https://arxiv.org/abs/1604.07379. Three networks share the name:

  "center"       a 128 px image whose centre is blanked -> the 64 px centre (the one
                 that the paper's inpainting figures are about),
  "random"       the whole image -> the whole image, holes of any form,
  "channelwise"  AlexNet's encoder and the channel-wise fully connected layer, trained
                 by L2 alone (the paper's feature learning).

Local vocabulary: the "square" is what the centre network predicts; its "ring" of
`overlap` pixels is known, so that prediction and surroundings meet; inside it is the
"inner square", which is blanked. A "view" is the square box of the image that the
network sees; it is resampled unless it has the network's size.

Traps: no mask enters the networks, holes are filled with one colour; that colour is
Caffe's mean in scrambled order, as released; convolutions have no biases; the 4000
units are an ordinary convolution, not the channel-wise layer; images keep one size.
"""

from inpainting_jax.methods.context_encoder.method import build
from inpainting_jax.methods.context_encoder.networks import (
    ChannelwiseGenerator,
    Generator,
    build_discriminator,
)
from inpainting_jax.methods.context_encoder.views import View

__all__ = ["ChannelwiseGenerator", "Generator", "View", "build", "build_discriminator"]
