"""DeepFill v1: coarse-to-fine inpainting with contextual attention (CVPR 2018).

Yu, Lin, Yang, Shen, Lu, Huang: "Generative Image Inpainting with Contextual Attention",
arXiv 1801.07892. A coarse network fills a rectangular hole, a refinement network with
two branches (dilated convolutions; contextual attention) sharpens it. Trained by a
discounted L1 and two Wasserstein critics with gradient penalty. The authors' code is
the reference where it and the paper differ; `docs/methods.md` lists every difference.

Local vocabulary: `window` is the square of `local_size` pixels around the hole: what
the local critic judges and the discounted L1 is taken on. The two critics are one
network entry, "discriminator", with one optimiser.

Traps: outputs are clipped, not squashed, so a saturated pixel gets no gradient;
`pmconv6` has a ReLU where all others have an ELU; both networks see a plane of ones
and the mask; the released TensorFlow weights were trained on B, G, R.
"""

from inpainting_jax.methods.deepfill_v1.method import build
from inpainting_jax.methods.deepfill_v1.networks import Critics, Generator

__all__ = ["Critics", "Generator", "build"]
