"""Generator and critics of DeepFill v1, layer by layer (Yu et al. 2018, Fig. 2).

Layer names are those of the authors' checkpoints. The tables of layers and the two
functions that run them serve DeepFill v2 too: it gates the same convolutions.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax import images, layers
from inpainting_jax.layers.activations import elu
from inpainting_jax.layers.discriminators import StridedDiscriminator
from inpainting_jax.types import Array, Variables


class Layer(NamedTuple):
    """One convolution of the tables below."""

    name: str
    width: float  # output channels in units of the network's width
    kernel: int = 3
    strides: int = 1
    dilation: int = 1
    upsample: bool = False  # double the size first, by repetition
    activation: Any = elu


def _encoder(prefix: str, widths: tuple[float, ...]) -> tuple[Layer, ...]:
    """conv1 to conv6: two halvings of the size."""
    first, second, third, fourth, fifth, sixth = widths
    return (
        Layer(f"{prefix}conv1", first, kernel=5),
        Layer(f"{prefix}conv2_downsample", second, strides=2),
        Layer(f"{prefix}conv3", third),
        Layer(f"{prefix}conv4_downsample", fourth, strides=2),
        Layer(f"{prefix}conv5", fifth),
        Layer(f"{prefix}conv6", sixth),
    )


def _dilated(prefix: str) -> tuple[Layer, ...]:
    """conv7 to conv10: the field of view grows at constant size."""
    return tuple(
        Layer(f"{prefix}conv{7 + i}_atrous", 4, dilation=2 ** (i + 1)) for i in range(4)
    )


def _decoder(prefix: str) -> tuple[Layer, ...]:
    """conv11 to conv16: back to full size; the colour layer follows."""
    return (
        Layer(f"{prefix}conv11", 4),
        Layer(f"{prefix}conv12", 4),
        Layer(f"{prefix}conv13_upsample", 2, upsample=True),
        Layer(f"{prefix}conv14", 2),
        Layer(f"{prefix}conv15_upsample", 1, upsample=True),
        Layer(f"{prefix}conv16", 0.5),
    )


COARSE = _encoder("", (1, 2, 2, 4, 4, 4)) + _dilated("") + _decoder("")
CONV_BRANCH = _encoder("x", (1, 1, 2, 2, 4, 4)) + _dilated("x")
ELU_ATTENTION_BRANCH = _encoder("pm", (1, 1, 2, 4, 4, 4))
# Attention compares features that are not negative.
ATTENTION_BRANCH = (
    *ELU_ATTENTION_BRANCH[:-1],
    ELU_ATTENTION_BRANCH[-1]._replace(activation=nn.relu),
)
AFTER_ATTENTION = (Layer("pmconv9", 4), Layer("pmconv10", 4))
MERGED = _decoder("all")
TABLES = (COARSE, CONV_BRANCH, ATTENTION_BRANCH, AFTER_ATTENTION, MERGED)


def apply_layers(
    features: Array,
    table: tuple[Layer, ...],
    conv: Callable[..., nn.Module],
    width: int,
) -> Array:
    """Applies the convolutions of a table, one after the other, in a compact module.

    Args:
      features: [B, H, W, C].
      table: of layers.
      conv: builds a convolution: `ConvBlock`, `GatedConv` or a partial of one.
      width: channels per unit of a layer's width.
    """
    for layer in table:
        features = conv(
            int(width * layer.width),
            kernel_size=(layer.kernel, layer.kernel),
            strides=layer.strides,
            dilation=layer.dilation,
            upsample=2 if layer.upsample else 1,
            activation=layer.activation,
            name=layer.name,
        )(features)
    return features


def attend(
    features: Array,
    mask: Array,
    *,
    resize_rule: str = "align_corners",
    mask_in_one_step: bool = False,
    network: nn.Module | None = None,
    **options: Any,
) -> tuple[Array, Array]:
    """Contextual attention of the features on themselves, outside the hole.

    Args:
      features: [B, H/4, W/4, C].
      mask: [B, H, W, 1], 1 = hole.
      resize_rule: how features and mask come down, see `layers.resize_nearest`.
      mask_in_one_step: whether the mask comes down by 8 at once, not by 4 and by 2.
      network: where `attention_entropy` [B], its mean over the hole, is left in the
        collection "monitors", if a caller wants that one (`watch_attention`).
      **options: of `layers.contextual_attention`, which also says what is returned.
    """
    watched = network is not None and not network.is_initializing()
    watched = watched and network.is_mutable_collection("monitors")
    rate = 2
    step = rate if mask_in_one_step else 1
    height, width = features.shape[1] // step, features.shape[2] // step
    attended, offsets, *entropy = layers.contextual_attention(
        features,
        features,
        layers.resize_nearest(mask, height, width, rule=resize_rule),
        rate=rate,
        resize_rule=resize_rule,
        entropy=watched,
        **options,
    )
    if watched:
        hole = layers.resize_nearest(mask, *entropy[0].shape[1:], rule=resize_rule)
        hole = hole[..., 0]
        mean = jnp.sum(entropy[0] * hole, axis=(1, 2))
        mean = mean / jnp.maximum(jnp.sum(hole, axis=(1, 2)), 1)
        network.sow("monitors", "attention_entropy", mean)
    return attended, offsets


def watch_attention(generator: nn.Module) -> Callable[..., dict[str, Array]]:
    """A method's `monitor`: `attention_entropy` [B] of a generator with attention."""

    def monitor(
        variables: Variables, image: Array, mask: Array, guide: Array | None = None
    ) -> dict[str, Array]:
        given = (image, mask) if guide is None else (image, mask, guide)
        _, found = generator.apply(variables["generator"], *given, mutable=["monitors"])
        (entropy,) = found["monitors"]["attention_entropy"]
        return {"attention_entropy": entropy}

    return monitor


