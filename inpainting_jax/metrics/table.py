"""What the evaluation needs to know about a metric beside its formula."""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from inpainting_jax.types import Array


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
      regions: `image` and `hole`, or `image` alone: then no mask is handed over.
      min_side: smallest H and W it is defined for.
      cap: value at which it is cut off, if any; capped images are counted.
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
    optional: bool = False

    def __call__(self, completed: Array, truth: Array, mask: Array | None) -> Array:
        """[B] values of a batch [B, H, W, C] in [0, 1]."""
        images = (completed, truth) if self.needs_truth else (completed,)
        region = (mask,) if "hole" in self.regions else ()
        return _import(self.where)(*images, *region, **self.options)


@functools.cache
def _import(where: str) -> Callable[..., Array]:
    module, name = where.split(":")
    return getattr(importlib.import_module(module), name)
