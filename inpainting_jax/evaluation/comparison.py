"""From words to an evaluation: methods, weights, data and masks by name."""

import os
import pathlib
import re
from collections.abc import Mapping, Sequence

from inpainting_jax.data import open_source
from inpainting_jax.evaluation import plots
from inpainting_jax.evaluation.evaluate import evaluate_inpainters
from inpainting_jax.evaluation.predict import load
from inpainting_jax.evaluation.report import REFERENCES, Report
from inpainting_jax.evaluation.sets import SourceImages, build_set
from inpainting_jax.methods import METHODS

VIEWS = {
    "crop": "largest centre square, Pillow bicubic with antialias",
    "resize": "whole image squashed to a square, Pillow bicubic with antialias",
}
"""How images are brought to size, by `fit`, as reports record it."""


def compare(
    methods: Sequence[str],
    data: str,
    masks: str,
    output: str | os.PathLike,
    *,
    weights: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    inception: str | None = None,
    image_size: int = 256,
    count: int = 100,
    seed: int = 0,
    fit: str = "crop",
    strategy: str = "auto",
    blend: str = "none",
    keep_images: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Report:
    """Evaluates methods by name into a folder; see `evaluate_inpainters`, and plots.

    Args:
      methods: `METHOD` or `LABEL=METHOD`.
      data: data SPEC; its validation split unless it names one.
      masks: mask SPEC.
      output: folder.
      weights: `LABEL=WEIGHTS`, for methods that do not take the shipped ones.
      metrics: names of `metrics.METRICS` and `SET_METRICS`, or `standard`; None: all
        per image that fit the size and need no weights.
      inception: file of FID's weights, for metrics on it.
      image_size: side of the images, pixels.
      count: how many images, spread evenly over the source; fewer if it holds fewer.
      seed: of the holes, the methods and the intervals.
      fit: `crop` (centre square) or `resize` (the whole image, squashed).
      strategy: see `Inpainter`.
      blend: see `Inpainter`.
      keep_images: see `evaluate_inpainters`.
      overwrite: forgets what the folder holds.
      progress: whether to draw bars.

    Raises:
      ValueError: unknown method, data, mask or metric, and all of
        `evaluate_inpainters`.
    """
    rows = parse_methods(methods)
    files = _parse_weights(weights, rows)
    images = SourceImages(open_source(data), image_size, count, fit=fit)
    chosen = build_set(images, masks, seed=seed, data=data, preprocessing=VIEWS[fit])
    report = evaluate_inpainters(
        {label: load(method, files.get(label)) for label, method in rows.items()},
        chosen,
        output,
        strategy=strategy,
        blend=blend,
        seed=seed,
        metrics=metrics,
        inception=inception,
        keep_images=keep_images,
        overwrite=overwrite,
        progress=progress,
    )
    plots.write(report, pathlib.Path(output))
    return report


def parse_methods(methods: Sequence[str]) -> dict[str, str]:
    """`{label: method}` from `METHOD` and `LABEL=METHOD`; checked against `METHODS`."""
    rows = {}
    for text in filter(None, (text.strip() for text in methods)):
        label, _, method = text.rpartition("=")
        label = label or method
        METHODS.where(method)
        if not re.fullmatch(r"[\w.-]+", label):
            raise ValueError(
                f"label {label!r} may hold letters, digits, '_', '.', '-'."
            )
        if label in rows or label in REFERENCES:
            raise ValueError(
                f"the row {label!r} exists already; name another with LABEL={method}."
            )
        rows[label] = method
    if not rows:
        raise ValueError(f"no methods named; known: {', '.join(METHODS)}.")
    return rows


def _parse_weights(weights: Sequence[str], rows: Mapping[str, str]) -> dict[str, str]:
    files = {}
    for text in weights:
        label, equals, path = text.partition("=")
        if not equals or label not in rows:
            raise ValueError(
                f"--weights={text} must read LABEL=WEIGHTS with a row of --methods "
                f"({', '.join(rows)})."
            )
        files[label] = path
    return files
