"""Objectives and inference of DeepFill v1 (Yu et al. 2018, Sec. 3)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from inpainting_jax import images, layers, losses
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.deepfill_v1 import networks
from inpainting_jax.methods.deepfill_v1.networks import ACTIVATIONS, Critics, Generator
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Aux, Batch, Key, Variables

TERMS = (
    "l1",
    "ae",
    "l1_coarse",
    "ae_coarse",
    "l1_hole",
    "adversarial",
    "gradient_penalty",
)
"""Names of the loss weights; the last one is the critics', the others the generator's.

`l1`: discounted, on the window, of both stages; `ae`: on the known part, of both;
`l1_coarse`, `ae_coarse`: of the coarse stage alone, to pre-train it; `l1_hole`: plain,
in the hole, of both stages (mmagic); `adversarial`: both critics.
"""


def _check_terms(loss_weights: Mapping[str, float]) -> None:
    unknown = sorted(set(loss_weights) - set(TERMS))
    if unknown:
        raise ValueError(
            f"unknown loss weights {unknown} for deepfill_v1; known: {', '.join(TERMS)}"
        )


def _windows(size: int, mask: Array, *pictures: Array) -> list[Array]:
    """The `size` x `size` pixels around each hole, of several pictures alike."""
    corners = layers.hole_corners(mask, size)
    return [layers.take_windows(picture, corners, size) for picture in pictures]


def reconstruction_terms(
    coarse: Array,
    refined: Array,
    image: Array,
    mask: Array,
    *,
    local_size: int = 128,
    coarse_weight: float = 1.2,
    gamma: float = 0.9,
) -> dict[str, Array]:
    """Every L1 term of the generator, [B] each, by its name in `TERMS`.

    Args:
      coarse: [B, H, W, 3] output of the first stage.
      refined: [B, H, W, 3] output of the second.
      image: [B, H, W, 3] ground truth.
      mask: [B, H, W, 1], 1 = hole.
      local_size: side of the window.
      coarse_weight: of the first stage in `l1` and `ae`.
      gamma: of the spatial discount (`losses.discount_weights`).
    """
    target, *stages = _windows(local_size, mask, image, coarse, refined)
    discount = losses.discount_weights(local_size, local_size, gamma=gamma)
    l1 = [losses.weighted_l1_loss(stage, target, discount) for stage in stages]
    ae = [losses.masked_l1_loss(x, image, 1 - mask) for x in (coarse, refined)]
    return {
        "l1": coarse_weight * l1[0] + l1[1],
        "ae": coarse_weight * ae[0] + ae[1],
        "l1_coarse": l1[0],
        "ae_coarse": ae[0],
        "l1_hole": sum(
            losses.masked_l1_loss(x, image, mask) for x in (coarse, refined)
        ),
    }


def _generator_objective(
    generator: Generator, critics: Critics, local_size: int, options: Mapping[str, Any]
):
    """Discounted L1, L1 on the known part, and both critics' judgement (Sec. 3)."""

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        _check_terms(loss_weights)
        image, mask = batch["image"], batch["mask"]
        refined, extras = generator.apply({"params": params}, image, mask)
        terms = reconstruction_terms(
            extras["coarse"], refined, image, mask, local_size=local_size, **options
        )
        if loss_weights.get("adversarial", 0.0):
            completed = images.composite(image, refined, mask)
            (window,) = _windows(local_size, mask, completed)
            judged = critics.apply(variables["discriminator"], window, completed)
            terms["adversarial"] = sum(map(losses.wasserstein_generator_loss, judged))
        metrics = {f"generator/{name}": term.mean() for name, term in terms.items()}
        metrics["l1_hole"] = losses.masked_l1_loss(refined, image, mask).mean()
        total = sum(loss_weights.get(name, 0.0) * term for name, term in terms.items())
        return total.mean(), Aux(metrics)

    return objective


def _mixing_shares(key: Key, keys: Key) -> Array:
    """[B, 2] uniform in [0, 1): one per image and critic, anew at every update.

    `keys` alone would repeat them where several updates share a batch.
    """
    salt = jax.random.bits(key, dtype=jnp.uint32)

    def draw(own: Key) -> Array:
        return jax.random.uniform(jax.random.fold_in(own, salt), (2,))

    return jax.vmap(draw)(keys)


