"""The one contract between a paper's file and everything that runs it.

A `Method` is a record of functions, not a base class: the train step, the loop, the
evaluation and the Python door know these fields and nothing about any paper.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn

from inpainting_jax import runtime
from inpainting_jax.types import Array, Aux, Batch, Key, Variables

Objective = Callable[
    [Any, Variables, Key, Batch, Mapping[str, float]], tuple[Array, Aux]
]
Predict = Callable[[Variables, Key, Array, Array, Array | None], Mapping[str, Array]]


def _no_variables(key: Key, batch: Batch) -> Variables:
    """`init` of a method without networks."""
    del key, batch
    return {}


@dataclasses.dataclass(frozen=True)
class Method:
    """One inpainting system: networks, their objectives, and how it completes an image.

    Attributes:
      name: its name in the registry.
      predict: `(variables, key, image, mask, guide) -> stages`: float32 images in
        [-1, 1] by stage (`coarse`, `refined`, ...), always with `completed`, whose
        known pixels are those of `image`. Must not read `image` inside the hole.
      networks: `{network: module}`, empty for untrained methods.
      init: `(key, batch) -> variables`.
      objectives: `{network: fn}` with `fn(params, variables, key, batch, loss_weights)
        -> (scalar, Aux)`; `params` are that network's own and the only thing that gets
        a gradient. Empty when nothing is trained.
      multiple: H and W handed to `predict` must be multiples of this, >= 1.
      min_size: smallest H and W that `predict` takes.
      traceable: whether `predict` may run under `jit`; False for methods that work on
        the host (OpenCV) or size their arrays from the mask (PatchMatch).
      guide_channels: channels G of the guide the method takes; 0 = takes none.
      guide_kind: what they hold: "lines", 0 to 1, 0 outside the hole; or "labels", one
        channel of class numbers for the whole image, `UNKNOWN_LABEL` where nobody
        stated one. A stage called `labels` is such a map, not an image.
      guide_classes: how many classes "labels" tell apart.
      full_size: whether any size is natural to it (fully convolutional or patch based);
        False makes `strategy="auto"` crop or resize to `train_size`.
      monitor: `(variables, image, mask, guide) -> {name: [B]}`, numbers about the
        inside of the networks that the run logs as `health/NAME`; None for none.
      train_size: side in pixels that its networks are made for; None where any will do,
        and the weights' card says at which they were trained.
    """

    name: str
    predict: Predict
    networks: Mapping[str, nn.Module] = dataclasses.field(default_factory=dict)
    init: Callable[[Key, Batch], Variables] = _no_variables
    objectives: Mapping[str, Objective] = dataclasses.field(default_factory=dict)
    multiple: int = 1
    min_size: int = 1
    traceable: bool = True
    guide_channels: int = 0
    guide_kind: str = "lines"
    guide_classes: int = 0
    full_size: bool = True
    monitor: Callable[..., Mapping[str, Array]] | None = None
    train_size: int | None = None

    def inpaint(
        self,
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> Array:
        """The completed image [B, H, W, 3] in [-1, 1]; known pixels equal `image`."""
        return self.predict(variables, key, image, mask, guide)["completed"]

    def compiled_predict(self) -> Predict:
        """`predict` as one program where it may be one; each call compiles anew."""
        return runtime.compiled(self.predict) if self.traceable else self.predict
