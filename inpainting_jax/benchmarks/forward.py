"""Forward passes: images a second of every method with networks, ours and PyTorch's.

DeepFill v2 at its paper's width against the yardstick; the others, at the paper's
preset and size, against the ceilings only. `latent_search` and `neural_patch` search
for minutes instead of passing forward once and are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import jax
import numpy as np

from inpainting_jax.benchmarks import speed_cases, yardstick
from inpainting_jax.benchmarks.speed_cases import Case, Variant
from inpainting_jax.benchmarks.speed_report import OURS
from inpainting_jax.methods import METHODS, Method

COMPARED = ((256, 1), (256, 4), (512, 1))
"""Side and batch of the passes that the yardstick does too."""

OTHERS = (
    "context_encoder",
    "deepfill_v1",
    "global_local",
    "partial_conv",
    "pggan",
    "spg_net",
)
_GAIN = 2.0  # on fresh kernels, so that features neither vanish nor saturate


def paper_method(name: str) -> tuple[Method, int]:
    """A method as its paper's preset builds it, and the side of the images."""
    config = import_module(f"inpainting_jax.configs.{name}").get_config("paper")
    return METHODS[name](**config.model), config.data.image_size


def pictures(batch: int, side: int, method: Method | None = None) -> dict[str, Any]:
    """A batch of noise with a square hole in the centre, a quarter of the area."""
    rng = np.random.default_rng(0)
    found = {
        "image": rng.uniform(-1, 1, (batch, side, side, 3)).astype(np.float32),
        "mask": np.zeros((batch, side, side, 1), np.float32),
    }
    found["mask"][:, side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
    if method is not None and method.guide_channels:
        classes = max(method.guide_classes, 1)
        labels = rng.integers(0, classes, found["mask"].shape)
        found["guide"] = labels.astype(np.float32)
    return found


def fresh_variables(method: Method, side: int, gain: float = _GAIN) -> dict[str, Any]:
    """Variables of a method for images of one side, kernels times `gain`."""
    create = jax.jit(
        method.init, compiler_options={"xla_backend_optimization_level": 0}
    )
    variables = create(jax.random.key(0), pictures(1, side, method))
    return jax.tree.map(lambda x: gain * x if x.ndim == 4 else x, variables)


def compared_case(
    method: Method, variables: Mapping[str, Any], side: int, batch: int
) -> Case:
    """DeepFill v2's generator and, where PyTorch is installed, the yardstick's."""
    data = pictures(batch, side)
    generator = method.networks["generator"]
    call, flops, moved = speed_cases.work(
        lambda own, image, mask: generator.apply(own, image, mask)[0],
        variables["generator"],
        data["image"],
        data["mask"],
    )
    variants = {OURS: Variant(call)}
    if speed_cases.has_torch():
        variants |= yardstick.generator_variants(
            variables["generator"], data["image"], data["mask"]
        )
    name = f"deepfill_v2 {side}x{side} batch {batch}"
    return Case(name, variants, flops, moved)


def other_case(name: str) -> Case:
    """A method's prediction for one image."""
    method, side = paper_method(name)
    variables, data = fresh_variables(method, side, 1.0), pictures(1, side, method)
    call, flops, moved = speed_cases.work(
        lambda own, image, mask, guide: method.predict(
            own, jax.random.key(0), image, mask, guide
        )["completed"],
        variables,
        data["image"],
        data["mask"],
        data.get("guide"),
    )
    return Case(f"{name} {side}x{side} batch 1", {OURS: Variant(call)}, flops, moved)


def cases() -> Iterator[Case]:
    """All cases, one after the other: each frees its programs before the next."""
    method, side = paper_method("deepfill_v2")
    variables = fresh_variables(method, side)
    for side, batch in COMPARED:
        yield compared_case(method, variables, side, batch)
    for name in OTHERS:
        yield other_case(name)


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
    speed_cases.run("forward", cases(), output, repeats, baseline)
