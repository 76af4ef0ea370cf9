"""Objectives and inference of the Context Encoder (Pathak et al. 2016, Sec. 3.2)."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax import images, losses
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.context_encoder import views
from inpainting_jax.methods.context_encoder.networks import (
    ACTIVATIONS,
    ChannelwiseGenerator,
    Generator,
    build_discriminator,
)
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Aux, Batch, Key, Variables

VARIANTS = ("center", "random", "channelwise")


@dataclasses.dataclass(frozen=True)
class _System:
    """A variant: its networks, its geometry, its reconstruction loss.

    `reconstruct(prediction, target, hole) -> [B]` compares what the network predicts
    with the image there; `hole` is the mask there.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    view: views.View
    fill: tuple[float, float, float]
    reconstruct: Callable[[Array, Array, Array], Array]

    def predict_square(
        self,
        variables: Mapping[str, Any],
        image: Array,
        mask: Array,
        keys: Key | None = None,
        *,
        train: bool = False,
    ) -> tuple[Array, Array, Mapping[str, Any]]:
        """Prediction [B, output, output, 3], boxes [B, 3], and new statistics."""
        boxes = views.view_boxes(mask, self.view)
        fill = jnp.array(self.fill, jnp.float32)[None, None, None]
        seen = views.look(image, mask, boxes, self.view, fill)
        prediction, stats = self.generator.apply(
            variables,
            seen,
            train=train,
            keys=keys,
            mutable=["batch_stats"] if train else [],
        )
        return prediction, boxes, stats


def _judge(
    discriminator: nn.Module, variables: Mapping[str, Any], image: Array
) -> tuple[Array, dict[str, Any]]:
    """Logits [B, 1] by the batch's statistics, and the variables with new ones."""
    logits, stats = discriminator.apply(
        variables, image, train=True, mutable=["batch_stats"]
    )
    return logits, {**variables, **stats}


def _generator_objective(system: _System):
    """The joint loss, Eq. 3: L2 on the prediction and the adversarial loss."""
    known = ("l2", "adversarial") if system.discriminator else ("l2",)

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        if unknown := sorted(set(loss_weights) - set(known)):
            raise ValueError(
                f"unknown loss weights {unknown} for this variant of context_encoder; "
                f"known: {', '.join(known)}"
            )
        image, mask = batch["image"], batch["mask"]
        prediction, boxes, stats = system.predict_square(
            {**variables["generator"], "params": params},
            image,
            mask,
            batch.get("keys"),
            train=True,
        )
        square = views.target(image, boxes, system.view)
        hole = views.target(mask, boxes, system.view)
        terms = {"l2": system.reconstruct(prediction, square, hole)}
        if loss_weights.get("adversarial", 0.0):
            judge = (system.discriminator, variables["discriminator"], prediction)
            logits, _ = _judge(*judge)  # its statistics are the discriminator's own
            terms["adversarial"] = losses.non_saturating_generator_loss(logits)
        metrics = {f"generator/{name}": term.mean() for name, term in terms.items()}
        whole = views.put_back(prediction, image, mask, boxes, system.view)
        metrics["l1_hole"] = losses.masked_l1_loss(whole, image, mask).mean()
        total = sum(loss_weights.get(name, 0.0) * terms[name] for name in terms)
        return total.mean(), Aux(metrics, {"generator": stats} if stats else {})

    return objective


def _discriminator_objective(system: _System):
    """Cross-entropy on the image's square and on the predicted one, Eq. 2.

    Each has a pass, and so batch statistics, of its own.
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
        prediction, boxes, _ = system.predict_square(
            variables["generator"], image, mask, batch.get("keys"), train=True
        )
        square = views.target(image, boxes, system.view)
        own = {**variables["discriminator"], "params": params}
        real_logits, own = _judge(system.discriminator, own, square)
        fake = jax.lax.stop_gradient(prediction)
        fake_logits, own = _judge(system.discriminator, own, fake)
        loss = losses.minimax_discriminator_loss(real_logits, fake_logits).mean()
        metrics = {
            "discriminator/cross_entropy": loss,
            "discriminator/real_logits": real_logits.mean(),
            "discriminator/fake_logits": fake_logits.mean(),
        }
        stats = {"batch_stats": own["batch_stats"]}
        return loss, Aux(metrics, {"discriminator": stats})

    return objective


def _init(system: _System):
    """Fresh variables; sizes are the networks', whatever the batch's."""

    def init(key: Key, batch: Batch) -> Variables:
        del batch
        generator_key, discriminator_key = jax.random.split(key)
        view = system.view
        seen = jnp.zeros((1, view.size, view.size, 3))
        variables = {"generator": system.generator.init(generator_key, seen)}
        if system.discriminator:
            square = jnp.zeros((1, view.output, view.output, 3))
            variables["discriminator"] = system.discriminator.init(
                discriminator_key, square
            )
        return variables

    return init


def _predict(system: _System):
    """The network's answer at its place in the image, and the completed image."""

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del key, guide
        square, boxes, _ = system.predict_square(variables["generator"], image, mask)
        prediction = views.put_back(square, image, mask, boxes, system.view)
        return {
            "prediction": prediction,
            "completed": images.composite(image, prediction, mask),
        }

    return predict


