"""Objectives and inference of DeepFill v2 (Yu et al. 2019, Sec. 3.3 to 3.5)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from inpainting_jax import images, losses
from inpainting_jax.layers.discriminators import SNPatchDiscriminator
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.deepfill_v1.networks import watch_attention
from inpainting_jax.methods.deepfill_v2.networks import Generator
from inpainting_jax.types import Array, Aux, Batch, Key, Variables


def _judged(image: Array, batch: Batch) -> Array:
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
                _judged(completed, batch),
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
        logits, stats = discriminator.apply(
            {**variables["discriminator"], "params": params},
            images.interleave(_judged(image, batch), _judged(completed, batch)),
            update_stats=True,
            mutable=["spectral_stats"],
        )
        real_logits, fake_logits = images.separate(logits)
        loss = losses.hinge_discriminator_loss(real_logits, fake_logits).mean()
        metrics = {
            "discriminator/hinge": loss,
            "discriminator/real_logits": real_logits.mean(),
            "discriminator/fake_logits": fake_logits.mean(),
        }
        return loss, Aux(metrics, {"discriminator": stats})

    return objective


def _init(generator: Generator, discriminator: SNPatchDiscriminator, guided: bool):
    """Fresh variables of both networks."""

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

    return init


def _predict(generator: Generator, guided: bool):
    """Both stages and the completed image; without a sketch, no lines are drawn."""

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

    return predict


def _monitor(generator: Generator, guided: bool):
    """How widely the attention looks; without a sketch, no lines are drawn."""
    watch = watch_attention(generator)

    def monitor(
        variables: Variables, image: Array, mask: Array, guide: Array | None = None
    ) -> dict[str, Array]:
        if guided and guide is None:
            guide = jnp.zeros_like(mask)
        return watch(variables, image, mask, guide)

    return monitor


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

    return Method(
        name="deepfill_v2",
        predict=_predict(generator, guided),
        networks={"generator": generator, "discriminator": discriminator},
        init=_init(generator, discriminator, guided),
        objectives={
            "generator": _generator_objective(generator, discriminator),
            "discriminator": _discriminator_objective(generator, discriminator),
        },
        monitor=_monitor(generator, guided),
        multiple=8,
        # Four halvings keep a 2x2 grid of attention scores.
        min_size=16,
        guide_channels=int(guided),
    )
