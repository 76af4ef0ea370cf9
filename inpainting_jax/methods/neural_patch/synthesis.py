"""Texture optimisation at one scale (Yang et al. 2017, Eq. 1 to 5).

The pixels of the hole are the variables. What the objective sees is a window around the
hole, wide enough that no feature it compares knows of the window's edges. Images here
are single, [S, S, 3] in [-1, 1], and the hole lies in the middle square of side S / 2.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from inpainting_jax.features.vgg import BLOCKS, FeatureNetwork, conv_names
from inpainting_jax.methods.neural_patch import matching
from inpainting_jax.methods.neural_patch.minimise import minimise
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array

FEATURE_SCALE = {"torch": 57.4, "caffe": 1.0, "caffe_rgb": 1.0, "signed": 127.5}
"""What features are multiplied by, so that all have the size of Caffe's: the ratio of
the networks' input units (255 * 0.225 for torchvision's, one deviation of ImageNet)."""

CONTENTS = ("pixels", "features")
FREE = ("hole", "all")
KEPT = ("result", "content")
REDUCTIONS = ("patch", "average")
CONTENT_TAP = "relu4_2"

_GRID = 16  # pixels; windows begin at multiples, so that all taps' cells line up


@dataclasses.dataclass(frozen=True)
class Texture:
    """The options of the optimisation; defaults are the paper's.

    Attributes:
      taps: layers whose patches are matched.
      texture_weight: alpha of Eq. 1.
      tv_weight: beta of Eq. 1.
      content_weight: of the content term; 1 in Eq. 1.
      content: "pixels": squared error in the hole, summed (Eq. 2); "features": mean
        squared error of `CONTENT_TAP` over the whole window (released code).
      reduction: of the texture term, see `matching.texture_loss`.
      growth: factor on the texture weight from one scale to the next.
      match: "l2" or "ncc", see `matching.nearest_patches`.
      stride: of patches that are matched and of those that are copied.
      margin: pixels of a 512 px image by which the hole is widened for the choice of
        sources: their features know of the hole.
      turns: degrees by which the sources are also turned, 0 for as they are.
      zooms: factors by which the sources are also enlarged.
      free: which pixels move: those of the "hole", or "all" of the window (released
        code); what is shown are those of the hole.
      keep_to: what the content term keeps to above the first scale: the "result" of
        the scale before, or the "content" network's image (released code).
      iterations: of the optimiser at each scale.
      refresh: iterations after which neighbours are looked for again; 0 = once a scale.
      optimizer: "lbfgs" or "adam".
      learning_rate: of Adam.
      memory: pairs that L-BFGS remembers.
      line_search: whether L-BFGS searches for its step; without, steps have length 1,
        the first one 1 / |gradient| at most (released code).
    """

    taps: Sequence[str] = ("relu3_1", "relu4_1")
    texture_weight: float = 5e-6
    tv_weight: float = 5e-6
    content_weight: float = 1.0
    content: str = "pixels"
    reduction: str = "patch"
    growth: float = 1.0
    match: str = "l2"
    stride: int = 1
    margin: float = 0.0
    turns: Sequence[float] = (0.0,)
    zooms: Sequence[float] = (1.0,)
    free: str = "hole"
    keep_to: str = "result"
    iterations: int = 100
    refresh: int = 25
    optimizer: str = "lbfgs"
    learning_rate: float = 0.02
    memory: int = 25
    line_search: bool = True

    def __post_init__(self):
        for kind, value, known in (
            ("content", self.content, CONTENTS),
            ("reduction", self.reduction, REDUCTIONS),
            ("free", self.free, FREE),
            ("keep_to", self.keep_to, KEPT),
            ("match", self.match, matching.RULES),
            ("optimizer", self.optimizer, ("lbfgs", "adam")),
        ):
            if value not in known:
                raise UnknownNameError(kind, value, dict.fromkeys(known))
        for tap in self.taps:
            _block(tap)
        if self.stride < 1 or self.iterations < 0 or self.refresh < 0:
            raise ValueError(
                "stride must be >= 1, iterations and refresh >= 0, got "
                f"{self.stride}, {self.iterations}, {self.refresh}"
            )

    @property
    def all_taps(self) -> tuple[str, ...]:
        """Of both feature terms; the content term's, if any, is the last."""
        return (*self.taps, *([CONTENT_TAP] if self.content == "features" else []))

    @property
    def steps(self) -> list[int]:
        """Iterations between two searches for neighbours."""
        every = self.refresh or max(self.iterations, 1)
        starts = range(0, self.iterations, every)
        return [min(every, self.iterations - start) for start in starts]


class Problem(NamedTuple):
    """What is fixed while the pixels of one window are optimised.

    Attributes:
      content: [s, s, 3] pixels that the result should keep to.
      free: [s, s, 1] 1 = variable.
      targets: of each tap, in the window's cells.
    """

    content: Array
    free: Array
    targets: tuple[matching.Targets, ...]


def _block(tap: str) -> int:
    """1 to 5, the block of a tap named reluB_I."""
    name = tap.replace("relu", "conv")
    if not tap.startswith("relu") or name not in conv_names("vgg19"):
        raise ValueError(f"unknown tap {tap!r}: use relu1_1 to relu5_4, as relu3_1")
    return int(name[4])


def stride_of(tap: str) -> int:
    """Pixels between two cells of a tap's feature map."""
    return 2 ** (_block(tap) - 1)


