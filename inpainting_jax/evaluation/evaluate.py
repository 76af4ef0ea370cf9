"""Several methods on the same images and holes, measured into one report.

A folder grows by methods: what an earlier run with the same images, holes and metrics
has measured is read back, not computed again. Two rows frame every table: `mean_fill`
(the mean colour of the known pixels) and `ground_truth` (the originals: L1 must be 0).
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from inpainting_jax.evaluation import report_files, set_scores, sheets
from inpainting_jax.evaluation.measuring import Inpaint, Measurement
from inpainting_jax.evaluation.report import MethodResult, Report
from inpainting_jax.evaluation.sets import EvaluationSet
from inpainting_jax.features import pooled_network
from inpainting_jax.metrics import SET_METRICS
from inpainting_jax.version import __version__


def evaluate_inpainters(
    inpainters: Mapping[str, Inpaint],
    evaluation_set: EvaluationSet,
    output: str | os.PathLike,
    *,
    strategy: str = "auto",
    blend: str = "none",
    seed: int = 0,
    metrics: Sequence[str] | None = None,
    inception: str | None = None,
    keep_images: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Report:
    """Completes, measures, and writes the report, its tables, samples and cases.

    Args:
      inpainters: by the name of their row.
      evaluation_set: of `build_set`.
      output: folder of the report; methods measured there before on the same set stay,
        and are taken over where they have not changed.
      strategy: see `Inpainter`.
      blend: see `Inpainter`.
      seed: of the methods, and of the resamples.
      metrics: see `set_scores.choose`.
      inception: file of FID's weights, for metrics on it.
      keep_images: also writes all originals, masks and completed images as PNG, into
        OUTPUT/images, as `launch.study` takes them.
      overwrite: forgets what the folder holds.
      progress: whether to draw a bar.

    Raises:
      ValueError: no methods; the folder holds a report on other images, holes or
        metrics; a metric is unknown, or not for so small or so few images.
      RuntimeError: a method changed known pixels, or the self-test failed.
    """
    if not inpainters:
        raise ValueError("no methods to evaluate; name at least one (--methods=a,b).")
    size, count = evaluation_set.size, len(evaluation_set)
    each, sets = set_scores.choose(size, count, metrics)
    used = dict.fromkeys(SET_METRICS[name].network for name in sets)
    work = Measurement(
        evaluation_set,
        pathlib.Path(output),
        each,
        sets,
        {name: pooled_network(name, inception) for name in used},
        seed,
        keep_images,
        progress,
    )
    results = {} if overwrite else work.earlier()
    rows = {**inpainters, "mean_fill": mean_fill, "ground_truth": None}
    for name, inpainter in rows.items():
        identity = identify(inpainter, strategy=strategy, blend=blend, seed=seed)
        known = results.get(name)
        if known and known.identity == identity and work.has_pictures(name):
            continue
        results[name] = work.measure(name, inpainter, identity)
    _self_test(results["ground_truth"])
    order = [*inpainters, *(n for n in results if n not in rows)]
    order += ["mean_fill", "ground_truth"]
    done = work.gather({name: results[name] for name in order})
    report_files.write(done, work.output)
    sheets.write_sheet(work.output, evaluation_set, order[:-1])
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


def _self_test(result: MethodResult) -> None:
    """The originals against themselves: a wrong value means wrong code."""
    for name, perfect in (("l1", 0.0), ("l2", 0.0), ("psnr", 100.0), ("ssim", 1.0)):
        value = result.values.get(f"{name}_image")
        if value is not None and not np.allclose(value, perfect, atol=1e-5):
            raise RuntimeError(
                f"{name} of the originals against themselves is {value.mean()}, not "
                f"{perfect}; the metrics do not work on this machine."
            )
