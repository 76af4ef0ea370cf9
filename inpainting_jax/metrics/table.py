"""What the evaluation needs to know about a metric beside its formula."""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from inpainting_jax.metrics.pixel import ring
from inpainting_jax.types import Array

REGIONS = ("image", "hole", "ring")
"""All pixels; those of the hole; known pixels near it (`pixel.ring`)."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of pairs of images, imported when first computed.

    Attributes:
      where: `"module:function"`, called as `(completed, truth, mask, **options)`, or
        as `(completed, mask, **options)` if `needs_truth` is False; mask None means
        all pixels.
      higher_is_better: True or False; None where neither end is good.
      unit: for column heads, "" if none.
      options: keyword arguments of the function.
      needs_truth: whether it compares with the original image.
      regions: some of `REGIONS`; with `image` alone no mask is handed over.
      min_side: smallest H and W it is defined for.
      cap: value at which it is cut off, if any; capped images are counted.
      version: goes up when the same images would get another value.
      optional: whether it is computed only when asked for by name (weights needed).
    """

    where: str
    higher_is_better: bool | None
    unit: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs_truth: bool = True
    regions: tuple[str, ...] = ("image", "hole")
    min_side: int = 1
    cap: float | None = None
    version: int = 1
    optional: bool = False

    def __call__(self, completed: Array, truth: Array, mask: Array | None) -> Array:
        """[B] values of a batch [B, H, W, C] in [0, 1]."""
        images = (completed, truth) if self.needs_truth else (completed,)
        region = () if self.regions == ("image",) else (mask,)
        return _import(self.where)(*images, *region, **self.options)


@dataclasses.dataclass(frozen=True)
class SetMetric:
    """A metric of two sets of images, from features of a pooled network.

    Attributes:
      where: `"module:function"`, called as `(real, fake, **options)` with [N, D]
        features of originals and completed images in the same order; gives one value
        per column, or one alone.
      columns: names of the values, with the network in them.
      higher_is_better: of the columns.
      network: see `features.pooled_network`.
      options: keyword arguments of the function.
      least: fewest images for which the value is given.
      resampled: whether an interval comes from leaving out groups of images.
      null: `"module:function"` that gives the columns where nothing is to be told
        apart, or "".
      version: goes up when the same features would get another value.
    """

    where: str
    columns: tuple[str, ...]
    higher_is_better: tuple[bool, ...]
    network: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    least: int = 200
    resampled: bool = True
    null: str = ""
    version: int = 1

    def __call__(self, real: np.ndarray, fake: np.ndarray) -> tuple[float, ...]:
        """The values of the columns."""
        return self._columns(_import(self.where)(real, fake, **self.options))

    def expected(self, real: np.ndarray, fake: np.ndarray) -> tuple[float, ...] | None:
        """The columns under the null; None if the metric knows none."""
        if not self.null:
            return None
        return self._columns(_import(self.null)(real, fake))

    def _columns(self, found: Any) -> tuple[float, ...]:
        found = found if isinstance(found, tuple) else (found,)
        return found[: len(self.columns)]


def region_mask(region: str, mask: Array) -> Array | None:
    """The mask [B, H, W, 1] of a region for a hole: None for `image`."""
    if region == "image":
        return None
    return ring(mask) if region == "ring" else mask


@functools.cache
def _import(where: str) -> Callable[..., Any]:
    module, name = where.split(":")
    return getattr(importlib.import_module(module), name)
