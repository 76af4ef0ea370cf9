"""How much memory a training step and a large picture take.

Steps: the compiler's own account of the program of one device (arguments, results and
temporaries), as `--dry_run` prints it; nothing is run. Pictures: the peak of a process
that completes one, over what it held before, compilation included.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from inpainting_jax.benchmarks import scaling, separate, speed_report
from inpainting_jax.benchmarks.speed_report import Column
from inpainting_jax.training import dry_run

STEPS = (
    ("deepfill_v2", 256, 2),
    ("deepfill_v2", 256, 4),
    ("deepfill_v2", 512, 2),
    ("partial_conv", 256, 2),
    ("global_local", 256, 2),
    ("context_encoder", 128, 16),
)
"""Method, side and batch; networks as in the paper's preset."""

PICTURES = (
    ("deepfill_v2", 2048, "tile"),
    ("deepfill_v2", 2048, "crop"),
    ("patchmatch", 2048, "full"),
)
"""Method, side and strategy of `inpaint`."""

_COLUMNS = (
    Column("what", "case"),
    Column("variant", "variant"),
    Column("peak MiB", "peak_mib", "{:.1f}"),
    Column("of which state MiB", "state_mib", "{:.1f}"),
)


def step(method: str, side: int, batch: int) -> dict[str, float]:
    """Peak and state of the last phase's step in MiB; for a process of its own."""
    config = import_module(f"inpainting_jax.configs.{method}").get_config("paper")
    config.data.image_size, config.batch_size = side, batch
    state, compiled = scaling.compiled_step(config)
    return {
        "peak_mib": dry_run.peak_bytes(compiled) / 2**20,
        "state_mib": scaling.size_of(state) / 2**20,
    }


def picture(method: str, side: int, strategy: str) -> float:
    """Peak MiB of completing one picture; for a process of its own.

    The hole is a square of an eighth of the side, in the centre.
    """
    import inpainting_jax as ij

    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    mask = np.zeros((side, side), np.uint8)
    start, end = 7 * side // 16, 9 * side // 16
    mask[start:end, start:end] = 255
    before = separate.resident_bytes()
    ij.inpaint(image, mask, method=method, strategy=strategy)
    return (separate.peak_bytes() - before) / 2**20


def run(
    *, output: str, data: Sequence[str], count: int, repeats: int, baseline: str = ""
) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    Args:
      output: folder to write to.
      data: not used: noise serves.
      count: not used.
      repeats: not used: programs are read, pictures completed once.
      baseline: an earlier `report.json` of this suite, or "".
    """
    del data, count, repeats
    rows: list[dict[str, Any]] = []
    for method, side, batch in STEPS:
        found = separate.call(f"{__name__}:step", method=method, side=side, batch=batch)
        case = f"{method} step {side}x{side} batch {batch}"
        rows.append({"case": case, "variant": "compiled program", **found})
    for method, side, strategy in PICTURES:
        peak = separate.call(
            f"{__name__}:picture", method=method, side=side, strategy=strategy
        )
        case = f"{method} inpaint {side}x{side}, {strategy}"
        rows.append({"case": case, "variant": "process", "peak_mib": peak})
    speed_report.write(
        output,
        "memory",
        rows,
        columns=_COLUMNS,
        compared="peak_mib",
        notes=["Steps: networks of the paper's preset, float32, of its last phase."],
        baseline=baseline,
    )
