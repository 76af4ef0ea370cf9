"""Contextual attention alone, ours and PyTorch's, with the peak memory of each.

Features of 96 channels attend to themselves outside a square hole, in float32, all
options as in DeepFill. The yardstick's "convolution" is what the authors' code and the
ports do, "product" its fastest form; both compiled too. Peaks are taken in a process
of their own, after compilation, over what it held before the first call.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from inpainting_jax.benchmarks import separate, speed_cases, speed_report
from inpainting_jax.benchmarks.speed_cases import Case, Variant
from inpainting_jax.benchmarks.speed_report import OURS, Column
from inpainting_jax.layers import contextual_attention

CHANNELS = 96
CASES = ((64, False), (64, True), (128, False))
"""Side of the features, and whether their gradient is computed too."""

YARDSTICKS = {
    "torch convolution": ("convolution", False),
    "torch convolution, compiled": ("convolution", True),
    "torch product": ("product", False),
    "torch product, compiled": ("product", True),
}
# Its gradient ends PyTorch 2.13 with "free(): invalid next size".
_ABORTS = "torch convolution, compiled"
_COLUMNS = (*speed_report.SPEED, Column("peak MiB", "peak_mib", "{:.0f}"))


def inputs(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features and a cotangent [1, S, S, 96], and a hole [1, S / 2, S / 2, 1]."""
    rng = np.random.default_rng(0)
    shape = (1, side, side, CHANNELS)
    features, cotangent = rng.normal(size=(2, *shape)).astype(np.float32)
    hole = np.zeros((1, side // 2, side // 2, 1), np.float32)
    hole[:, side // 8 : 3 * side // 8, side // 8 : 3 * side // 8] = 1
    # Small enough that several keys share the softmax: rounding stays rounding.
    return 0.1 * np.maximum(features, 0), cotangent, hole


def our_call(side: int, backward: bool) -> tuple[Callable[[], Any], float, float]:
    """Ours: the filled features, or the gradient of their product with a cotangent."""
    features, cotangent, hole = inputs(side)

    def filled(features: jax.Array, hole: jax.Array) -> jax.Array:
        return contextual_attention(features, features, hole)[0]

    def gradient(features: jax.Array, hole: jax.Array, cotangent: jax.Array):
        return jax.vjp(lambda x: filled(x, hole), features)[1](cotangent)[0]

    if backward:
        return speed_cases.work(gradient, features, hole, cotangent)
    return speed_cases.work(filled, features, hole)


def torch_call(
    side: int, backward: bool, *, form: str, compiled: bool
) -> Callable[[], Any]:
    """The yardstick's, in one of its forms."""
    import torch

    from inpainting_jax.benchmarks import torch_attention, torch_deepfill_v2

    arrays = inputs(side)
    features, cotangent, hole = (torch_deepfill_v2.to_planes(x) for x in arrays)
    attend = functools.partial(torch_attention.contextual_attention, form=form)
    if compiled:
        attend = torch.compile(attend, dynamic=False)

    def filled() -> Any:
        with torch.no_grad():
            return attend(features, features, hole)

    def gradient() -> Any:
        own = features.detach().requires_grad_(True)
        attend(own, own, hole).backward(cotangent)
        return own.grad

    return gradient if backward else filled


def build(name: str, side: int, backward: bool) -> Callable[[], Any]:
    """The call of a variant by its name."""
    if name == OURS:
        return our_call(side, backward)[0]
    form, compiled = YARDSTICKS[name]
    return torch_call(side, backward, form=form, compiled=compiled)


def peak(name: str, side: int, backward: bool) -> float:
    """Peak MiB of one call of a variant, over what the process held before the first.

    For a process of its own (`separate.call`).
    """
    variant = build(name, side, backward)
    before = separate.resident_bytes()
    variant()
    separate.reset_peak()
    variant()
    return (separate.peak_bytes() - before) / 2**20


def case(side: int, backward: bool) -> Case:
    """One size, forward or forward and backward."""
    call, flops, moved = our_call(side, backward)
    variants = {OURS: Variant(call)}
    if speed_cases.has_torch():
        from inpainting_jax.benchmarks.torch_deepfill_v2 import to_images

        for name in YARDSTICKS:
            if backward and name == _ABORTS:
                continue
            variants[name] = Variant(build(name, side, backward), to_images)
    return Case(_name(side, backward), variants, flops, moved)


def cases() -> Iterator[Case]:
    """All cases, one after the other."""
    for side, backward in CASES:
        yield case(side, backward)


def add_peaks(rows: Sequence[dict[str, Any]]) -> None:
    """Adds `peak_mib` to every row."""
    sizes = {_name(*chosen): chosen for chosen in CASES}
    for row in rows:
        side, backward = sizes[row["case"]]
        row["peak_mib"] = separate.call(
            "inpainting_jax.benchmarks.attention:peak",
            name=row["variant"],
            side=side,
            backward=backward,
        )


def _name(side: int, backward: bool) -> str:
    direction = "forward and backward" if backward else "forward"
    return f"attention {side}x{side}x{CHANNELS} {direction}"


def run(
    *, output: str, data: Sequence[str], count: int, repeats: int, baseline: str = ""
) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    Args:
      output: folder to write to.
      data: not used: noise serves.
      count: not used.
      repeats: timed rounds.
      baseline: an earlier `report.json` of this suite, or "".
    """
    del data, count
    speed_cases.run(
        "attention",
        cases(),
        output,
        repeats,
        baseline,
        columns=_COLUMNS,
        finish=add_peaks,
    )