def build_reconstruction(
    variant: str, view: views.View, *, ring_weight: float, known_weight: float
) -> Callable[[Array, Array, Array], Array]:
    """The reconstruction loss, Eq. 1, as the released code weighs it.

    The two inpainting networks divide by the number of elements, whatever the weights;
    feature learning by the size of the hole.

    Args:
      variant: one of `VARIANTS`.
      view: of its network.
      ring_weight: see `build`.
      known_weight: see `build`.

    Returns:
      `(prediction, square, hole) -> [B]`, of [B, S, S, 3], [B, S, S, 3], [B, S, S, 1].
    """
    if variant == "channelwise":
        return losses.masked_l2_loss
    if variant == "center":
        sides = (view.output, view.output, view.overlap)
        weights = losses.overlap_weights(*sides, ring=ring_weight)
        return lambda prediction, square, hole: losses.weighted_l2_loss(
            prediction, square, weights
        )
    return lambda prediction, square, hole: losses.weighted_l2_loss(
        prediction, square, hole + known_weight * (1 - hole)
    )


def _method(system: _System) -> Method:
    """The record of a variant; without a discriminator where it has none."""
    networks = {"generator": system.generator}
    objectives = {"generator": _generator_objective(system)}
    if system.discriminator:
        networks["discriminator"] = system.discriminator
        objectives["discriminator"] = _discriminator_objective(system)
    return Method(
        name="context_encoder",
        predict=_predict(system),
        networks=networks,
        init=_init(system),
        objectives=objectives,
        full_size=False,
        train_size=system.view.size,
    )


def build(
    *,
    variant: str = "center",
    image_size: int | None = None,
    width: int = 64,
    discriminator_width: int = 64,
    bottleneck: int = 4000,
    overlap: int = 4,
    ring_weight: float = 10.0,
    known_weight: float = 1.0,
    fill: Sequence[float] = (117, 104, 123),
    pool_free: bool = False,
    dropout: float = 0.5,
    activation: str = "relu",
    compute_dtype: str = "float32",
) -> Method:
    """The method record of the Context Encoder.

    Args:
      variant: "center", "random" or "channelwise", see the package's docstring.
      image_size: side of what the network sees; None: 128, for "channelwise" 227.
      width: of the generator's first stage; 64 in the authors' code.
      discriminator_width: of its first stage; 64 in the authors' code.
      bottleneck: units of the generator's narrowest layer; 4000 in the paper.
      overlap: known pixels that "center" predicts on each side; 7 in the paper, 4 in
        the authors' code.
      ring_weight: of the squared error there.
      known_weight: of the squared error of "random" outside the hole; the authors' code
        has 1, or 10 with their `useOverlapPred`.
      fill: red, green, blue of blanked pixels in 0..255.
      pool_free: of "channelwise", see `ChannelwiseGenerator`.
      dropout: of "channelwise", see `ChannelwiseGenerator`.
      activation: of "center" and "random": "relu", or "elu" (`neural_patch`).
      compute_dtype: "float32" or "bfloat16" for the convolutions.
    """
    if variant not in VARIANTS:
        raise UnknownNameError("variant", variant, dict.fromkeys(VARIANTS))
    if activation not in ACTIVATIONS:
        raise UnknownNameError("activation", activation, ACTIVATIONS)
    size = image_size or (227 if variant == "channelwise" else 128)
    output = size // 2 if variant == "center" else size
    dtype = jnp.dtype(compute_dtype)
    if variant == "channelwise":
        generator = ChannelwiseGenerator(size, width, pool_free, dropout, dtype)
        discriminator = None
    else:
        generator = Generator(size, output, width, bottleneck, dtype, activation)
        discriminator = build_discriminator(
            output_size=output, width=discriminator_width, dtype=dtype
        )
    if variant == "center":
        view = views.View(size, output, overlap, blank_square=True)
    else:
        view = views.View(size, output)
    system = _System(
        generator=generator,
        discriminator=discriminator,
        view=view,
        fill=tuple(value * 2 / 255 - 1 for value in fill),
        reconstruct=build_reconstruction(
            variant, view, ring_weight=ring_weight, known_weight=known_weight
        ),
    )
    return _method(system)
