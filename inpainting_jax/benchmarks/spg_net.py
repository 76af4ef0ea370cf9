"""What SPG-Net's labels are worth: the same painter, told other label maps.

For each run: mean IoU and pixel accuracy of labels inside the hole, and PSNR, SSIM and
LPIPS of the image painted by them. The rows are sources of labels:

  predicted   the segmenter's labels outside the hole, SP-Net's inside (the paper's)
  completed   the true labels outside, SP-Net's inside
  nearest     the true labels outside, each hole pixel the label of the nearest known
  oracle      the true labels everywhere
  unguided    no labels: the same network, told nothing
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from scipy import ndimage

from inpainting_jax import masks
from inpainting_jax.benchmarks import timing
from inpainting_jax.benchmarks.patchmatch_report import compare
from inpainting_jax.data import eval_views, open_source
from inpainting_jax.evaluation.inpainter import Inpainter
from inpainting_jax.evaluation.predict import load
from inpainting_jax.evaluation.scores import batch_size, score, to_bytes
from inpainting_jax.features import MissingWeightsError, lpips_weights
from inpainting_jax.images import to_signed
from inpainting_jax.metrics import confusion, mean_iou, pixel_accuracy
from inpainting_jax.types import UNKNOWN_LABEL

MODES = ("predicted", "completed", "nearest", "oracle", "unguided")
_PAINTED = ("psnr_hole", "ssim_hole", "lpips_alex_image")


def nearest_labels(labels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The label map with each hole pixel given the label of the nearest known one.

    Args:
      labels: [H, W] class numbers; unknown ones are filled like the hole.
      hole: [H, W], 1 = hole.
    """
    blocked = (hole > 0) | (labels == UNKNOWN_LABEL)
    if blocked.all():
        return np.full_like(labels, UNKNOWN_LABEL)
    _, (rows, columns) = ndimage.distance_transform_edt(blocked, return_indices=True)
    return labels[rows, columns]


def guides_of(labels: np.ndarray, holes: np.ndarray) -> dict[str, np.ndarray]:
    """The label maps [N, H, W] that each mode hands over, of true ones and holes."""
    unknown = np.full_like(labels, UNKNOWN_LABEL)
    pairs = zip(labels, holes, strict=True)
    return {
        "predicted": unknown,
        "completed": np.where(holes > 0, unknown, labels),
        "nearest": np.stack([nearest_labels(own, hole) for own, hole in pairs]),
        "oracle": labels,
        "unguided": np.where(holes > 0, unknown, labels),
    }


