"""A report on disk: report.json, per_image.csv, table.csv, table.md.

Everything derives from per_image.csv, where numbers have nine digits; a later run reads
them back. Apart from `created` and the timings, two runs write the same bytes.
"""

import csv
import dataclasses
import datetime
import importlib.metadata
import io
import json
import math
import os
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from inpainting_jax.evaluation import statistics
from inpainting_jax.evaluation.scores import columns
from inpainting_jax.evaluation.sets import EvaluationSet, describe_holes
from inpainting_jax.evaluation.tables import markdown
from inpainting_jax.masks import BUCKETS, OTHER
from inpainting_jax.metrics import METRICS
from inpainting_jax.metrics.pixel import MIN_SQUARE
from inpainting_jax.version import __version__

SCHEMA = 1
REFERENCES = ("mean_fill", "ground_truth")
"""Rows that frame a table and do not compete."""

_HOLE_COLUMNS = ("ratio", "radius", "bucket", "border")


@dataclasses.dataclass(frozen=True)
class MethodResult:
    """What one method made of the set.

    Attributes:
      identity: method, weights, settings: equal identities give equal values.
      values: [N] by column, as they are written.
      seconds: per image, completion alone, compilation included.
    """

    identity: dict[str, Any]
    values: dict[str, np.ndarray]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Report:
    """Results of several methods on one set.

    Attributes:
      evaluation_set: images and holes.
      metrics: names, without regions.
      results: by name of the row.
      seed: of the resamples.
    """

    evaluation_set: EvaluationSet
    metrics: tuple[str, ...]
    results: Mapping[str, MethodResult]
    seed: int

    def groups(self) -> dict[str, np.ndarray]:
        """[N] bool by group: `all`, buckets, `border`, `inner`, and their crossings."""
        holes = describe_holes(self.evaluation_set.holes)
        bucket = np.array(holes["bucket"])
        border = np.array(holes["border"])
        sides = {"border": border, "inner": ~border}
        groups = {"all": np.ones(len(bucket), bool)}
        groups |= {name: bucket == name for name in (*BUCKETS, OTHER)}
        groups |= sides
        for name in BUCKETS:
            groups |= {f"{name}/{s}": (bucket == name) & sides[s] for s in sides}
        return {name: chosen for name, chosen in groups.items() if chosen.any()}

    def summary(self) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
        """`{method: {group: {column: {n, mean, median, lo, hi, ...}}}}`."""
        names = columns(self.metrics)
        caps = [METRICS[name.rsplit("_", 1)[0]].cap for name in names]
        caps = np.array([np.nan if cap is None else cap for cap in caps])
        table = np.stack([self._table(method) for method in self.results], axis=1)
        summary = {method: {} for method in self.results}
        for group, chosen in self.groups().items():
            part = table[chosen]
            flat = part.reshape(len(part), -1)  # one set of resamples for all methods
            caps_of_all = np.tile(caps, len(self.results))
            rows = statistics.summarise(flat, caps_of_all, self.seed)
            for m, method in enumerate(self.results):
                own = rows[m * len(names) : (m + 1) * len(names)]
                columns_of_group = dict(zip(names, own, strict=True))
                _add_psnr_of_means(columns_of_group)
                summary[method][group] = columns_of_group
        return summary

    def pairs(self) -> list[dict[str, Any]]:
        """Paired comparisons of all methods but the references."""
        names = columns(self.metrics)
        better = {
            name: METRICS[name.rsplit("_", 1)[0]].higher_is_better for name in names
        }
        better = {name: up for name, up in better.items() if up is not None}
        methods = [m for m in self.results if m not in REFERENCES]
        tables = {method: self._table(method) for method in methods}
        return statistics.compare_pairs(tables, names, better, self.seed)

    def _table(self, method: str) -> np.ndarray:
        values = self.results[method].values
        return np.stack([values[name] for name in columns(self.metrics)], axis=1)


def _add_psnr_of_means(rows: dict[str, dict[str, Any]]) -> None:
    """Puts `of_mean_l2` beside mean PSNR: the PSNR of the mean square, never larger.

    The field reports the first; some tables hold the second.
    """
    for region in ("image", "hole"):
        if f"psnr_{region}" in rows and f"l2_{region}" in rows:
            square = rows[f"l2_{region}"]["mean"]
            value = -10 * math.log10(max(square, MIN_SQUARE))
            rows[f"psnr_{region}"]["of_mean_l2"] = value


