"""DeepFill v2: free-form inpainting with gated convolution (Yu et al., ICCV 2019).

Two networks in a row: a coarse one fills the hole, a refinement one with two branches
(dilated convolutions; contextual attention) sharpens it. Trained by L1 on both and the
hinge loss of SN-PatchGAN. Paper: arXiv 1806.03589. The authors' code is the reference
where it and the paper differ; `docs/methods.md` lists every difference.

Local vocabulary: `width` counts channels that leave the first layer (24 in the paper);
the authors' `cnum` = 48 counts features and gates together. A "guide" is a sketch
[B, H, W, 1] with lines = 1; only its part inside the hole is ever read.

Traps: the refinement network sees three channels only (no mask, no guide); `pmconv6`
has a ReLU where all others have an ELU, so that attention compares non-negative
features; the last layer of each network is an ordinary convolution.
"""

from inpainting_jax.methods.deepfill_v2.method import build
from inpainting_jax.methods.deepfill_v2.networks import Generator

__all__ = ["Generator", "build"]
