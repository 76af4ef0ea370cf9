"""Partial, gated and plain convolutions in one U-Net, trained alike, judged alike.

The U-Net of `partial_conv:tiny` with three kinds of convolutions; the gated one is
narrower, so that all three have 1.64 million parameters and the same products to do.
Gated and plain convolutions see the mask as a fourth channel. Each kind is trained
from several seeds (`--repeats`) on the preset's holes and completes the same held-out
images in the same irregular holes. A run that is cut off goes on where it stopped.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from inpainting_jax import masks
from inpainting_jax.benchmarks import timing
from inpainting_jax.configs import partial_conv
from inpainting_jax.data import eval_images, open_source
from inpainting_jax.evaluation.predict import load
from inpainting_jax.evaluation.scores import score
from inpainting_jax.training.loop import train

WIDTHS = {"partial": 24, "gated": 17, "plain": 24}
SCORES = ("psnr_hole", "ssim_hole", "l1_hole")

_INITIAL, _FINETUNE = 400, 100  # steps; in the preset's ratio
_SAMPLES = 6


def config_of(kind: str, seed: int, source: str) -> ConfigDict:
    """The run of one kind and seed."""
    config = partial_conv.get_config("tiny")
    config.seed = seed
    config.data.source = source
    config.model.convolution = kind
    config.model.width = WIDTHS[kind]
    config.phases.initial.steps = _INITIAL
    config.phases.finetune.steps = _FINETUNE
    config.optimizers.generator.learning_rate.boundaries = (_INITIAL,)
    config.evaluation.every = config.sample_every = _INITIAL + _FINETUNE
    return config


def measure(
    workdir: pathlib.Path, images: np.ndarray, holes: np.ndarray
) -> tuple[dict[str, Any], np.ndarray]:
    """Mean scores of a run's network, its parameters; and the completed images.

    Args:
      workdir: of the run.
      images: [N, H, W, 3] uint8.
      holes: [N, H, W] uint8, 1 = hole.
    """
    fill = load("partial_conv", workdir)
    completed = np.asarray(fill(images, holes, strategy="full"))
    values = score(completed, images, holes, ("psnr", "ssim", "l1"))
    row = {name: float(np.nanmean(values[name])) for name in SCORES}
    leaves = jax.tree.leaves(fill.variables["generator"]["params"])
    return {**row, "parameters": sum(leaf.size for leaf in leaves)}, completed


def table(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """A row per kind: mean over the seeds, and in brackets the lowest and highest."""
    lines = [
        f"| convolutions | parameters | {' | '.join(SCORES)} |",
        "|---" * (len(SCORES) + 2) + "|",
    ]
    for kind, runs in results.items():
        cells = [f"{next(iter(runs.values()))['parameters']:,}"]
        for name in SCORES:
            values = [run[name] for run in runs.values()]
            digits = 2 if name.startswith("psnr") else 4
            mean, low, high = (
                f"{value:.{digits}f}"
                for value in (np.mean(values), min(values), max(values))
            )
            cells.append(f"{mean} ({low} to {high})")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def run(*, output: str, data: Sequence[str], count: int, repeats: int) -> None:
    """Trains, measures; writes `report.json`, `table.md`, `samples.png` and the runs.

    Args:
      output: folder; the runs are kept in its folder `runs`.
      data: SPEC of the images to train on and SPEC of those to judge by; none: the
        installed photographs, of which some are held out.
      count: held-out images at most.
      repeats: seeds of each kind.

    Raises:
      ValueError: one SPEC, or more than two.
    """
    if len(data) not in (0, 2):
        raise ValueError(
            "the suite convolutions needs --data twice (to train on, to judge by) or "
            f"not at all, got {len(data)}"
        )
    source, held_out = data or ("photos", "photos:validation")
    folder = pathlib.Path(output)
    side = config_of("partial", 0, source).data.image_size
    named = eval_images(open_source(held_out), side, count)
    images = np.stack([image for _, image in named])
    holes, digest = masks.fixed_set("irregular", 0, len(images), side, side)
    holes = (holes > 0).astype(np.uint8)
    results: dict[str, dict[str, Any]] = {kind: {} for kind in WIDTHS}
    samples = [np.where(holes[..., None] > 0, 128, images).astype(np.uint8)]
    for seed in range(repeats):
        for kind in WIDTHS:
            workdir = folder / "runs" / f"{kind}-{seed}"
            train(config_of(kind, seed, source), workdir)
            results[kind][str(seed)], completed = measure(workdir, images, holes)
            if not seed:
                samples.append(completed)
    samples.append(images)
    report = {
        "machine": timing.machine(),
        "data": [source, held_out],
        "images": [name for name, _ in named],
        "mask_hash": digest,
        "steps": _INITIAL + _FINETUNE,
        "results": results,
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    (folder / "table.md").write_text("\n".join(table(results)) + "\n")
    rows = [np.concatenate(row[:_SAMPLES], axis=1) for row in samples]
    Image.fromarray(np.concatenate(rows)).save(folder / "samples.png")