def as_written(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values as per_image.csv will give them back."""
    return {
        name: np.array([float(f"{v:.9g}") for v in column])
        for name, column in values.items()
    }


def write(report: Report, output: pathlib.Path) -> None:
    """Writes the four files of a report; each appears in full or not at all."""
    output.mkdir(parents=True, exist_ok=True)
    summary, pairs = report.summary(), report.pairs()
    _replace(output / "per_image.csv", _per_image(report))
    _replace(output / "table.csv", _long_table(summary))
    _replace(output / "table.md", markdown(report, summary, pairs, REFERENCES))
    document = _document(report, summary, pairs)
    text = json.dumps(_plain(document), sort_keys=True, indent=1, allow_nan=False)
    _replace(output / "report.json", text + "\n")


def read_results(
    output: pathlib.Path, evaluation_set: EvaluationSet, names: tuple[str, ...]
) -> dict[str, MethodResult]:
    """The results that a folder holds, by method; {} if it holds no report.

    Raises:
      ValueError: if they are on other images, holes or metrics, or damaged.
    """
    file = output / "report.json"
    if not file.is_file():
        return {}
    remedy = "give another --output, or --overwrite to forget the earlier results"
    try:
        document = json.loads(file.read_text())
        found = {
            "images": document["data"]["images_sha256"],
            "masks": document["masks"]["sha256"],
            "metrics": document["columns"],
        }
        rows = list(csv.DictReader(io.StringIO((output / "per_image.csv").read_text())))
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{file} cannot be continued ({error!r}); {remedy}."
        ) from error
    wanted = {
        "images": evaluation_set.images_sha256,
        "masks": evaluation_set.masks_sha256,
        "metrics": list(names),
    }
    other = [name for name in wanted if wanted[name] != found[name]]
    if other:
        raise ValueError(
            f"{output} holds a report on other {' and '.join(other)}, whose numbers "
            f"cannot stand beside these; {remedy}."
        )
    results = {}
    for method, identity in document["methods"].items():
        own = [row for row in rows if row["method"] == method]
        if len(own) != len(evaluation_set):
            raise ValueError(
                f"{output}/per_image.csv lacks rows of {method}; {remedy}."
            )
        values = {
            name: np.array([float(row[name] or "nan") for row in own]) for name in names
        }
        seconds = document["seconds_per_image"][method]
        results[method] = MethodResult(identity, values, seconds)
    return results


def _document(report: Report, summary, pairs) -> dict[str, Any]:
    chosen, count = report.evaluation_set, len(report.evaluation_set)
    versions = ("jax", "jaxlib", "numpy", "pillow", "opencv-python-headless")
    return {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds_per_image": {n: r.seconds for n, r in report.results.items()},
        "code": {"version": __version__},
        "machine": {
            "platform": platform.platform(),
            "device": jax.devices()[0].device_kind,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in versions},
        },
        "data": {
            "spec": chosen.data,
            "n": count,
            "size": list(chosen.images.shape[1:3]),
            "preprocessing": chosen.preprocessing,
            "images_sha256": chosen.images_sha256,
        },
        "masks": {
            "spec": chosen.masks,
            "seed": chosen.seed,
            "sha256": chosen.masks_sha256,
            "mean_ratio": float(chosen.holes.mean()),
            "n_empty": int(np.sum(~chosen.holes.any((1, 2)))),
            "buckets": list(BUCKETS),
            "border_rule": "hole nearer than 50/512 of the side to the edge",
        },
        "methods": {name: r.identity for name, r in report.results.items()},
        "columns": list(columns(report.metrics)),
        "quantised": True,
        "region_rule": "composite: known pixels are those of the source",
        "bootstrap": {"resamples": statistics.RESAMPLES, "seed": report.seed},
        "metrics": summary,
        "pairs": pairs,
        "per_image": "per_image.csv",
    }


def _per_image(report: Report) -> str:
    holes = describe_holes(report.evaluation_set.holes)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = columns(report.metrics)
    writer.writerow(["method", "id", "name", *_HOLE_COLUMNS, *names])
    for method, result in report.results.items():
        for index, name in enumerate(report.evaluation_set.names):
            hole = (holes[column][index] for column in _HOLE_COLUMNS)
            values = (result.values[column][index] for column in names)
            cells = [_cell(value) for value in (*hole, *values)]
            writer.writerow([method, index, name, *cells])
    return text.getvalue()


def _long_table(summary) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = ("n", "mean", "median", "lo", "hi", "n_capped", "n_empty")
    writer.writerow(["method", "group", "metric", *fields])
    for method, groups in summary.items():
        for group, metrics in groups.items():
            for metric, row in metrics.items():
                cells = [_cell(row[field], digits=6) for field in fields]
                writer.writerow([method, group, metric, *cells])
    return text.getvalue()


def _cell(value: Any, digits: int = 9) -> str:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.{digits}g}"
    return str(value)


def _plain(value: Any) -> Any:
    """JSON types only: six digits, null for what is not a number."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _replace(path: pathlib.Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
