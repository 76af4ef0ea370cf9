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

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax import images, layers, losses
from inpainting_jax.layers.discriminators import SNPatchDiscriminator
from inpainting_jax.methods.base import Method
from inpainting_jax.types import Array, Aux, Batch, Key, Variables


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


def _judge(discriminator: nn.Module, image: Array, batch: Batch) -> Array:
    """What SN-PatchGAN looks at: colours, mask and, if there is one, the guide."""
    planes = [image, batch["mask"]]
    if "guide" in batch:
        planes.append(batch["guide"] * batch["mask"])
    return jnp.concatenate(planes, axis=-1)


def _generator_objective(generator: Generator, discriminator: SNPatchDiscriminator):
    """L1 on both stages and the hinge loss on the completed image (Sec. 3.4)."""

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        image, mask = batch["image"], batch["mask"]
        refined, extras = generator.apply(
            {"params": params}, image, mask, batch.get("guide")
        )
        stages = (extras["coarse"], refined)
        completed = images.composite(image, refined, mask)
        terms = {
            "l1": sum(losses.l1_loss(stage, image) for stage in stages),
            "l1_hole": sum(losses.masked_l1_loss(s, image, mask) for s in stages),
            "l1_known": sum(losses.masked_l1_loss(s, image, 1 - mask) for s in stages),
        }
        metrics = {f"generator/{name}": term.mean() for name, term in terms.items()}
        metrics["l1_hole"] = losses.masked_l1_loss(refined, image, mask).mean()
        if loss_weights.get("adversarial", 0.0):
            logits = discriminator.apply(
                variables["discriminator"],
                _judge(discriminator, completed, batch),
            )
            terms["adversarial"] = losses.hinge_generator_loss(logits)
            metrics["generator/adversarial"] = terms["adversarial"].mean()
        unknown = set(loss_weights) - set(terms) - {"adversarial"}
        if unknown:
            raise ValueError(
                f"unknown loss weights {sorted(unknown)} for deepfill_v2; known: "
                "l1, l1_hole, l1_known, adversarial"
            )
        total = sum(loss_weights.get(name, 0.0) * terms[name] for name in terms)
        return total.mean(), Aux(metrics)

    return objective


def _discriminator_objective(generator: Generator, discriminator: SNPatchDiscriminator):
    """Hinge loss on the image against the completed image; updates the power iteration.

    The authors iterate it in the generator's update as well; here only the
    discriminator's own update moves it.
    """

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key, loss_weights
        image, mask = batch["image"], batch["mask"]
        refined, _ = generator.apply(
            variables["generator"], image, mask, batch.get("guide")
        )
        completed = jax.lax.stop_gradient(images.composite(image, refined, mask))
        both = jnp.concatenate(
            [
                _judge(discriminator, image, batch),
                _judge(discriminator, completed, batch),
            ]
        )
        logits, stats = discriminator.apply(
            {**variables["discriminator"], "params": params},
            both,
            update_stats=True,
            mutable=["spectral_stats"],
        )
        real_logits, fake_logits = jnp.split(logits, 2)
        loss = losses.hinge_discriminator_loss(real_logits, fake_logits).mean()
        metrics = {
            "discriminator/hinge": loss,
            "discriminator/real_logits": real_logits.mean(),
            "discriminator/fake_logits": fake_logits.mean(),
        }
        return loss, Aux(metrics, {"discriminator": stats})

    return objective


def build(
    *,
    width: int = 24,
    discriminator_width: int = 64,
    guided: bool = False,
    padding: str = "SAME",
    discriminator_padding: str | None = None,
    resize_rule: str = "align_corners",
    mask_in_one_step: bool = False,
    fuse: bool = True,
    shared_mask: bool = False,
    block_size: int | None = None,
    compute_dtype: str = "float32",
) -> Method:
    """The method record of DeepFill v2.

    Args:
      width: of the generator, even; 24 in the paper.
      discriminator_width: of its first layer; 64 in the paper, then x2, x4, x4, x4, x4.
      guided: whether a sketch guides generator and discriminator (Sec. 3.5).
      padding: "SAME" or "SYMMETRIC", in both networks.
      discriminator_padding: the discriminator's, where it differs.
      resize_rule: "align_corners" or "floor", see `Generator`.
      mask_in_one_step: see `Generator`.
      fuse: see `Generator`.
      shared_mask: see `Generator`.
      block_size: see `Generator`.
      compute_dtype: "float32" or "bfloat16" for the convolutions.
    """
    if width < 2 or width % 2:
        raise ValueError(f"width must be an even number >= 2, got {width}")
    dtype = jnp.dtype(compute_dtype)
    generator = Generator(
        width=width,
        padding=padding,
        resize_rule=resize_rule,
        mask_in_one_step=mask_in_one_step,
        fuse=fuse,
        shared_mask=shared_mask,
        block_size=block_size,
        dtype=dtype,
    )
    discriminator = SNPatchDiscriminator(
        features=tuple(discriminator_width * factor for factor in (1, 2, 4, 4, 4, 4)),
        padding=discriminator_padding or padding,
        dtype=dtype,
    )

    def init(key: Key, batch: Batch) -> Variables:
        generator_key, discriminator_key = jax.random.split(key)
        image, mask = batch["image"][:1], batch["mask"][:1]
        guide = batch["guide"][:1] if guided else None
        planes = [image, mask] if guide is None else [image, mask, guide]
        return {
            "generator": generator.init(generator_key, image, mask, guide),
            "discriminator": discriminator.init(
                discriminator_key, jnp.concatenate(planes, axis=-1)
            ),
        }

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del key  # deterministic
        if guided and guide is None:
            guide = jnp.zeros_like(mask)  # no lines drawn
        refined, extras = generator.apply(variables["generator"], image, mask, guide)
        return {
            "coarse": extras["coarse"],
            "refined": refined,
            "completed": images.composite(image, refined, mask),
        }

    return Method(
        name="deepfill_v2",
        predict=predict,
        networks={"generator": generator, "discriminator": discriminator},
        init=init,
        objectives={
            "generator": _generator_objective(generator, discriminator),
            "discriminator": _discriminator_objective(generator, discriminator),
        },
        multiple=8,
        # Four halvings keep a 2x2 grid of attention scores.
        min_size=16,
        guide_channels=int(guided),
    )
