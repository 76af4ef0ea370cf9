"""Objectives and inference of Demir and Unal 2018."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from inpainting_jax import images, losses
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.pggan.networks import Discriminator, Generator
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Aux, Batch, Key, Variables

HEADS = ("global", "patch")
TERMS = ("l1", *(f"adversarial_{head}" for head in HEADS))
CHOICES = {
    "dilated_position": ("none", "first", "second"),
    "resize": ("nearest", "bilinear"),
    "judged": ("composite", "raw"),
}


def _judge(discriminator: Discriminator, judge_mask: bool):
    """`(variables, image, mask) -> logits by head, statistics`, by the batch's own."""

    def judge(variables: Variables, image: Array, mask: Array):
        planes = [image, mask] if judge_mask else [image]
        return discriminator.apply(
            variables,
            jnp.concatenate(planes, axis=-1),
            train=True,
            mutable=["batch_stats"],
        )

    return judge


def _shown(judged: str, batch: Batch, prediction: Array) -> Array:
    """What counts as the generator's image."""
    if judged == "raw":
        return prediction
    return images.composite(batch["image"], prediction, batch["mask"])


def _heads(loss_weights: Mapping[str, float]) -> list[str]:
    """The heads whose term has a weight.

    Raises:
      ValueError: a weight of a term that there is not.
    """
    unknown = sorted(set(loss_weights) - set(TERMS))
    if unknown:
        raise ValueError(
            f"unknown loss weights {unknown} for pggan; known: {', '.join(TERMS)}"
        )
    return [head for head in HEADS if loss_weights.get(f"adversarial_{head}", 0.0)]


def _generator_objective(generator: Generator, judge, judged: str, hole_weight: float):
    """L1 over the whole image and -log D of each head, weighed."""

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        heads = _heads(loss_weights)
        image, mask = batch["image"], batch["mask"]
        prediction, statistics = generator.apply(
            {**variables["generator"], "params": params},
            image,
            mask,
            train=True,
            mutable=["batch_stats"],
        )
        weights = 1 + (hole_weight - 1) * mask
        terms = {"l1": losses.weighted_l1_loss(prediction, image, weights)}
        if heads:
            fake = _shown(judged, batch, prediction)
            logits, _ = judge(variables["discriminator"], fake, mask)
            terms |= {
                f"adversarial_{head}": losses.non_saturating_generator_loss(
                    logits[head]
                )
                for head in heads
            }
        metrics = {f"generator/{name}": term.mean() for name, term in terms.items()}
        metrics["l1_hole"] = losses.masked_l1_loss(prediction, image, mask).mean()
        total = sum(loss_weights.get(name, 0.0) * terms[name] for name in terms)
        return total.mean(), Aux(metrics, {"generator": statistics})

    return objective


def _discriminator_objective(generator: Generator, judge, judged: str):
    """Cross-entropy of each head, alike; one pass for real images and one for fake.

    A head whose adversarial loss has no weight in this phase is not trained; where none
    has, both are.
    """

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        heads = _heads(loss_weights) or HEADS
        image, mask = batch["image"], batch["mask"]
        prediction, _ = generator.apply(
            variables["generator"], image, mask, train=True, mutable=["batch_stats"]
        )
        fake = jax.lax.stop_gradient(_shown(judged, batch, prediction))
        own = {**variables["discriminator"], "params": params}
        fake_logits, statistics = judge(own, fake, mask)
        real_logits, statistics = judge({**own, **statistics}, image, mask)
        metrics = {}
        for head in heads:
            real, false = real_logits[head], fake_logits[head]
            loss = losses.minimax_discriminator_loss(real, false).mean()
            metrics[f"discriminator/{head}"] = loss
        total = sum(metrics.values())
        for head in heads:
            metrics[f"discriminator/{head}_real_logits"] = real_logits[head].mean()
            metrics[f"discriminator/{head}_fake_logits"] = fake_logits[head].mean()
        return total, Aux(metrics, {"discriminator": statistics})

    return objective


def _init(generator: Generator, discriminator: Discriminator, judge_mask: bool):
    """Fresh variables of both networks."""

    def init(key: Key, batch: Batch) -> Variables:
        generator_key, discriminator_key = jax.random.split(key)
        image, mask = batch["image"][:1], batch["mask"][:1]
        planes = [image, mask] if judge_mask else [image]
        return {
            "generator": generator.init(generator_key, image, mask),
            "discriminator": discriminator.init(
                discriminator_key, jnp.concatenate(planes, axis=-1)
            ),
        }

    return init


def _predict(generator: Generator):
    """The generator's own image, and the completed one."""

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del key, guide  # deterministic
        prediction = generator.apply(variables["generator"], image, mask)
        return {
            "prediction": prediction,
            "completed": images.composite(image, prediction, mask),
        }

    return predict


def build(
    *,
    width: int = 64,
    discriminator_width: int = 64,
    dilations: Sequence[int] = (1, 2, 2, 4, 4, 8, 8, 2, 1),
    dilated_position: str = "first",
    resize: str = "nearest",
    use_mask: bool = True,
    mean_colour: Sequence[float] = (0.5, 0.5, 0.5),
    shared_layers: int = 3,
    global_layers: int | None = None,
    judge_mask: bool = False,
    judged: str = "composite",
    hole_weight: float = 1.0,
    compute_dtype: str = "float32",
) -> Method:
    """The method record of PGGAN; no default but `width` claims to be the paper's.

    Args:
      width: of the generator.
      discriminator_width: of the discriminator.
      dilations: see `Generator`, as the next four.
      dilated_position: "first" is the paper's dilated residual generator, "none" its
        plain one.
      resize: see there.
      use_mask: see there.
      mean_colour: see there.
      shared_layers: see `Discriminator`, as the next.
      global_layers: see there.
      judge_mask: whether the discriminator is given the mask too.
      judged: "composite" shows it the image with the hole filled in, "raw" all of the
        generator's output.
      hole_weight: of the L1 in the hole, relative to the known pixels; > 0.
      compute_dtype: "float32" or "bfloat16" for the convolutions.
    """
    chosen = {
        "dilated_position": dilated_position,
        "resize": resize,
        "judged": judged,
    }
    for option, value in chosen.items():
        if value not in CHOICES[option]:
            known = dict.fromkeys(CHOICES[option])
            raise UnknownNameError(f"value of {option}", value, known)
    if hole_weight <= 0 or min(width, discriminator_width, shared_layers) < 1:
        raise ValueError(
            "width, discriminator_width and shared_layers must be at least 1 and "
            f"hole_weight above 0, got {width}, {discriminator_width}, "
            f"{shared_layers}, {hole_weight}"
        )
    dtype = jnp.dtype(compute_dtype)
    generator = Generator(
        width=width,
        dilations=tuple(dilations),
        dilated_position=dilated_position,
        resize=resize,
        use_mask=use_mask,
        mean_colour=tuple(mean_colour),
        dtype=dtype,
    )
    discriminator = Discriminator(
        width=discriminator_width,
        shared_layers=shared_layers,
        global_layers=global_layers,
        dtype=dtype,
    )
    judge = _judge(discriminator, judge_mask)
    return Method(
        name="pggan",
        predict=_predict(generator),
        networks={"generator": generator, "discriminator": discriminator},
        init=_init(generator, discriminator, judge_mask),
        objectives={
            "generator": _generator_objective(generator, judge, judged, hole_weight),
            "discriminator": _discriminator_objective(generator, judge, judged),
        },
        multiple=4,
        # Reflection by three pixels needs one more.
        min_size=4,
    )