def measure(
    fills: Mapping[str, Inpainter],
    images: np.ndarray,
    labels: np.ndarray,
    holes: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """Figures by mode: lists over images of the painting, numbers of the labels.

    Args:
      fills: an inpainter by mode.
      images: [N, H, W, 3] uint8.
      labels: [N, H, W] uint8 true class numbers, `UNKNOWN_LABEL` where there is none.
      holes: [N, H, W] uint8, 1 = hole.
    """
    names = ["psnr", "ssim"]
    if has_lpips():
        names.append("lpips_alex")
    result = {}
    for mode, guide in guides_of(labels, holes).items():
        if mode not in fills:
            continue
        fill = fills[mode]
        completed, found = run_batches(fill, images, holes, guide)
        completed = np.where(holes[..., None] > 0, completed, images)
        values = score(completed, images, holes, names)
        row: dict[str, Any] = {
            name: values[name].tolist() for name in _PAINTED if name in values
        }
        if mode not in ("oracle", "unguided"):
            void = fill.card.get("overrides", {}).get("void_class", -1)
            counts = confusion(labels, found, fill.method.guide_classes, mask=holes)
            ignore = () if void < 0 else (void,)
            row["mean_iou"] = mean_iou(counts, ignore=ignore)
            row["accuracy"] = pixel_accuracy(counts, ignore=ignore)
        result[mode] = row
    return result


def has_lpips() -> bool:
    """Whether LPIPS can be computed here."""
    try:
        lpips_weights("alexnet")
    except MissingWeightsError:
        return False
    return True


def run_batches(
    fill: Inpainter, images: np.ndarray, holes: np.ndarray, guides: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Completed images [N, H, W, 3] and label maps [N, H, W], both uint8."""
    predict, key = fill.method.compiled_predict(), jax.random.key(0)
    step = min(len(images), batch_size(*images.shape[1:3]))
    completed, labels = [], []
    for first in range(0, len(images), step):
        index = np.arange(first, first + step).clip(max=len(images) - 1)
        mask = holes[index][..., None].astype(np.float32)
        image = np.where(mask > 0, np.float32(0), to_signed(images[index]))
        guide = guides[index][..., None].astype(np.float32)
        stages = predict(fill.variables, key, image, mask, guide)
        completed.append(to_bytes(np.asarray(stages["completed"])))
        labels.append(np.asarray(stages["labels"])[..., 0].astype(np.uint8))
    count = len(images)
    return np.concatenate(completed)[:count], np.concatenate(labels)[:count]


def load_modes(weights: str) -> dict[str, Inpainter]:
    """An inpainter by mode; a run trained without guidance has one mode only."""
    guided = load("spg_net", weights)
    if not guided.card["overrides"].get("guidance", True):
        return {"unguided": guided}
    unguided = load("spg_net", weights, guidance=False)
    return {mode: unguided if mode == "unguided" else guided for mode in MODES}


def read_views(spec: str, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, S, S, 3] and label maps [N, S, S] of a data SPEC.

    Raises:
      ValueError: an image without a label map.
    """
    views = eval_views(open_source(spec), side, count)
    for view in views:
        if "label_map" not in view:
            raise ValueError(
                f"the image {view['name']} of {spec!r} has no label map: make a data "
                "set with python -m launch.prepare --labels=DIR"
            )
    images, labels = ([view[k] for view in views] for k in ("image", "label_map"))
    return np.stack(images), np.stack(labels)


def hole_specs(side: int) -> dict[str, str]:
    """Mask SPECs: the paper's box of 1/8 to 1/2 of the sides, and the centre."""
    return {"box": f"box(shrink={3 * side // 16})", "centre": "center"}


def run(
    *,
    output: str,
    data: Sequence[str],
    count: int,
    repeats: int,
    weights: Sequence[str] = (),
) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    Args:
      output: folder to write to.
      data: SPECs of labelled images that no run has seen.
      count: images of each.
      repeats: unused: nothing is timed.
      weights: workdirs or .safetensors files of `spg_net`, one table each; of runs with
        `guidance=False` too.

    Raises:
      ValueError: no data, no weights, or data without label maps.
    """
    del repeats
    if not data or not weights:
        raise ValueError(
            "the suite spg_net needs labelled data and a run: --data=tfds_dir:DIR"
            ":validation --weights=WORKDIR"
        )
    report: dict[str, Any] = {"machine": timing.machine(), "results": {}}
    for path in weights:
        fills = load_modes(path)
        side = next(iter(fills.values())).card.get("train_size", 128)
        for spec in data:
            images, labels = read_views(spec, count, side)
            for kind, holes_spec in hole_specs(side).items():
                holes, _ = masks.fixed_set(holes_spec, 0, len(images), side, side)
                holes = (holes > 0).astype(np.uint8)
                name = f"{path}, {spec} ({len(images)} images, {side} px), {kind}"
                report["results"][name] = measure(fills, images, labels, holes)
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    (folder / "table.md").write_text("\n".join(tables(report["results"])) + "\n")


def tables(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A table per run, data set and kind of hole; differences with 95 % intervals."""
    lines = []
    for name, modes in results.items():
        lines += [
            f"{name}:",
            "",
            "| labels | mean IoU | accuracy | PSNR hole | SSIM hole | LPIPS"
            " | PSNR less unguided |",
            "|---" * 7 + "|",
        ]
        for mode, row in modes.items():
            cells = [_number(row.get(key), 3) for key in ("mean_iou", "accuracy")]
            cells += [
                _number(np.nanmean(row[key]) if key in row else None, digits)
                for key, digits in zip(_PAINTED, (2, 3, 4), strict=True)
            ]
            cells.append(_gain(row, modes.get("unguided")))
            lines.append(f"| {mode} | {' | '.join(cells)} |")
        lines.append("")
    return lines


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _gain(row: Mapping[str, Any], unguided: Mapping[str, Any] | None) -> str:
    """Paired difference of PSNR with its interval; nothing to compare with: empty."""
    if unguided is None or row is unguided:
        return ""
    pair = (np.asarray(one["psnr_hole"]) for one in (row, unguided))
    found = compare(*pair, ratio=False)
    return f"{found['value']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"
