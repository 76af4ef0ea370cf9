"""The generator of DeepFill v2, layer by layer (Yu et al. 2019, Fig. 3).

Layer names are those of the authors' checkpoints; `width` is half their `cnum`.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax import images, layers
from inpainting_jax.types import Array


class _Layer(NamedTuple):
    """One gated convolution of the tables below."""

    name: str
    width: float  # output channels in units of the network's width
    kernel: int = 3
    strides: int = 1
    dilation: int = 1
    upsample: bool = False  # double the size first, by repetition
    activation: Any = nn.elu


def _encoder(prefix: str, widths: tuple[float, ...]) -> tuple[_Layer, ...]:
    """conv1 to conv6: two halvings of the size."""
    first, second, third, fourth, fifth, sixth = widths
    return (
        _Layer(f"{prefix}conv1", first, kernel=5),
        _Layer(f"{prefix}conv2_downsample", second, strides=2),
        _Layer(f"{prefix}conv3", third),
        _Layer(f"{prefix}conv4_downsample", fourth, strides=2),
        _Layer(f"{prefix}conv5", fifth),
        _Layer(f"{prefix}conv6", sixth),
    )


def _dilated(prefix: str) -> tuple[_Layer, ...]:
    """conv7 to conv10: the field of view grows at constant size."""
    return tuple(
        _Layer(f"{prefix}conv{7 + i}_atrous", 4, dilation=2 ** (i + 1))
        for i in range(4)
    )


def _decoder(prefix: str) -> tuple[_Layer, ...]:
    """conv11 to conv16: back to full size; the colour layer follows."""
    return (
        _Layer(f"{prefix}conv11", 4),
        _Layer(f"{prefix}conv12", 4),
        _Layer(f"{prefix}conv13_upsample", 2, upsample=True),
        _Layer(f"{prefix}conv14", 2),
        _Layer(f"{prefix}conv15_upsample", 1, upsample=True),
        _Layer(f"{prefix}conv16", 0.5),
    )


COARSE = _encoder("", (1, 2, 2, 4, 4, 4)) + _dilated("") + _decoder("")
CONV_BRANCH = _encoder("x", (1, 1, 2, 2, 4, 4)) + _dilated("x")
ATTENTION_BRANCH = _encoder("pm", (1, 1, 2, 4, 4, 4))
ATTENTION_BRANCH = (
    *ATTENTION_BRANCH[:-1],
    ATTENTION_BRANCH[-1]._replace(activation=nn.relu),
)
AFTER_ATTENTION = (_Layer("pmconv9", 4), _Layer("pmconv10", 4))
MERGED = _decoder("all")


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
        coarse = self._stack(jnp.concatenate(planes, axis=-1), COARSE)
        coarse = self._to_colours(coarse, "conv17")

        inpainted = images.composite(image, coarse, mask)
        hallucinated = self._stack(inpainted, CONV_BRANCH)
        attended = self._stack(inpainted, ATTENTION_BRANCH)
        attended, offsets = self._attend(attended, mask)
        attended = self._stack(attended, AFTER_ATTENTION)
        merged = jnp.concatenate([hallucinated, attended], axis=-1)
        refined = self._to_colours(self._stack(merged, MERGED), "allconv17")
        return refined, {"coarse": coarse, "offsets": offsets}

    def _stack(self, features: Array, table: tuple[_Layer, ...]) -> Array:
        """Applies the gated convolutions of a table, one after the other."""
        for layer in table:
            if layer.upsample:
                features = layers.upsample_nearest(features, 2)
            features = layers.GatedConv(
                int(self.width * layer.width),
                kernel_size=(layer.kernel, layer.kernel),
                strides=layer.strides,
                dilation=layer.dilation,
                padding=self.padding,
                activation=layer.activation,
                dtype=self.dtype,
                name=layer.name,
            )(features)
        return features

    def _to_colours(self, features: Array, name: str) -> Array:
        """The last, ungated layer; tanh in float32."""
        conv = nn.Conv(
            3,
            (3, 3),
            kernel_init=nn.initializers.glorot_uniform(),
            dtype=self.dtype,
            name=name,
        )
        return jnp.tanh(conv(features).astype(jnp.float32))

    def _attend(self, features: Array, mask: Array) -> tuple[Array, Array]:
        """Contextual attention of the features on themselves, outside the hole."""
        rate = 2
        step = rate if self.mask_in_one_step else 1
        height, width = features.shape[1] // step, features.shape[2] // step
        small_mask = layers.resize_nearest(mask, height, width, rule=self.resize_rule)
        return layers.contextual_attention(
            features,
            features,
            small_mask,
            rate=rate,
            fuse=self.fuse,
            resize_rule=self.resize_rule,
            shared_mask=self.shared_mask,
            block_size=self.block_size,
        )
