"""A method with its weights, as a function of any image and mask.

`Inpainter.predict` gives the network's own outputs, `Inpainter.__call__` the completed
image in the caller's dtype: windows by strategy, completed in batches of equal shape,
merged, blended, and only then put into the hole.
"""

import collections
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from inpainting_jax import images, runtime
from inpainting_jax.evaluation import blending, door, strategies, windows
from inpainting_jax.methods import Method
from inpainting_jax.types import Key, Variables

MAX_COMPILED = 32
"""Compiled programs kept by an inpainter, one per batch size and padded shape."""

_BATCH_PIXELS = 2**19  # windows are completed together up to this many pixels
_RAW_STAGES = ("refined", "prediction")  # the last output before compositing
_FAR_FROM_TRAINING = 2  # times the training size, from where on a note is due


class Inpainter:
    """Completes images with one method; its rows split over `devices` if above 1.

    Attributes:
      method: the `Method` record.
      variables: its weights; {} for untrained methods.
      card: where the weights come from, and what they are good for.
      last_strategies: of the last call, what became of `strategy` per image.
      last_labels: of the last call, the completed label map per image, [H, W] uint8
        with `UNKNOWN_LABEL` where the method did not look; empty if it makes none.
        Edit it and hand it back as `guide`.
    """

    def __init__(
        self,
        method: Method,
        variables: Variables,
        card: Mapping[str, Any] | None = None,
        *,
        devices: int = 1,
    ):
        self.method = method
        self.variables = jax.tree.map(jnp.asarray, dict(variables))
        self._mesh = _mesh(method, devices)
        if self._mesh is not None:
            self.variables = runtime.put_whole(self.variables, self._mesh)
        self.card = dict(card or {})
        self.last_strategies: list[str] = []
        self.last_labels: list[np.ndarray] = []
        self._compiled = method.compiled_predict()
        self._shapes: collections.OrderedDict[tuple, None] = collections.OrderedDict()
        self._noted = False

    def predict(
        self,
        image: ArrayLike,
        mask: ArrayLike,
        guide: ArrayLike | None = None,
        seed: int = 0,
    ) -> dict[str, np.ndarray]:
        """The method's outputs by stage, on the whole image.

        Args:
          image: as in `__call__`.
          mask: as in `__call__`.
          guide: as in `__call__`.
          seed: as in `__call__`.

        Returns:
          float32 in [-1, 1], [H, W, 3], or [B, H, W, 3] if `image` is a batch:
          "coarse", "refined", ... as the method names them; always "completed".
          "labels" [H, W, 1] or [B, H, W, 1] are class numbers.
        """
        prepared = door.prepare(image, mask)
        guide = self._guide(guide, prepared)
        stages = self._stages(
            prepared.image, prepared.mask, guide, jax.random.key(seed)
        )
        if not prepared.is_batch:
            stages = {name: stage[0] for name, stage in stages.items()}
        return stages

    def __call__(
        self,
        image: ArrayLike,
        mask: ArrayLike,
        guide: ArrayLike | None = None,
        seed: int = 0,
        strategy: str = "auto",
        blend: str = "none",
        *,
        dilate: int = 0,
        size: int | None = None,
        mask_convention: str = "white_hole",
    ) -> np.ndarray:
        """The completed image, in the dtype and shape of `image`.

        Args:
          image: [H, W], [H, W, 1|3|4] or a batch; uint8, uint16 or float in [0, 1].
          mask: [H, W], [H, W, 1] or a batch; bool, integer or float; 1 = hole.
          guide: [H, W] or a batch, only for methods that take one: a sketch, 1 =
            line; or class numbers, `UNKNOWN_LABEL` (255) where nothing is stated.
          seed: of methods that draw random numbers.
          strategy: "auto", "full", "resize", "crop" or "tile", see `strategies.plan`.
          blend: one of `blending.BLENDS`: "none", "feather", "poisson" or
            "telea_poisson".
          dilate: pixels by which the hole is widened first.
          size: working side in pixels, see `strategies.plan`.
          mask_convention: "white_hole", "black_hole" or "alpha", see `images.to_mask`.

        Returns:
          The image, every pixel outside the (widened) hole bit-identical.

        Raises:
          ValueError: bad input; the message names it and the remedy.
        """
        blending.check(blend)
        prepared = door.prepare(
            image, mask, mask_convention=mask_convention, dilate=dilate
        )
        guide = self._guide(guide, prepared)
        holes = prepared.mask[..., 0] > 0
        plans = [
            strategies.plan(hole, strategy=strategy, traits=self._traits(), size=size)
            for hole in holes
        ]
        self.last_strategies = [name for name, _ in plans]
        self._note_distance([window for _, plan in plans for window in plan])
        predictions, raw = self._complete(prepared, guide, plans, jax.random.key(seed))
        completed = [
            blending.blend(blend, image, prediction, hole, raw=raw)
            for image, prediction, hole in zip(
                prepared.image, predictions, holes, strict=True
            )
        ]
        completed = np.stack(completed)
        if not np.isfinite(completed).all():
            raise ValueError(
                f"{self.method.name} filled the hole with NaN or infinite values; its"
                " weights are damaged or its training diverged: take other weights"
            )
        return door.restore(prepared, completed)

    def _traits(self) -> strategies.Traits:
        return strategies.Traits(
            learned=bool(self.method.networks),
            full_size=self.method.full_size,
            # A method that names its size knows better than the run it was trained in:
            # neural_patch works at 512 with a content network trained at 128.
            train_size=self.method.train_size or self.card.get("train_size"),
            multiple=self.method.multiple,
        )

    def _guide(
        self, guide: ArrayLike | None, prepared: door.Prepared
    ) -> np.ndarray | None:
        if self.method.guide_kind == "labels":
            return door.prepare_labels(guide, prepared, self.method.guide_classes)
        return door.prepare_guide(guide, prepared, self.method.guide_channels)

    def _complete(
        self, prepared: door.Prepared, guide, plans, key: Key
    ) -> tuple[list[np.ndarray], bool]:
        """Predictions [H, W, 3] per image, and whether they hold outside the hole."""
        jobs = [(index, w) for index, (_, plan) in enumerate(plans) for w in plan]
        groups = collections.defaultdict(list)
        for number, (_, window) in enumerate(jobs):
            groups[window.work].append(number)
        results: list[np.ndarray] = [np.empty(0)] * len(jobs)
        labels: list[np.ndarray] = [np.empty(0)] * len(jobs)
        raw = False
        for (height, width), numbers in groups.items():
            at_once = max(1, _BATCH_PIXELS // (height * width))
            for start in range(0, len(numbers), at_once):
                chunk = numbers[start : start + at_once]
                stages = self._run([jobs[n] for n in chunk], prepared, guide, key)
                prediction, raw = _prediction(stages)
                for place, number in enumerate(chunk):
                    results[number] = prediction[place]
                    if "labels" in stages:
                        labels[number] = stages["labels"][place]
        shape = prepared.image.shape[1:3]
        predictions, maps = list(prepared.image), []
        own = iter(zip(results, labels, strict=True))
        for index, (_, plan) in enumerate(plans):
            parts = [next(own) for _ in plan]
            if plan:
                predictions[index] = windows.merge(plan, [p for p, _ in parts], shape)
            maps.append(windows.merge_labels(plan, [m for _, m in parts], shape))
        self.last_labels = maps if any(m.size for m in labels) else []
        return predictions, raw

    def _run(self, jobs, prepared, guide, key) -> dict[str, np.ndarray]:
        """Stages of several windows of one working size, with the hole they saw."""
        cuts, lines = [], []
        labels = self.method.guide_kind == "labels"
        cut_guide = windows.cut_labels if labels else windows.cut_guide
        for index, window in jobs:
            hole = prepared.mask[index, ..., 0] > 0
            cuts.append(windows.cut(prepared.image[index], hole, window))
            if guide is not None:
                lines.append(cut_guide(guide[index], window))
        image, mask = (np.stack(arrays) for arrays in zip(*cuts, strict=True))
        stages = self._stages(image, mask, np.stack(lines) if lines else None, key)
        return {**stages, "mask": mask}

    def _stages(self, image, mask, guide, key) -> dict[str, np.ndarray]:
        """Pads, runs the method, crops: float32 stages [B, H, W, C]."""
        method = self.method
        height, width = image.shape[1:3]
        padded = [
            images.padded_size(
                side, method.multiple, method.min_size, coarse=method.traceable
            )
            for side in (height, width)
        ]
        arrays = [
            None if array is None else images.pad(array, *padded)
            for array in (image, mask, guide)
        ]
        if method.traceable:
            self._remember((image.shape[0], *padded, guide is None))
        if self._mesh is not None:
            arrays = runtime.split_rows(arrays, self._mesh)
        stages = self._compiled(self.variables, key, *arrays)
        return {
            name: _unpadded(np.asarray(stage, np.float32), padded, (height, width))
            for name, stage in stages.items()
        }

    def _remember(self, shape: tuple) -> None:
        """Keeps the number of compiled programs in memory bounded."""
        if shape not in self._shapes and len(self._shapes) >= MAX_COMPILED:
            self._shapes.clear()
            self._compiled.clear_cache()
        self._shapes[shape] = None

    def _note_distance(self, plan: list[windows.Window]) -> None:
        """Says once when a window is far from what the weights were trained on."""
        trained = self._traits().train_size
        if self._noted or not trained or not self.method.networks or not plan:
            return
        largest = max(max(window.work) for window in plan)
        seen = max(max(window.box[2:]) for window in plan)
        if not self.method.full_size and max(seen, largest) > trained:
            self._noted = True
            images.warn(
                f"{self.method.name} completes {trained} x {trained} pixels: the"
                f" surroundings of the hole, up to {max(seen, largest)} pixels wide"
                " here, are scaled to that and the fill back. Expect it soft; methods"
                " for any size: global_local, deepfill_v1, deepfill_v2, patchmatch"
            )
        elif largest > _FAR_FROM_TRAINING * trained:
            self._noted = True
            images.warn(
                f"{self.method.name} works at {largest} pixels here, its weights were"
                f" trained at {trained}: expect weaker structure in large holes. Try"
                " strategy='resize' (--strategy=resize), 'crop' or a smaller size, or"
                " method='patchmatch'"
            )


def _mesh(method: Method, devices: int) -> Mesh | None:
    """Where an image is split, None for one device; not every method can be."""
    if devices > 1 and not (method.networks and method.traceable and method.full_size):
        raise ValueError(
            f"{method.name} cannot be split over {devices} devices: only networks that"
            " are run once, on images of any size, can; leave --devices at 1"
        )
    return runtime.space_mesh(devices) if devices != 1 else None


def _prediction(stages: Mapping[str, np.ndarray]) -> tuple[np.ndarray, bool]:
    """What to fill holes with, and whether it is the method's own outside them too."""
    completed = stages["completed"]
    for name in _RAW_STAGES:
        if name in stages and stages[name].shape == completed.shape:
            return np.where(stages["mask"] > 0, completed, stages[name]), True
    return completed, False


def _unpadded(stage: np.ndarray, padded, size) -> np.ndarray:
    """A stage cropped to the image's size; one of lower resolution in proportion."""
    if stage.ndim < 3:
        return stage
    rows, columns = (
        -(-side * got // full)
        for side, got, full in zip(size, stage.shape[1:3], padded, strict=True)
    )
    return stage[:, :rows, :columns]