def reach(network: str, tap: str) -> int:
    """How many pixels beyond its own cell's a feature of this tap depends on."""
    block, position = int(tap[4]), int(tap.split("_")[1])
    convs = sum(
        2 ** (b - 1) * count for b, count in enumerate(BLOCKS[network][: block - 1], 1)
    )
    return convs + 2 ** (block - 1) * position


def window_of(size: int, network: str, taps: Sequence[str]) -> tuple[int, int]:
    """First and last (excluded) row of the window that the objective must see."""
    patch = max(stride_of(tap) + reach(network, tap) for tap in taps)
    first = max((size // 4 - patch) // _GRID * _GRID, 0)
    return first, size - first


def total_variation(image: Array) -> Array:
    """Sum of squared differences of neighbouring pixels of [H, W, C] (Eq. 5)."""
    return jnp.sum((image[1:] - image[:-1]) ** 2) + jnp.sum(
        (image[:, 1:] - image[:, :-1]) ** 2
    )


def _extract(network: FeatureNetwork, image: Array, taps: Sequence[str]) -> list[Array]:
    """Features [N, h, w, C] of images [N, H, W, 3], in the units of Caffe's."""
    scale = FEATURE_SCALE[network.norm]
    return [scale * f.astype(jnp.float32) for f in network(image, taps)]


def terms(
    options: Texture, network: FeatureNetwork, image: Array, problem: Problem
) -> dict[str, Array]:
    """The three terms of Eq. 1 on a window, not yet weighted.

    Args:
      options: see there.
      network: the feature network.
      image: [s, s, 3].
      problem: the rest.
    """
    in_features = options.content == "features"
    pictures = jnp.stack([image, problem.content] if in_features else [image])
    maps = _extract(network, pictures, options.all_taps)
    texture = sum(
        matching.texture_loss(features[0], targets, reduction=options.reduction)
        for features, targets in zip(maps, problem.targets, strict=False)
    )
    if in_features:
        content = jnp.mean((maps[-1][0] - jax.lax.stop_gradient(maps[-1][1])) ** 2)
    else:
        content = jnp.sum(problem.free * (image - problem.content) ** 2)
    return {"content": content, "texture": texture, "tv": total_variation(image)}


def find_targets(
    options: Texture,
    network: FeatureNetwork,
    image: Array,
    hole: Array,
    copies: tuple[Array, Array],
) -> tuple[matching.Targets, ...]:
    """The nearest sources of all patches whose centre lies in the hole, for each tap.

    Args:
      options: see there.
      network: the feature network.
      image: [S, S, 3] as it is now.
      hole: [S, S, 1], 1 = hole.
      copies: [N, S, S, 3] pictures whose patches may be copied, and [N, S, S, 1] where
        they are known.
    """
    size = image.shape[0]
    first, last = window_of(size, network.network, options.taps)
    window = image[None, first:last, first:last]
    pictures, known = copies
    sources_of = _extract(network, pictures, options.taps)
    maps = _extract(network, window, options.taps)
    found = []
    for tap, sources, features in zip(options.taps, sources_of, maps, strict=True):
        stride = stride_of(tap)
        free = 1 - matching.to_cells(1 - known, stride)
        allowed = matching.candidates(free, options.stride)
        centred = matching.to_cells(hole[None], stride)[0, ..., 0] > 0.5
        wanted = centred[1:-1, 1:-1]
        wanted &= jnp.asarray(matching.centres(*centred.shape, options.stride))
        # The middle square and a cell around it: all patches of the hole.
        begin, end = size // 4 // stride, -(-3 * size // 4 // stride)
        ring = slice(begin - 1 - first // stride, end + 1 - first // stride)
        index = matching.nearest_patches(
            features[0, ring, ring], sources, allowed, rule=options.match
        )
        inside = wanted[begin - 1 : end - 1, begin - 1 : end - 1] & allowed.any()
        targets = matching.gather_targets(index, sources, inside)
        around = (ring.start, features.shape[1] - ring.stop)
        pad = (around, around, (0, 0))
        mean, cover = (jnp.pad(t, pad) for t in (targets.mean, targets.cover))
        found.append(targets._replace(mean=mean, cover=cover))
    return tuple(found)


def improve(
    options: Texture,
    network: FeatureNetwork,
    image: Array,
    problem: Problem,
    steps: int,
) -> tuple[Array, dict[str, Array]]:
    """The window's pixels after some steps of the optimiser; neighbours stay.

    Args:
      options: see there.
      network: the feature network.
      image: [s, s, 3] the start.
      problem: the rest.
      steps: of the optimiser.

    Returns:
      [s, s, 3], equal to `image` where not free, and the weighted terms at the end.
    """
    weights: Mapping[str, float] = {
        "content": options.content_weight,
        "texture": options.texture_weight,
        "tv": options.tv_weight,
    }

    def weighted(pixels: Array) -> dict[str, Array]:
        whole = jnp.where(problem.free > 0.5, pixels, image)
        found = terms(options, network, whole, problem)
        return {name: weights[name] * found[name] for name in weights}

    def objective(pixels: Array) -> Array:
        return sum(weighted(pixels).values())

    pixels = minimise(
        objective,
        image,
        steps=steps,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        memory=options.memory,
        line_search=options.line_search,
    )
    return jnp.where(problem.free > 0.5, pixels, image), weighted(pixels)
