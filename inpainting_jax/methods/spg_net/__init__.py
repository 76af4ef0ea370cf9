"""Segmentation prediction and guidance, SPG-Net (Song et al., BMVC 2018).

One generator completes the label map of the incomplete image, a second one the image,
guided by that map; whoever edits the map edits the picture. Paper: arXiv 1805.03356.
The authors published no code: what is not in the paper follows pix2pixHD, whose family
of losses and discriminators it takes over, see `docs/methods.md`.

Local vocabulary: SP-Net is `label_generator`, SG-Net `image_generator`; "known" labels
are one-hot and zero in the hole; label number 255 = not stated.

Traps: true labels of the hole never enter SP-Net; between the two networks there are
probabilities while training, for no gradient passes an argmax.
"""

from inpainting_jax.methods.spg_net.method import build
from inpainting_jax.methods.spg_net.networks import Generator

__all__ = ["Generator", "build"]
