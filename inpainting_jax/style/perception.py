"""What both papers compare: features as of Caffe's network, and their Gram matrices.

The weights of both papers belong to features of Caffe's VGG, whose input is in grey
levels (0..255). Networks of another input (torchvision's: z-scores) have features that
are smaller by about the same factor, style losses by its fourth power; so features are
brought to grey levels before anything is compared.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from inpainting_jax import losses
from inpainting_jax.features import FeatureNetwork
from inpainting_jax.types import Array

GREY_LEVELS = {"torch": 255 * 0.226, "signed": 127.5, "caffe": 1.0, "caffe_rgb": 1.0}
"""Grey levels in one unit of a feature network's input, by its normalisation."""


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True)
class Perception:
    """How a frozen network looks at pictures; its weights travel as arguments of `jit`.

    Attributes:
      network: the feature network.
      content_taps: layers whose features are kept.
      style_taps: layers whose Gram matrices are imitated.
      pooling: "average" (Gatys) or "max" (Johnson), see `features.vgg_features`.
    """

    network: FeatureNetwork
    content_taps: tuple[str, ...]
    style_taps: tuple[str, ...]
    pooling: str = "max"

    def features(self, image: Array) -> tuple[list[Array], list[Array]]:
        """Of content and of style layers, [B, h, w, C] float32 each, in grey levels.

        Args:
          image: [B, H, W, 3] in [-1, 1].
        """
        taps = (*self.content_taps, *self.style_taps)
        scale = GREY_LEVELS[self.network.norm]
        found = [
            tap.astype(jnp.float32) * scale
            for tap in self.network(image, taps, pooling=self.pooling)
        ]
        count = len(self.content_taps)
        return found[:count], found[count:]

    def tree_flatten(self):
        """The weights, and all else."""
        rest = dataclasses.replace(self, network=self._bare())
        return (self.network.layers,), _Static(rest)

    def _bare(self) -> FeatureNetwork:
        return dataclasses.replace(self.network, layers={})

    @classmethod
    def tree_unflatten(cls, static: "_Static", children) -> "Perception":
        """The inverse of `tree_flatten`."""
        (layers,) = children
        bare = static.perception
        network = dataclasses.replace(bare.network, layers=layers)
        return dataclasses.replace(bare, network=network)


@dataclasses.dataclass(frozen=True)
class _Static:
    """A perception without weights, compared and hashed by its words."""

    perception: Perception

    def __hash__(self) -> int:
        return hash(repr(self.perception))

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other)


def grams_of(features: Sequence[Array], *, normalization: str) -> list[Array]:
    """The Gram matrices [B, C, C] of each layer, see `losses.gram_matrix`."""
    return [losses.gram_matrix(f, normalization=normalization) for f in features]


def gram_distances(grams: Sequence[Array], target: Sequence[Array]) -> Array:
    """Mean squared difference of each layer's Gram matrices, [layers, B].

    The images may differ in size, and `target` may be of one image for all.
    """
    return jnp.stack(
        [
            jnp.mean((ours - theirs) ** 2, axis=(1, 2))
            for ours, theirs in zip(grams, target, strict=True)
        ]
    )
