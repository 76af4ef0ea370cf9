"""Metrics of completed images, as every table is made.

Each completed image goes through 8 bits once, gets its known pixels back from the
source, and only then is measured, so that files on disk give the numbers in the report.
Names carry the region: `psnr_image` over all pixels, `psnr_hole` inside the hole.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from inpainting_jax import images as image_arrays
from inpainting_jax import runtime
from inpainting_jax.metrics import METRICS, most_scales, region_mask
from inpainting_jax.registry import UnknownNameError

BATCH_PIXELS = 2**19
"""Images are completed and measured together up to this many pixels."""

Predict = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]


def batch_size(height: int, width: int) -> int:
    """Images per batch of a size, at least 1."""
    return max(1, BATCH_PIXELS // (height * width))


def choose_metrics(
    height: int, width: int, wanted: Sequence[str] | None = None
) -> tuple[str, ...]:
    """The metrics of `METRICS` to compute on images of a size.

    Args:
      height: H, pixels.
      width: W, pixels.
      wanted: names; None: all that are not optional, of MS-SSIM the variant with the
        most scales that fit, or none below 41 pixels.

    Raises:
      ValueError: unknown name, or one that is not defined for so small images.
    """
    if wanted is None:
        variant = {5: "ms_ssim", 4: "ms_ssim4", 3: "ms_ssim3"}
        chosen = variant.get(most_scales(height, width))
        wanted = [
            name
            for name, metric in METRICS.items()
            if not metric.optional
            and (not name.startswith("ms_ssim") or name == chosen)
        ]
    for name in wanted:
        if name not in METRICS:
            raise UnknownNameError("metric", name, METRICS)
        if min(height, width) < METRICS[name].min_side:
            fitting = [n for n in METRICS if METRICS[n].min_side <= min(height, width)]
            raise ValueError(
                f"{name} needs sides of at least {METRICS[name].min_side} pixels, the "
                f"images are {height}x{width}; enlarge them (--image_size) or choose "
                f"metrics that fit (--metrics={','.join(fitting)})."
            )
    return tuple(wanted)


def columns(names: Sequence[str]) -> tuple[str, ...]:
    """Names with regions, as columns of the tables: `psnr_image`, `psnr_hole`, ..."""
    return tuple(
        f"{name}_{region}" for name in names for region in METRICS[name].regions
    )


def to_bytes(completed: np.ndarray) -> np.ndarray:
    """uint8 from [-1, 1]: floor(255 x + 0.5) of the clipped unit range."""
    unit = np.clip((np.asarray(completed, np.float32) + 1) / 2, 0, 1)
    return np.floor(255 * unit + 0.5).astype(np.uint8)


def score(
    completed: np.ndarray,
    truth: np.ndarray,
    holes: np.ndarray,
    names: Sequence[str],
) -> dict[str, np.ndarray]:
    """[N] float32 values by column, of images as they would be saved.

    Args:
      completed: [N, H, W, 3] uint8.
      truth: [N, H, W, 3] uint8.
      holes: [N, H, W] uint8, 1 = hole; NaN in the `_hole` columns where it is empty.
      names: metrics.
    """
    count, step = len(completed), batch_size(*completed.shape[1:3])
    step = min(step, count)
    parts = []
    for first in range(0, count, step):
        index = np.arange(first, first + step).clip(max=count - 1)  # one shape for all
        values = _score_batch(
            completed[index], truth[index], holes[index][..., None], tuple(names)
        )
        keep = min(step, count - first)
        parts.append({name: np.asarray(value)[:keep] for name, value in values.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@functools.partial(runtime.compiled, static_argnames="names")
def _score_batch(completed, truth, mask, names):
    values = {}
    for name in names:
        metric = METRICS[name]
        for region in metric.regions:
            values[f"{name}_{region}"] = metric(
                completed, truth, region_mask(region, mask)
            )
    return values


def evaluate_method(
    predict: Predict,
    images: np.ndarray,
    holes: np.ndarray,
    *,
    guides: np.ndarray | None = None,
    metrics: Sequence[str] | None = None,
    size: int | None = None,
) -> dict[str, float]:
    """Means over a fixed set of what a prediction function makes of it.

    For use in training: no files, no intervals.

    Args:
      predict: `(image, mask, guide) -> completed`, [B, H, W, 3] in [-1, 1], 0 in the
        hole; [B, H, W, 1], 1 = hole; all batches have one shape.
      images: [N, H, W, 3] uint8.
      holes: [N, H, W] uint8, 1 = hole.
      guides: [N, H, W, G], handed over with the images; None hands over None.
      metrics: names; None: see `choose_metrics`.
      size: B; None: by the size of the images.

    Returns:
      `{"psnr_hole": ..., ...}`, empty holes left out of their means.
    """
    names = choose_metrics(*images.shape[1:3], metrics)
    count = len(images)
    size = min(count, size or batch_size(*images.shape[1:3]))
    totals = {}
    for first in range(0, count, size):
        index = np.arange(first, first + size).clip(max=count - 1)
        truth, hole = images[index], holes[index]
        mask = hole[..., None].astype(np.float32)
        signed = image_arrays.to_signed(truth)
        guide = None if guides is None else guides[index]
        completed = to_bytes(predict(np.where(mask > 0, 0, signed), mask, guide))
        completed = np.where(mask > 0, completed, truth)
        values = score(completed, truth, hole, names)
        for name, value in values.items():
            totals.setdefault(name, []).append(value[: count - first])
    means = {name: np.concatenate(value) for name, value in totals.items()}
    return {name: _mean(value) for name, value in means.items()}


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are numbers; NaN if none is."""
    numbers = values[~np.isnan(values)].astype(np.float64)
    return float(numbers.mean()) if len(numbers) else float("nan")
