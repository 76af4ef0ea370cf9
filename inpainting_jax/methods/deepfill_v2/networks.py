"""The generator of DeepFill v2, layer by layer (Yu et al. 2019, Fig. 3).

The layers are those of DeepFill v1, gated; their names those of the authors'
checkpoints. `width` is half the authors' `cnum`.
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax import images, layers
from inpainting_jax.methods.deepfill_v1 import networks as v1
from inpainting_jax.types import Array


class Generator(nn.Module):
    """Coarse-to-fine generator with gated convolutions (Fig. 3 of the paper).

    Attributes:
      width: channels that leave the first layer, an even number; 24 gives 4,052,478
        parameters.
      padding: "SAME" (TensorFlow's) or "SYMMETRIC" (nipponjo's port).
      resize_rule: how features and mask reach the size of the attention scores:
        "align_corners" (TensorFlow's) or "floor" (top-left pixel of each block).
      mask_in_one_step: resize the mask straight to the size of the scores instead of
        by 4 and then by 2; only with "align_corners" does it matter.
      fuse: whether attention scores propagate to neighbours (Yu et al. 2018, Sec. 3.2).
      shared_mask: all images use the attention mask of the first, as the authors do.
      block_size: rows of queries per attention block; None = chosen by size.
      dtype: compute type of the convolutions.
    """

    width: int = 24
    padding: str = "SAME"
    resize_rule: str = "align_corners"
    mask_in_one_step: bool = False
    fuse: bool = True
    shared_mask: bool = False
    block_size: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(
        self, image: Array, mask: Array, guide: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """The refined image, and `coarse` and attention `offsets` beside it.

        Args:
          image: [B, H, W, 3] in [-1, 1], H and W multiples of 8; its hole is not read.
          mask: [B, H, W, 1], 1 = hole.
          guide: [B, H, W, 1] in {0, 1}, or None for an unguided network.

        Returns:
          [B, H, W, 3] in (-1, 1), and a dict with `coarse` [B, H, W, 3] and `offsets`
          [B, H/8, W/8, 2] (see `layers.contextual_attention`).
        """
        masked_image = images.mask_image(image, mask)
        planes = [masked_image, jnp.ones_like(mask), mask]
        if guide is not None:
            planes.insert(1, guide * mask)
        conv = functools.partial(
            layers.GatedConv, padding=self.padding, dtype=self.dtype
        )
        run = functools.partial(v1.apply_layers, conv=conv, width=self.width)
        coarse = run(jnp.concatenate(planes, axis=-1), v1.COARSE)
        coarse = self._to_colours(coarse, "conv17")

        inpainted = images.composite(image, coarse, mask)
        hallucinated = run(inpainted, v1.CONV_BRANCH)
        attended = run(inpainted, v1.ATTENTION_BRANCH)
        attended, offsets = self._attend(attended, mask)
        attended = run(attended, v1.AFTER_ATTENTION)
        merged = jnp.concatenate([hallucinated, attended], axis=-1)
        refined = self._to_colours(run(merged, v1.MERGED), "allconv17")
        return refined, {"coarse": coarse, "offsets": offsets}

    def _to_colours(self, features: Array, name: str) -> Array:
        """The last, ungated layer; tanh in float32."""
        conv = layers.ConvBlock(3, activation=None, dtype=self.dtype, name=name)
        return jnp.tanh(conv(features).astype(jnp.float32))

    def _attend(self, features: Array, mask: Array) -> tuple[Array, Array]:
        return v1.attend(
            features,
            mask,
            resize_rule=self.resize_rule,
            mask_in_one_step=self.mask_in_one_step,
            fuse=self.fuse,
            shared_mask=self.shared_mask,
            block_size=self.block_size,
            network=self,
        )
