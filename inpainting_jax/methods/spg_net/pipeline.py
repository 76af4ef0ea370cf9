"""How images and labels pass through the networks, in training and inference alike."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax.types import Array, Batch, Variables

Judged = list[tuple[Array, list[Array]]]


class Scene(NamedTuple):
    """A batch as the networks see it.

    Attributes:
      image: [B, H, W, 3], the truth.
      mask: [B, H, W, 1], 1 = hole.
      masked_image: the image with the hole's value in the hole.
      truth: [B, H, W, C] one-hot true labels; zero where nobody stated one.
      known: [B, H, W, C] the labels outside the hole; zero inside.
    """

    image: Array
    mask: Array
    masked_image: Array
    truth: Array
    known: Array


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """The networks and what is fed to them.

    Attributes:
      networks: by name; arguments of `build` as the rest.
      classes: see there.
      hole_value: see there.
      feed_mask: see there.
      conditional: see there.
      guidance: see there.
      label_composite: see there.
    """

    networks: Mapping[str, nn.Module]
    classes: int
    hole_value: tuple[float, float, float]
    feed_mask: bool
    conditional: bool
    guidance: bool
    label_composite: bool

    def hide(self, image: Array, mask: Array) -> Array:
        """The image with `hole_value` in the hole, which is not read."""
        colour = jnp.asarray(self.hole_value, jnp.float32)[None, None, None]
        return jnp.where(mask > 0.5, colour, image)

    def one_hot(self, labels: Array) -> Array:
        """[B, H, W, C] of label numbers [B, H, W, 1]; zero where they are no class."""
        numbers = jnp.round(labels[..., 0]).astype(jnp.int32)
        return jax.nn.one_hot(numbers, self.classes)

    def scene(self, variables: Variables, batch: Batch, *, segmented: bool) -> Scene:
        """The batch; `segmented` takes known labels from the segmenter, not the truth.

        Raises:
          ValueError: a batch without label maps.
        """
        labels = batch.get("guide")
        if labels is None or labels.shape[-1] != 1:
            found = "none" if labels is None else f"a guide of shape {labels.shape}"
            raise ValueError(
                "spg_net learns from label maps [B, H, W, 1], and the batch holds "
                f"{found}: set --config.data.guide=labels and, as --config.data.source,"
                " a data set with labels (python -m launch.prepare --labels=DIR)"
            )
        image, mask = batch["image"], batch["mask"]
        masked_image = self.hide(image, mask)
        truth = self.one_hot(labels)
        seen = truth
        if segmented:
            logits, _ = self.segment(variables, masked_image, mask)
            seen = self.one_hot(jnp.argmax(logits, -1, keepdims=True))
        return Scene(image, mask, masked_image, truth, seen * (1 - mask))

    def segment(
        self, variables: Variables, masked_image: Array, mask: Array, **options: Any
    ) -> tuple[Array, Mapping]:
        """Class logits of an incomplete image, and changed statistics."""
        planes = jnp.concatenate([masked_image, mask], axis=-1)
        return self._run("segmenter", variables, planes, **options)

    def predict_labels(
        self,
        variables: Variables,
        masked_image: Array,
        known: Array,
        mask: Array,
        **options: Any,
    ) -> tuple[Array, Mapping]:
        """SP-Net's class logits, and changed statistics."""
        return self._generate(
            "label_generator", variables, masked_image, known, mask, **options
        )

    def paint(
        self,
        variables: Variables,
        masked_image: Array,
        labels: Array,
        mask: Array,
        **options: Any,
    ) -> tuple[Array, Mapping]:
        """SG-Net's image in [-1, 1], and changed statistics."""
        image, changed = self._generate(
            "image_generator", variables, masked_image, labels, mask, **options
        )
        return jnp.tanh(image), changed

    def guide(self, known: Array, probabilities: Array, mask: Array) -> Array:
        """What SG-Net is told: SP-Net's labels, outside the hole the known ones."""
        if not self.guidance:
            return jnp.zeros_like(probabilities)
        if not self.label_composite:
            return probabilities
        stated = known.sum(axis=-1, keepdims=True) > 0.5
        return jnp.where((mask > 0.5) | ~stated, probabilities, known)

    def true_guide(self, scene: Scene) -> Array:
        """What SG-Net is told where it learns by itself: the true labels."""
        return scene.truth if self.guidance else jnp.zeros_like(scene.truth)

    def judge(
        self, name: str, variables: Variables, condition: Array, shown: Array
    ) -> tuple[Judged, Mapping]:
        """A discriminator's verdicts by scale, and changed statistics."""
        planes = [condition, shown] if self.conditional else [shown]
        return self._run(name, variables, jnp.concatenate(planes, -1), train=True)

    def _generate(
        self,
        name: str,
        variables: Variables,
        masked_image: Array,
        labels: Array,
        mask: Array,
        **options: Any,
    ) -> tuple[Array, Mapping]:
        planes = [masked_image, labels, *([mask] if self.feed_mask else [])]
        planes = jnp.concatenate(planes, axis=-1)
        return self._run(name, variables, planes, **options)

    def _run(
        self, name: str, variables: Variables, planes: Array, *, train: bool = False
    ) -> tuple[Any, Mapping]:
        network = self.networks[name]
        if not train:
            return network.apply(variables[name], planes), {}
        return network.apply(
            variables[name], planes, train=True, mutable=["batch_stats"]
        )
