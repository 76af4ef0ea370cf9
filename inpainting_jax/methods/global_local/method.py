"""Objectives and inference of Iizuka et al. 2017 (Sec. 3.2 to 3.4)."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from inpainting_jax import images, layers, losses
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.global_local.networks import (
    CompletionNetwork,
    ContextDiscriminator,
)
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Aux, Batch, Key, Variables

TERMS = ("mse", "mse_hole", "l1_hole", "l1_known", "adversarial")
JUDGED = ("composite", "raw")


def _check_weights(loss_weights: Mapping[str, float]) -> None:
    unknown = sorted(set(loss_weights) - set(TERMS))
    if unknown:
        raise ValueError(
            f"unknown loss weights {unknown} for global_local; known: "
            f"{', '.join(TERMS)}"
        )


class _Judge:
    """The discriminator with the windows it looks at.

    Args:
      discriminator: of the method.
      local_size: side of the windows, pixels.
      judged: "composite" or "raw", see `build`.
      independent_window: see `build`.
    """

    def __init__(
        self,
        discriminator: ContextDiscriminator,
        *,
        local_size: int,
        judged: str,
        independent_window: bool,
    ):
        self._network = discriminator
        self._size = local_size
        self._judged = judged
        self._independent = independent_window

    def __call__(
        self, variables: Variables, image: Array, corners: Array
    ) -> tuple[Array, Variables]:
        """Logits [B, 1] by the batch's statistics, and the running ones after it."""
        window = layers.take_windows(image, corners, self._size)
        return self._network.apply(
            variables, image, window, train=True, mutable=["batch_stats"]
        )

    def init(self, key: Key, batch: Batch) -> Variables:
        """Fresh variables for images and windows of these sizes."""
        window = layers.take_windows(
            batch["image"], self.hole_corners(batch), self._size
        )
        return self._network.init(key, batch["image"], window)

    def hole_corners(self, batch: Batch) -> Array:
        """Of the windows around the holes."""
        return layers.hole_corners(batch["mask"], self._size)

    def real_corners(self, batch: Batch) -> Array:
        """Of the windows of the real images: anywhere, or where the holes are."""
        if not self._independent:
            return self.hole_corners(batch)
        keys = jax.vmap(lambda key: jax.random.fold_in(key, 1))(batch["keys"])
        return layers.random_corners(keys, batch["image"], self._size)

    def fake(self, batch: Batch, prediction: Array) -> Array:
        """What counts as the completion network's image."""
        if self._judged == "raw":
            return prediction
        return images.composite(batch["image"], prediction, batch["mask"])


def _generator_objective(
    generator: CompletionNetwork, judge: _Judge, non_saturating: bool
):
    """Squared error in the hole, and alpha times the adversarial loss (Eq. 2 to 4)."""
    adversarial_loss = (
        losses.non_saturating_generator_loss
        if non_saturating
        else losses.minimax_generator_loss
    )

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        _check_weights(loss_weights)
        image, mask = batch["image"], batch["mask"]
        prediction, statistics = generator.apply(
            {**variables["generator"], "params": params},
            image,
            mask,
            train=True,
            mutable=["batch_stats"],
        )
        # In [0, 1], where alpha has the published balance.
        ours, truth = images.to_unit(prediction), images.to_unit(image)
        terms = {
            "mse": losses.weighted_l2_loss(ours, truth, mask),
            "mse_hole": losses.masked_l2_loss(ours, truth, mask),
            "l1_hole": losses.masked_l1_loss(ours, truth, mask),
            "l1_known": losses.masked_l1_loss(ours, truth, 1 - mask),
        }
        if loss_weights.get("adversarial", 0.0):
            fake = judge.fake(batch, prediction)
            logits, _ = judge(
                variables["discriminator"], fake, judge.hole_corners(batch)
            )
            terms["adversarial"] = adversarial_loss(logits)
        metrics = {f"generator/{name}": term.mean() for name, term in terms.items()}
        metrics["l1_hole"] = losses.masked_l1_loss(prediction, image, mask).mean()
        total = sum(loss_weights.get(name, 0.0) * terms[name] for name in terms)
        return total.mean(), Aux(metrics, {"generator": statistics})

    return objective


