"""The hole of one image, sharpened from scale to scale (Yang et al. 2017, Sec. 3.1)."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from inpainting_jax import images, runtime
from inpainting_jax.features import FeatureNetwork, MissingWeightsError, feature_network
from inpainting_jax.features.vgg import conv_names
from inpainting_jax.methods.neural_patch import frames, matching
from inpainting_jax.methods.neural_patch.synthesis import (
    Problem,
    Texture,
    find_targets,
    improve,
    stride_of,
    window_of,
)
from inpainting_jax.types import Array


class Synthesis:
    """Texture optimisation; each step is compiled once for each size of a scale.

    Args:
      options: of the optimisation.
      features: the network, or its name for `features.feature_network`; it is loaded
        when a picture first needs it.
      scales: sizes of the pyramid, at most; each is twice the one before.
      dtype: of a network given by name.
    """

    def __init__(
        self,
        options: Texture,
        features: str | FeatureNetwork,
        *,
        scales: int = 3,
        dtype: str = "float32",
    ):
        if scales < 1:
            raise ValueError(f"scales must be at least 1, got {scales}")
        self.options = options
        self._features = features
        self._scales = scales
        self._dtype = dtype
        self._find = runtime.compiled(self._find_traced)
        self._improve = runtime.compiled(self._improve_traced, static_argnames="steps")
        self._cut = jax.jit(frames.cut_frame, static_argnums=3)

    @functools.cached_property
    def network(self) -> FeatureNetwork:
        """The feature network, loaded, with the layers that the taps need."""
        network = self._features
        if not isinstance(network, FeatureNetwork):
            try:
                network = feature_network(network, dtype=self._dtype)
            except MissingWeightsError as error:
                raise MissingWeightsError(
                    f"neural_patch compares VGG features, and {error}; as an extra of "
                    "this package: pip install -e '.[features]'. features='none' "
                    "leaves the content network's fill as it is"
                ) from error
        names = conv_names(network.network)
        taps = [tap.replace("relu", "conv") for tap in self.options.all_taps]
        if missing := [tap for tap in taps if tap not in names]:
            raise ValueError(f"{network.network} has no layers {missing}")
        last = max(names.index(tap) for tap in taps)
        needed = {name: network.layers[name] for name in names[: last + 1]}
        return dataclasses.replace(network, layers=jax.tree.map(jnp.asarray, needed))

    def __call__(
        self, image: Array, mask: Array, box: Array, content: Array
    ) -> Iterator[tuple[Array, dict[str, Array]]]:
        """Results of the scales, the last one finest.

        Args:
          image: [1, H, W, 3]; its hole is not read.
          mask: [1, H, W, 1], 1 = hole, somewhere.
          box: [1, 3] of its frame.
          content: [1, S, S, 3] the frame as the content network completes it.

        Yields:
          The completed frame [1, S, S, 3] in [-1, 1] of a scale, and the weighted
          terms at the end of its optimisation (none where nothing could be copied).
        """
        base, result = content.shape[1], content
        sizes = frames.scale_sizes(float(box[0, 2]), base, self._scales)
        for level, size in enumerate(sizes):
            frame = self._cut(image, mask, box, size)
            shape = (1, size, size, 3)
            kept = content if self.options.keep_to == "content" else result
            kept, result = (
                images.composite(
                    frame.pixels, jax.image.resize(x, shape, "bilinear"), frame.hole
                )
                for x in (kept, result)
            )
            moved, found = self._scale(result[0], kept[0], frame, level)
            result = images.composite(
                frame.pixels, jnp.clip(moved, -1, 1)[None], frame.hole
            )
            yield result, found

    def _scale(
        self, image: Array, kept: Array, frame: frames.Frame, level: int
    ) -> tuple[Array, dict[str, Array]]:
        """One scale of a single image [S, S, 3]."""
        options, network, size = self.options, self.network, len(image)
        margin = round(options.margin * size / 512)
        known = frames.widen(frame.known, margin)[0]
        strides = [stride_of(tap) for tap in options.taps]
        if not any(frames.has_patch(known, stride) for stride in strides):
            return image, {}
        weight = options.texture_weight * options.growth**level
        first, last = window_of(size, network.network, options.taps)
        window, found = slice(first, last), {}
        for steps in options.steps:
            targets = self._find(network.layers, image, frame.hole[0], known)
            free = frame.hole[0] if options.free == "hole" else jnp.ones_like(known)
            problem = Problem(kept[window, window], free[window, window], targets)
            moved, found = self._improve(
                network.layers, image[window, window], problem, weight, steps=steps
            )
            image = image.at[window, window].set(moved)
        return image, found

    def _find_traced(
        self, layers: dict[str, Any], image: Array, hole: Array, known: Array
    ) -> tuple[matching.Targets, ...]:
        options = self.options
        network = dataclasses.replace(self.network, layers=layers)
        copies = frames.turned_copies(image, known, options.turns, options.zooms)
        return find_targets(options, network, image, hole, copies)

    def _improve_traced(
        self,
        layers: dict[str, Any],
        image: Array,
        problem: Problem,
        weight: Array,
        *,
        steps: int,
    ) -> tuple[Array, dict[str, Array]]:
        network = dataclasses.replace(self.network, layers=layers)
        options = dataclasses.replace(self.options, texture_weight=weight)
        return improve(options, network, image, problem, steps)
