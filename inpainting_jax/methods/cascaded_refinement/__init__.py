"""Cascaded refinement networks (Chen and Koltun, ICCV 2017), and their inpainting form.

Modules of doubling resolution draw a photograph from a layout of labels, each fed with
the layout at its own size; nothing but differences of VGG features trains them, no
discriminator. Paper: arXiv 1707.09405; the authors' code: CQFIO/
PhotographicImageSynthesis. For inpainting, which is not in the paper, what each module
sees beside the layout is the masked image and its mask, brought to its size.

Local vocabulary: "layout" the one-hot labels; "pictures" the k images that a network
with a diversity loss draws at once; "input" the term on pixels, as the feature network
takes them in (p0 in the authors' code); "balance" the running means of the terms.

Traps: the colours of the k pictures stand in the order of colours, not of pictures
(k reds, k greens, k blues); the doubling aligns corners; normalisation is over height,
width and channels at once, with statistics of the image itself, so there is nothing
that differs between training and inference.
"""

from inpainting_jax.methods.cascaded_refinement.method import build
from inpainting_jax.methods.cascaded_refinement.networks import Generator

__all__ = ["Generator", "build"]