class Generator(nn.Module):
    """Coarse-to-fine generator with contextual attention (Fig. 2 and 4 of the paper).

    Attributes:
      width: channels that leave the first layer, even; 32 gives 3,601,542 parameters.
      padding: "SAME" (TensorFlow's), "SYMMETRIC" (daa233) or "REFLECT" (mmagic).
      resize_rule: how features and mask reach the size of the attention scores:
        "align_corners" (TensorFlow's) or "floor" (top-left pixel of each block).
      mask_in_one_step: bring the mask straight to the size of the scores instead of by
        4 and then by 2; only with "align_corners" does it matter.
      patch_norm: "max", or "daa233", see `layers.contextual_attention`.
      overlap: "const4", or "exact" (mmagic), likewise.
      mask_mode: "zero", or "neg_inf" (mmagic), likewise.
      fuse: whether attention scores propagate to neighbours (Sec. 4.1).
      shared_mask: all images use the attention mask of the first, as the authors do.
      attention_relu: False puts an ELU at pmconv6 as everywhere else (mmagic).
      block_size: rows of queries per attention block; None = chosen by size.
      dtype: compute type of the convolutions.
    """

    width: int = 32
    padding: str = "SAME"
    resize_rule: str = "align_corners"
    mask_in_one_step: bool = False
    patch_norm: str = "max"
    overlap: str = "const4"
    mask_mode: str = "zero"
    fuse: bool = True
    shared_mask: bool = False
    attention_relu: bool = True
    block_size: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, mask: Array) -> tuple[Array, dict[str, Array]]:
        """The refined image, and `coarse` and attention `offsets` beside it.

        Args:
          image: [B, H, W, 3] in [-1, 1], H and W multiples of 8; its hole is not read.
          mask: [B, H, W, 1], 1 = hole.

        Returns:
          [B, H, W, 3] in [-1, 1], and a dict with `coarse` [B, H, W, 3] and `offsets`
          [B, H/8, W/8, 2] (see `layers.contextual_attention`).
        """
        # A plane of ones lets zero-padded convolutions see where the image ends.
        planes = jnp.concatenate([jnp.ones_like(mask), mask], axis=-1)
        conv = functools.partial(
            layers.ConvBlock, padding=self.padding, dtype=self.dtype
        )
        run = functools.partial(apply_layers, conv=conv, width=self.width)

        def colours(features: Array, name: str) -> Array:
            out = conv(3, activation=None, name=name)(features)
            return jnp.clip(out.astype(jnp.float32), -1.0, 1.0)

        masked_image = images.mask_image(image, mask)
        seen = jnp.concatenate([masked_image, planes], axis=-1)
        coarse = colours(run(seen, COARSE), "conv17")

        inpainted = images.composite(image, coarse, mask)
        seen = jnp.concatenate([inpainted, planes], axis=-1)
        hallucinated = run(seen, CONV_BRANCH)
        table = ATTENTION_BRANCH if self.attention_relu else ELU_ATTENTION_BRANCH
        attended, offsets = self._attend(run(seen, table), mask)
        attended = run(attended, AFTER_ATTENTION)
        merged = jnp.concatenate([hallucinated, attended], axis=-1)
        refined = colours(run(merged, MERGED), "allconv17")
        return refined, {"coarse": coarse, "offsets": offsets}

    def _attend(self, features: Array, mask: Array) -> tuple[Array, Array]:
        return attend(
            features,
            mask,
            resize_rule=self.resize_rule,
            mask_in_one_step=self.mask_in_one_step,
            patch_norm=self.patch_norm,
            overlap=self.overlap,
            mask_mode=self.mask_mode,
            fuse=self.fuse,
            shared_mask=self.shared_mask,
            block_size=self.block_size,
            network=self,
        )


