"""What each network of SPG-Net minimises (Song et al. 2018, Sec. 3.3)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from inpainting_jax import losses
from inpainting_jax.methods.base import Objective
from inpainting_jax.methods.spg_net.pipeline import Pipeline, Scene
from inpainting_jax.methods.spg_net.terms import Terms, Weights
from inpainting_jax.types import Array, Aux, Batch, Key, Variables


class Objectives:
    """What each network minimises.

    Terms get their weights from the phase; two switches beside them say where labels
    come from: `predicted_labels` hands SP-Net's to SG-Net instead of the true ones,
    `segmented_labels` hands the segmenter's to SP-Net, as at inference.

    Args:
      pipeline: the networks.
      terms: of their losses.
      detach_labels: see `build`.
    """

    def __init__(self, pipeline: Pipeline, terms: Terms, detach_labels: bool):
        self._pipeline, self._terms = pipeline, terms
        self._detach = detach_labels

    def by_network(self) -> dict[str, Objective]:
        """`{network: objective}`."""
        return {
            name: self._objective(name, getattr(self, f"_of_{name}"))
            for name in self._pipeline.networks
        }

    def _objective(self, name: str, run) -> Objective:
        def objective(
            params: Any,
            variables: Variables,
            key: Key,
            batch: Batch,
            loss_weights: Mapping[str, float],
        ) -> tuple[Array, Aux]:
            del key
            self._terms.check(loss_weights)
            own = {**variables, name: {**variables[name], "params": params}}
            segmented = bool(loss_weights.get("segmented_labels", 0.0))
            scene = self._pipeline.scene(
                variables, batch, segmented=segmented and name != "segmenter"
            )
            loss, metrics, changed = run(own, scene, loss_weights)
            return loss.mean(), Aux(metrics, {name: changed})

        return objective

    def _of_segmenter(self, variables: Variables, scene: Scene, weights: Weights):
        """Cross-entropy of what it sees, without a weight: nobody else learns by it."""
        del weights
        logits, changed = self._pipeline.segment(
            variables, scene.masked_image, scene.mask, train=True
        )
        loss = self._terms.entropy(logits, scene, 1.0, 0.0)
        metrics = {
            "segmenter/ce": loss.mean(),
            "segmenter/accuracy": _accuracy(logits, scene.truth, 1 - scene.mask),
        }
        return loss, metrics, changed

    def _of_label_generator(self, variables: Variables, scene: Scene, weights: Weights):
        """Its own terms and, end to end, those of the image painted by its labels."""
        logits, changed = self._label_logits(variables, scene)
        terms = self._terms.of_labels(variables, scene, logits, weights)
        if weights.get("predicted_labels", 0.0) and not self._detach:
            labels = self._pipeline.guide(
                scene.known, jax.nn.softmax(logits), scene.mask
            )
            prediction, _ = self._paint(variables, scene, labels)
            terms |= self._terms.of_image(variables, scene, labels, prediction, weights)
        metrics = {
            self._terms.label(name): term.mean()
            for name, term in terms.items()
            if name.startswith("label")
        }
        metrics["label_generator/accuracy_hole"] = _accuracy(
            logits, scene.truth, scene.mask
        )
        return _weighed(terms, weights), metrics, changed

    def _of_image_generator(self, variables: Variables, scene: Scene, weights: Weights):
        labels = self._guide(variables, scene, weights)
        prediction, changed = self._paint(variables, scene, labels)
        terms = self._terms.of_image(variables, scene, labels, prediction, weights)
        metrics = {self._terms.label(name): term.mean() for name, term in terms.items()}
        l1 = losses.masked_l1_loss(prediction, scene.image, scene.mask)
        metrics["l1_hole"] = l1.mean()
        return _weighed(terms, weights), metrics, changed

    def _of_label_discriminator(
        self, variables: Variables, scene: Scene, weights: Weights
    ):
        del weights
        logits, _ = self._label_logits(variables, scene)
        real, fake = self._terms.real_labels(scene), jax.nn.softmax(logits)
        return self._judged("label", variables, scene.masked_image, real, fake)

    def _of_image_discriminator(
        self, variables: Variables, scene: Scene, weights: Weights
    ):
        labels = self._guide(variables, scene, weights)
        prediction, _ = self._paint(variables, scene, labels)
        condition = jnp.concatenate([scene.masked_image, labels], axis=-1)
        return self._judged("image", variables, condition, scene.image, prediction)

    def _judged(
        self,
        kind: str,
        variables: Variables,
        condition: Array,
        real: Array,
        fake: Array,
    ):
        loss, logits, changed = self._terms.of_judge(
            kind, variables, condition, real, fake
        )
        metrics = {f"{kind}_discriminator/{name}": x for name, x in logits.items()}
        return loss, metrics, changed

    def _label_logits(self, variables: Variables, scene: Scene):
        return self._pipeline.predict_labels(
            variables, scene.masked_image, scene.known, scene.mask, train=True
        )

    def _paint(self, variables: Variables, scene: Scene, labels: Array):
        return self._pipeline.paint(
            variables, scene.masked_image, labels, scene.mask, train=True
        )

    def _guide(self, variables: Variables, scene: Scene, weights: Weights) -> Array:
        """The labels that SG-Net is given; they get no gradient here."""
        if not weights.get("predicted_labels", 0.0):
            return self._pipeline.true_guide(scene)
        logits, _ = self._label_logits(variables, scene)
        labels = self._pipeline.guide(scene.known, jax.nn.softmax(logits), scene.mask)
        return jax.lax.stop_gradient(labels)


def _weighed(terms: Mapping[str, Array], weights: Weights) -> Array:
    """The sum of the terms, [B]; a single 0 where none has a weight."""
    return sum((weights[name] * terms[name] for name in terms), jnp.zeros(1))


def _accuracy(logits: Array, truth: Array, mask: Array) -> Array:
    """Share of the stated labels where `mask` is 1 that the logits rank first."""
    right = jnp.argmax(logits, -1) == jnp.argmax(truth, -1)
    counted = mask[..., 0] * truth.sum(axis=-1)
    return (right * counted).sum() / jnp.maximum(counted.sum(), 1)