def _discriminator_objective(generator: CompletionNetwork, judge: _Judge):
    """Cross-entropy on images against completions (Eq. 3), in two passes.

    The completion network normalises by the batch, as when it learns, but its running
    statistics stay: in the second phase nothing of it changes.
    """

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        _check_weights(loss_weights)
        prediction, _ = generator.apply(
            variables["generator"],
            batch["image"],
            batch["mask"],
            train=True,
            mutable=["batch_stats"],
        )
        fake = jax.lax.stop_gradient(judge.fake(batch, prediction))
        own = {**variables["discriminator"], "params": params}
        fake_logits, statistics = judge(own, fake, judge.hole_corners(batch))
        real_logits, statistics = judge(
            {**own, **statistics}, batch["image"], judge.real_corners(batch)
        )
        loss = losses.minimax_discriminator_loss(real_logits, fake_logits).mean()
        metrics = {
            "discriminator/minimax": loss,
            "discriminator/real_logits": real_logits.mean(),
            "discriminator/fake_logits": fake_logits.mean(),
        }
        return loss, Aux(metrics, {"discriminator": statistics})

    return objective


def _init(generator: CompletionNetwork, judge: _Judge):
    """Fresh variables of both networks."""

    def init(key: Key, batch: Batch) -> Variables:
        generator_key, discriminator_key = jax.random.split(key)
        one = {name: batch[name][:1] for name in ("image", "mask")}
        return {
            "generator": generator.init(generator_key, one["image"], one["mask"]),
            "discriminator": judge.init(discriminator_key, one),
        }

    return init


def _predict(generator: CompletionNetwork):
    """The network's own image, and the completed one."""

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
    local_size: int = 128,
    mean_colour: Sequence[float] = (0.5, 0.5, 0.5),
    subtract_mean: bool = True,
    norm_last: bool = False,
    signed: bool = False,
    global_layers: int | None = None,
    local_layers: int | None = None,
    local_first: bool = False,
    activate_features: bool = True,
    judged: str = "composite",
    independent_window: bool = True,
    non_saturating: bool = True,
    compute_dtype: str = "float32",
) -> Method:
    """The method record of globally and locally consistent completion.

    Args:
      width: of the completion network, even; 64 in the paper.
      discriminator_width: of both branches; 64 in the paper.
      local_size: side of the local branch's window: 128 of 256, 96 of 160 (faces).
      mean_colour: of the training set, [0, 1]; fills the hole.
      subtract_mean: see `CompletionNetwork`; so are `norm_last` and `signed`, which
        hold for both networks.
      norm_last: see there.
      signed: see there.
      global_layers: see `ContextDiscriminator`, as the next three.
      local_layers: see there.
      local_first: see there.
      activate_features: see there.
      judged: "composite" shows the discriminator the image with the hole filled in,
        "raw" (otenim) all of the network's output.
      independent_window: whether the window of a real image lies anywhere (the paper's
        second mask) or where the hole is (mmagic).
      non_saturating: -log D for the completion network (the ports) instead of
        log(1 - D) (the paper's formula).
      compute_dtype: "float32" or "bfloat16" for the convolutions.
    """
    if width < 2 or width % 2:
        raise ValueError(f"width must be an even number >= 2, got {width}")
    if judged not in JUDGED:
        raise UnknownNameError("value of judged", judged, dict.fromkeys(JUDGED))
    shared = {
        "norm_last": norm_last,
        "signed": signed,
        "dtype": jnp.dtype(compute_dtype),
    }
    generator = CompletionNetwork(
        width=width,
        mean_colour=tuple(mean_colour),
        subtract_mean=subtract_mean,
        **shared,
    )
    discriminator = ContextDiscriminator(
        width=discriminator_width,
        global_layers=global_layers,
        local_layers=local_layers,
        local_first=local_first,
        activate_features=activate_features,
        **shared,
    )
    judge = _Judge(
        discriminator,
        local_size=local_size,
        judged=judged,
        independent_window=independent_window,
    )
    return Method(
        name="global_local",
        predict=_predict(generator),
        networks={"generator": generator, "discriminator": discriminator},
        init=_init(generator, judge),
        objectives={
            "generator": _generator_objective(generator, judge, non_saturating),
            "discriminator": _discriminator_objective(generator, judge),
        },
        multiple=4,
        min_size=4,
    )
