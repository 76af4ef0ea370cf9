"""High-resolution inpainting by multi-scale neural patch synthesis (CVPR 2017).

Yang, Lu, Lin, Shechtman, Wang, Li, https://arxiv.org/abs/1611.09969. A content network,
the center network of `context_encoder` with ELU, predicts the hole at 128 pixels. Then
the pixels themselves are optimised at 128, 256 and 512 pixels: they stay near the
content, the patches of their VGG features near those of the surroundings, and smooth.

Local vocabulary: a "frame" is the square that the content network sees, the hole in its
middle square; a "cell" is a pixel of a feature map; a "tap" is a feature layer by name;
"sources" are the patches that may be copied.

Traps: `predict` runs on the host and compiles each scale; it needs VGG's weights, and
minutes on a CPU. Weights of Eq. 1 are for features in Caffe's units and pixels in
[-1, 1]. `train` concerns the content network alone.
"""

from inpainting_jax.methods.neural_patch.method import build
from inpainting_jax.methods.neural_patch.pyramid import Synthesis
from inpainting_jax.methods.neural_patch.synthesis import Texture

__all__ = ["Synthesis", "Texture", "build"]