def _discriminator_objective(
    generator: Generator, critics: Critics, local_size: int, masked_penalty: bool
):
    """Wasserstein losses and gradient penalties of both critics (Sec. 3)."""

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        _check_terms(loss_weights)
        image, mask = batch["image"], batch["mask"]
        refined, _ = generator.apply(variables["generator"], image, mask)
        completed = images.composite(image, refined, mask)
        window_mask, real, fake = _windows(local_size, mask, mask, image, completed)
        own = {"params": params}
        logits = critics.apply(
            own, images.interleave(real, fake), images.interleave(image, completed)
        )
        local_loss, global_loss = (
            losses.wasserstein_discriminator_loss(*images.separate(x)) for x in logits
        )
        total = local_loss + global_loss
        metrics = {
            "discriminator/local": local_loss.mean(),
            "discriminator/global": global_loss.mean(),
        }
        weight = loss_weights.get("gradient_penalty", 0.0)
        if weight:
            shares = _mixing_shares(key, batch["keys"])
            pairs = {
                "judge_local": (real, fake, shares[:, 0], window_mask),
                "judge_global": (image, completed, shares[:, 1], mask),
            }
            penalty = sum(
                losses.gradient_penalty(
                    lambda x, judge=judge: critics.apply(own, x, method=judge),
                    *pair,
                    mask=where if masked_penalty else None,
                )
                for judge, (*pair, where) in pairs.items()
            )
            total += weight * penalty
            metrics["discriminator/gradient_penalty"] = penalty.mean()
        return total.mean(), Aux(metrics)

    return objective


def _init(generator: Generator, critics: Critics, local_size: int):
    """Fresh variables of both networks."""

    def init(key: Key, batch: Batch) -> Variables:
        generator_key, critics_key = jax.random.split(key)
        image, mask = batch["image"][:1], batch["mask"][:1]
        window = jnp.zeros((1, local_size, local_size, 3))
        return {
            "generator": generator.init(generator_key, image, mask),
            "discriminator": critics.init(critics_key, window, image),
        }

    return init


def _predict(generator: Generator):
    """Both stages and the completed image."""

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del key, guide  # deterministic, unguided
        refined, extras = generator.apply(variables["generator"], image, mask)
        return {
            "coarse": extras["coarse"],
            "refined": refined,
            "completed": images.composite(image, refined, mask),
        }

    return predict


def build(
    *,
    width: int = 32,
    discriminator_width: int = 64,
    local_size: int = 128,
    local_factor: int = 8,
    padding: str = "SAME",
    discriminator_padding: str | None = None,
    discriminator_activation: str = "leaky_relu",
    output_slope: float = 1.0,
    resize_rule: str = "align_corners",
    mask_in_one_step: bool = False,
    patch_norm: str = "max",
    overlap: str = "const4",
    mask_mode: str = "zero",
    fuse: bool = True,
    shared_mask: bool = False,
    attention_relu: bool = True,
    block_size: int | None = None,
    coarse_weight: float = 1.2,
    gamma: float = 0.9,
    masked_penalty: bool = True,
    compute_dtype: str = "float32",
) -> Method:
    """The method record of DeepFill v1.

    Args:
      width: of the generator, even; 32 in the paper.
      discriminator_width: of the critics' first layers; 64 in the paper.
      local_size: side of the window around the hole, pixels; 128 in the paper.
      local_factor: see `Critics`.
      padding: "SAME", "SYMMETRIC" or "REFLECT", in both networks.
      discriminator_padding: the critics', where it differs.
      discriminator_activation: "leaky_relu" or "elu", see `Critics`.
      output_slope: see `Critics`.
      resize_rule: see `Generator`, as for all options down to `block_size`.
      coarse_weight: of the coarse stage in `l1` and `ae`; 1.2 in the authors' code.
      gamma: of the spatial discount; 0.9 in the released configuration.
      masked_penalty: whether the gradient penalty looks at the hole only.
      compute_dtype: "float32" or "bfloat16" for the convolutions.
    """
    if width < 2 or width % 2:
        raise ValueError(f"width must be an even number >= 2, got {width}")
    if discriminator_activation not in ACTIVATIONS:
        kind = "discriminator_activation"
        raise UnknownNameError(kind, discriminator_activation, ACTIVATIONS)
    dtype = jnp.dtype(compute_dtype)
    generator = Generator(
        width=width,
        padding=padding,
        resize_rule=resize_rule,
        mask_in_one_step=mask_in_one_step,
        patch_norm=patch_norm,
        overlap=overlap,
        mask_mode=mask_mode,
        fuse=fuse,
        shared_mask=shared_mask,
        attention_relu=attention_relu,
        block_size=block_size,
        dtype=dtype,
    )
    critics = Critics(
        width=discriminator_width,
        local_factor=local_factor,
        padding=discriminator_padding or padding,
        activation=discriminator_activation,
        output_slope=output_slope,
        dtype=dtype,
    )
    options = {"coarse_weight": coarse_weight, "gamma": gamma}

    return Method(
        name="deepfill_v1",
        predict=_predict(generator),
        networks={"generator": generator, "discriminator": critics},
        init=_init(generator, critics, local_size),
        objectives={
            "generator": _generator_objective(generator, critics, local_size, options),
            "discriminator": _discriminator_objective(
                generator, critics, local_size, masked_penalty
            ),
        },
        monitor=networks.watch_attention(generator),
        multiple=8,
        min_size=16,  # four halvings keep a 2x2 grid of attention scores
    )
