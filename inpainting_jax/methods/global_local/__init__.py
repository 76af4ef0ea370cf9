"""Globally and locally consistent image completion (Iizuka et al., SIGGRAPH 2017).

A fully convolutional completion network with dilated convolutions fills holes of any
shape in images of any size; in training a context discriminator looks at the whole
image and at a window around the hole, and joins both into one probability. Paper: ACM
Transactions on Graphics 36(4), https://doi.org/10.1145/3072959.3073659.

Local vocabulary: "window" is the square that the local branch sees; "unit" the range
[0, 1] in which both networks work. "otenim" is the PyTorch port of that name, from
which the numbers of the tests come; `docs/methods.md` lists what differs where.

Traps: PyTorch pads strided convolutions on both sides, XLA's SAME on one; the port
normalises after the ReLU; Adadelta wants a learning rate of 1.
"""

from inpainting_jax.methods.global_local.method import build
from inpainting_jax.methods.global_local.networks import (
    CompletionNetwork,
    ContextDiscriminator,
)

__all__ = ["CompletionNetwork", "ContextDiscriminator", "build"]