ACTIVATIONS = {"leaky_relu": lambda x: nn.leaky_relu(x, 0.2), "elu": elu}


class Critics(nn.Module):
    """The two Wasserstein critics, of the window and of the whole image (Sec. 3).

    They share nothing. Colours only: neither sees the mask.

    Attributes:
      width: channels of each first layer; 64 in the paper.
      local_factor: channels of the local critic's last layer over `width`: 8 in the
        authors' code, 4 in daa233's. The global critic's is 4.
      padding: "SAME" (TensorFlow's) or "SYMMETRIC" (2 on both sides: the ports).
      activation: "leaky_relu" (slope 0.2) or "elu" (mmagic).
      output_slope: slope of a leaky ReLU on the logits; 1 for none, 0.2 in mmagic.
      dtype: compute type of the convolutions; logits are float32.
    """

    width: int = 64
    local_factor: int = 8
    padding: str = "SAME"
    activation: str = "leaky_relu"
    output_slope: float = 1.0
    dtype: Any = None

    def setup(self) -> None:
        """Builds both; images must keep the size they had at `init`."""
        critic = functools.partial(
            StridedDiscriminator,
            padding=self.padding,
            activation=ACTIVATIONS[self.activation],
            dtype=self.dtype,
        )
        first = (self.width, 2 * self.width, 4 * self.width)
        self.local_critic = critic((*first, self.local_factor * self.width))
        self.global_critic = critic((*first, 4 * self.width))

    def __call__(self, window: Array, image: Array) -> tuple[Array, Array]:
        """Logits [B, 1] of windows [B, S, S, 3] and of whole images [B, H, W, 3]."""
        return self.judge_local(window), self.judge_global(image)

    def judge_local(self, window: Array) -> Array:
        """Logits [B, 1] of windows alone."""
        return nn.leaky_relu(self.local_critic(window), self.output_slope)

    def judge_global(self, image: Array) -> Array:
        """Logits [B, 1] of whole images alone."""
        return nn.leaky_relu(self.global_critic(image), self.output_slope)
