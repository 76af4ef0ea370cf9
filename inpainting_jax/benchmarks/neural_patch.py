"""Whether the texture stage of `neural_patch` sharpens what its content network fills.

Of every picture a square of half its side is missing. Fills are scored inside of it:
LPIPS of the square itself, PSNR and SSIM of its pixels. `--weights` names a run of
`launch.train` or a .safetensors file, and with it the options of the texture stage.
"""

import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from inpainting_jax import metrics
from inpainting_jax.benchmarks import pictures, timing
from inpainting_jax.benchmarks.patchmatch_report import compare
from inpainting_jax.evaluation.inpainter import Inpainter
from inpainting_jax.evaluation.predict import load
from inpainting_jax.images import to_unit

STAGES = ("content", "completed")
SCORES = ("lpips_alex", "lpips_vgg", "psnr", "ssim")

_SIDE = 256


def square(side: int) -> np.ndarray:
    """[side, side] bool: the centred square of half the side."""
    hole = np.zeros((side, side), bool)
    first = side // 4
    hole[first : first + side // 2, first : first + side // 2] = True
    return hole


def score(truth: np.ndarray, completed: np.ndarray, hole: np.ndarray) -> list[float]:
    """`SCORES` inside the hole.

    Args:
      truth: [H, W, 3] in [0, 1].
      completed: [H, W, 3] in [0, 1].
      hole: [H, W] bool.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    box = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ours, theirs = completed[None].astype(np.float32), truth[None].astype(np.float32)
    similarity = np.asarray(metrics.ssim_map(theirs, ours))[0]
    mask = hole[None, :, :, None].astype(np.float32)
    return [
        float(metrics.lpips(theirs[box], ours[box])[0]),
        float(metrics.lpips(theirs[box], ours[box], network="vgg16")[0]),
        float(metrics.psnr(theirs, ours, mask)[0]),
        float(similarity[hole].mean()),
    ]


def measure(
    fill: Inpainter, named: Sequence[tuple[str, np.ndarray]]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Scores by stage, one list of `SCORES` a picture, seconds, and rows of samples."""
    scores: dict[str, list] = {stage: [] for stage in STAGES}
    seconds, rows = [], []
    for _, image in named:
        hole = square(len(image))
        start = time.perf_counter()
        stages = fill.predict(image, hole)
        seconds.append(time.perf_counter() - start)
        row = [np.where(hole[..., None], 128, image).astype(np.uint8)]
        for stage in STAGES:
            completed = np.clip(to_unit(stages[stage]), 0, 1)
            scores[stage].append(score(to_unit(image), completed, hole))
            row.append(np.rint(completed * 255).astype(np.uint8))
        rows.append(np.concatenate([*row, image], axis=1))
    return {"scores": scores, "seconds": seconds}, rows


def table(report: Mapping[str, Any]) -> list[str]:
    """Means of both stages, the ratio of their LPIPS with 95 % intervals, and wins."""
    content, completed = (np.asarray(report["scores"][stage]) for stage in STAGES)
    lines = [
        f"| {len(content)} pictures, inside the hole | {' | '.join(SCORES)} |",
        "|---" * (len(SCORES) + 1) + "|",
    ]
    for name, values in (("content network", content), ("after texture", completed)):
        cells = " | ".join(f"{value:.3f}" for value in values.mean(axis=0))
        lines.append(f"| {name} | {cells} |")
    lines.append("")
    for index, name in enumerate(SCORES[:2]):
        found = compare(completed[:, index], content[:, index], ratio=True)
        wins = int((completed[:, index] < content[:, index]).sum())
        lines.append(
            f"{name}: {found['value']:.3f} times the content network's"
            f" ({found['low']:.3f} to {found['high']:.3f}), lower on {wins} of"
            f" {len(content)}."
        )
    return lines


def run(
    *,
    output: str,
    data: Sequence[str],
    count: int,
    repeats: int,
    weights: Sequence[str] = (),
) -> None:
    """Measures and writes `report.json`, `table.md` and `samples.png`.

    Args:
      output: folder.
      data: SPECs of pictures, `count` of each; none: the installed photographs.
      count: pictures of each SPEC.
      repeats: not used: every picture is completed once.
      weights: one run or file of `neural_patch`.

    Raises:
      ValueError: none or several weights.
    """
    del repeats
    if len(weights) != 1:
        raise ValueError(
            "the suite neural_patch needs --weights once: a --workdir of launch.train"
            " --config=inpainting_jax/configs/neural_patch.py, or its .safetensors file"
        )
    fill = load("neural_patch", weights[0])
    if fill.method.traceable:  # trained with features="none": it has content alone
        fill = load("neural_patch", weights[0], features="vgg16")
    named = [] if data else pictures.photographs(_SIDE)
    for spec in data:
        named += pictures.folder_crops(spec, count, side=_SIDE)
    measured, rows = measure(fill, named)
    report = {
        "machine": timing.machine(),
        "weights": fill.card,
        "pictures": [name for name, _ in named],
        **measured,
    }
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1, default=str))
    machine = report["machine"]
    first = (
        f"{machine['processor']}, {machine['cores']} cores, JAX {machine['jax']}, load"
        f" {machine['load']:.1f} at the end; {np.median(measured['seconds']):.0f} s a"
        " picture (median, wall)."
    )
    (folder / "table.md").write_text("\n".join([first, "", *table(report)]) + "\n")
    widest = max(row.shape[1] for row in rows)
    sheet = [np.pad(r, ((0, 2), (0, widest - r.shape[1]), (0, 0))) for r in rows]
    Image.fromarray(np.concatenate(sheet)).save(folder / "samples.png")
