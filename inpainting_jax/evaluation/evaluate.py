"""Several methods on the same images and holes, measured into one report.

A folder grows by methods: what an earlier run with the same images, holes and metrics
has measured is read back, not computed again. Two rows frame every table: `mean_fill`
(the mean colour of the known pixels) and `ground_truth` (the originals: L1 must be 0).
"""

import hashlib
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from inpainting_jax.evaluation import report, sheets
from inpainting_jax.evaluation.report import MethodResult, Report
from inpainting_jax.evaluation.scores import batch_size, choose_metrics, columns, score
from inpainting_jax.evaluation.sets import EvaluationSet
from inpainting_jax.version import __version__

Inpaint = Callable[..., np.ndarray]
"""`(image, mask, *, seed, strategy, blend) -> image`: an `Inpainter`, or the like."""


def evaluate_inpainters(
    inpainters: Mapping[str, Inpaint],
    evaluation_set: EvaluationSet,
    output: str | os.PathLike,
    *,
    strategy: str = "auto",
    blend: str = "none",
    seed: int = 0,
    metrics: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Report:
    """Completes, measures, and writes report.json, tables, per_image.csv, samples.png.

    Args:
      inpainters: by the name of their row.
      evaluation_set: of `build_set`.
      output: folder of the report; methods measured there before on the same set stay,
        and are taken over where they have not changed.
      strategy: see `Inpainter`.
      blend: see `Inpainter`.
      seed: of the methods, and of the resamples.
      metrics: see `choose_metrics`.
      overwrite: forgets what the folder holds.
      progress: whether to draw a bar.

    Raises:
      ValueError: no methods; the folder holds a report on other images, holes or
        metrics; a metric is unknown or too large for the images.
      RuntimeError: a method changed known pixels, or the self-test failed.
    """
    if not inpainters:
        raise ValueError("no methods to evaluate; name at least one (--methods=a,b).")
    height, width = evaluation_set.images.shape[1:3]
    names = choose_metrics(height, width, metrics)
    output = pathlib.Path(output)
    results = {}
    if not overwrite:
        results = report.read_results(output, evaluation_set, columns(names))
    rows = {**inpainters, "mean_fill": mean_fill, "ground_truth": None}
    for name, inpainter in rows.items():
        identity = identify(inpainter, strategy=strategy, blend=blend, seed=seed)
        known = results.get(name)
        if known and known.identity == identity and sheets.has_samples(output, name):
            continue
        results[name] = _measure(
            name, inpainter, evaluation_set, names, identity, output, progress
        )
    _self_test(results["ground_truth"])
    order = [*inpainters, *(n for n in results if n not in rows)]
    order += ["mean_fill", "ground_truth"]
    done = Report(evaluation_set, names, {name: results[name] for name in order}, seed)
    report.write(done, output)
    sheets.write_sheet(output, evaluation_set, order[:-1])
    return done


def mean_fill(image: np.ndarray, mask: np.ndarray, **options: Any) -> np.ndarray:
    """[B, H, W, 3] uint8 with the mean colour of the known pixels in each hole."""
    del options
    known = 1.0 - mask
    total = (image * known).sum((1, 2), keepdims=True)
    mean = total / known.sum((1, 2), keepdims=True)
    return np.where(mask > 0, np.floor(mean + 0.5), image).astype(np.uint8)


def identify(inpainter: Inpaint | None, **settings: Any) -> dict[str, Any]:
    """What decides a method's results: method, weights, build arguments, settings."""
    method = getattr(inpainter, "method", None)
    if method is None:  # a plain function knows no settings
        return {"method": getattr(inpainter, "__name__", ""), "version": __version__}
    card = getattr(inpainter, "card", {})
    return {
        "method": method.name,
        "overrides": {k: str(v) for k, v in sorted(card.get("overrides", {}).items())},
        "weights_sha256": weights_hash(getattr(inpainter, "variables", {})),
        "training_data": str(card.get("data", "")),
        "version": __version__,
        **settings,
    }


def weights_hash(variables: Mapping[str, Any]) -> str:
    """SHA-256 over names, shapes and bytes of all weights; "" if there are none."""
    leaves = jax.tree_util.tree_leaves_with_path(dict(variables))
    if not leaves:
        return ""
    digest = hashlib.sha256()
    for path, leaf in sorted(leaves, key=lambda pair: jax.tree_util.keystr(pair[0])):
        array = np.ascontiguousarray(leaf)
        name = f"{jax.tree_util.keystr(path)}{array.shape}{array.dtype}"
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def complete(
    name: str,
    inpainter: Inpaint,
    evaluation_set: EvaluationSet,
    settings: Mapping[str, Any],
    *,
    progress: bool = False,
) -> np.ndarray:
    """[N, H, W, 3] uint8 completed images; the method sees black in the holes.

    Raises:
      RuntimeError: if known pixels changed.
    """
    truth, holes = evaluation_set.images, evaluation_set.holes[..., None]
    completed = np.empty_like(truth)
    step = batch_size(*truth.shape[1:3])
    with tqdm(total=len(truth), desc=name, unit="image", disable=not progress) as bar:
        for first in range(0, len(truth), step):
            part = slice(first, first + step)
            image = np.where(holes[part] > 0, 0, truth[part]).astype(np.uint8)
            filled = np.asarray(inpainter(image, holes[part], **settings))
            changed = (filled != image) & (holes[part] == 0)
            if filled.dtype != np.uint8 or changed.any():
                raise RuntimeError(
                    f"{name} changed {int(changed.sum())} known values in images "
                    f"{first} to {first + len(image) - 1}; a method must return known "
                    "pixels as they are (is its mask inverted?)."
                )
            completed[part] = filled
            bar.update(len(image))
    return completed


def _measure(
    name: str,
    inpainter: Inpaint | None,
    evaluation_set: EvaluationSet,
    names: tuple[str, ...],
    identity: dict[str, Any],
    output: pathlib.Path,
    progress: bool,
) -> MethodResult:
    """Completes (None: takes the originals), scores, and keeps samples."""
    settings = {k: identity[k] for k in ("strategy", "blend", "seed") if k in identity}
    start = time.perf_counter()
    if inpainter is None:
        completed = evaluation_set.images
    else:
        completed = complete(
            name, inpainter, evaluation_set, settings, progress=progress
        )
    seconds = (time.perf_counter() - start) / len(completed)
    values = score(completed, evaluation_set.images, evaluation_set.holes, names)
    sheets.write_samples(output, name, completed)
    return MethodResult(identity, report.as_written(values), seconds)


def _self_test(result: MethodResult) -> None:
    """The originals against themselves: a wrong value means wrong code."""
    for name, perfect in (("l1", 0.0), ("l2", 0.0), ("psnr", 100.0), ("ssim", 1.0)):
        value = result.values.get(f"{name}_image")
        if value is not None and not np.allclose(value, perfect, atol=1e-5):
            raise RuntimeError(
                f"{name} of the originals against themselves is {value.mean()}, not "
                f"{perfect}; the metrics do not work on this machine."
            )
