"""A report on disk: report.json, per_image.csv, table.csv, table.md; and back.

Apart from `created` and the timings, two runs write the same bytes. A report can be
read, continued and merged: numbers in per_image.csv have nine digits, those of whole
sets in report.json six, and both come back as they were.
"""

import csv
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
from inpainting_jax.evaluation.report import REFERENCES, MethodResult, Report, plain
from inpainting_jax.evaluation.scores import columns
from inpainting_jax.evaluation.set_scores import PARTS
from inpainting_jax.evaluation.sets import HOLE_FACTS
from inpainting_jax.evaluation.tables import markdown
from inpainting_jax.version import __version__

SCHEMA = 2


def write(report: Report, output: pathlib.Path) -> None:
    """Writes the four files of a report; each appears in full or not at all."""
    output.mkdir(parents=True, exist_ok=True)
    summary, pairs = report.summary(), report.pairs()
    _replace(output / "per_image.csv", _per_image(report))
    _replace(output / "table.csv", _long_table(report, summary))
    _replace(output / "table.md", markdown(report, summary, pairs, REFERENCES))
    document = _document(report, summary, pairs)
    text = json.dumps(plain(document), sort_keys=True, indent=1, allow_nan=False)
    _replace(output / "report.json", text + "\n")


def read(output: pathlib.Path) -> Report:
    """The report that a folder holds.

    Raises:
      FileNotFoundError: it holds none.
      ValueError: it is damaged, or of another schema.
    """
    file = output / "report.json"
    if not file.is_file():
        raise FileNotFoundError(f"{output} holds no report.json of launch.evaluate.")
    try:
        document = json.loads(file.read_text())
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}, not {SCHEMA}")
        rows = list(csv.DictReader(io.StringIO((output / "per_image.csv").read_text())))
        return _report(document, rows)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{file} cannot be continued or merged ({error!r})") from error


def differences(first: Report, second: Report) -> list[str]:
    """What keeps two reports' numbers from standing side by side, in words."""
    found = []
    for name, key, text in (
        ("images", "data", "images_sha256"),
        ("masks", "masks", "sha256"),
    ):
        one, two = (r.described[key] for r in (first, second))
        if one[text] != two[text]:
            found.append(
                f"{name} (`{one['spec']}` {one[text][:12]} and `{two['spec']}` "
                f"{two[text][:12]})"
            )
    for name, one, two in (
        ("metrics", columns(first.metrics), columns(second.metrics)),
        ("set metrics", first.set_metrics, second.set_metrics),
        ("versions of metrics", first.versions(), second.versions()),
        ("feature weights", dict(first.networks), dict(second.networks)),
    ):
        if one != two:
            found.append(f"{name} ({_short(one)} and {_short(two)})")
    return found


def _short(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) < 200 else text[:200] + "..."


def _report(document: Mapping[str, Any], rows: list[dict[str, str]]) -> Report:
    """From the two files' contents; raises KeyError or ValueError where they lack."""
    metrics = tuple(document["metrics_order"])
    first = [row for row in rows if row["method"] == rows[0]["method"]]
    results = {}
    for method, identity in document["methods"].items():
        own = [row for row in rows if row["method"] == method]
        if [row["name"] for row in own] != [row["name"] for row in first]:
            raise ValueError(f"per_image.csv lacks rows of {method}")
        results[method] = MethodResult(
            identity,
            {
                name: np.array([float(row[name] or "nan") for row in own])
                for name in columns(metrics)
            },
            document["seconds_per_image"][method],
            document["sets"].get(method, {}),
        )
    facts = {
        "ratio": [float(row["ratio"]) for row in first],
        "radius": [float(row["radius"]) for row in first],
        "bucket": [row["bucket"] for row in first],
        "border": [row["border"] == "True" for row in first],
    }
    described = {key: document[key] for key in ("data", "masks")}
    if len(first) != described["data"]["n"]:
        raise ValueError("per_image.csv lacks images")
    order = document["rows"]
    return Report(
        described=described,
        names=tuple(row["name"] for row in first),
        facts=facts,
        metrics=metrics,
        set_metrics=tuple(document["set_metrics"]),
        networks=document["features"],
        results={name: results[name] for name in order},
        seed=document["bootstrap"]["seed"],
    )


def _document(report: Report, summary, pairs) -> dict[str, Any]:
    packages = ("jax", "jaxlib", "numpy", "scipy", "pillow", "opencv-python-headless")
    return {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds_per_image": {n: r.seconds for n, r in report.results.items()},
        "code": {"version": __version__},
        "machine": {
            "platform": platform.platform(),
            "device": jax.devices()[0].device_kind,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        **report.described,
        "rows": list(report.results),
        "methods": {name: r.identity for name, r in report.results.items()},
        "metrics_order": list(report.metrics),
        "set_metrics": list(report.set_metrics),
        "columns": list(columns(report.metrics)),
        "metric_versions": report.versions(),
        "features": report.networks,
        "quantised": True,
        "region_rule": "composite: known pixels are those of the source",
        "reference": "the originals of the evaluated images, in their order",
        "bootstrap": {"resamples": statistics.RESAMPLES, "seed": report.seed},
        "set_intervals": f"delete-a-group jackknife, {PARTS} groups",
        "metrics": summary,
        "sets": {name: r.sets for name, r in report.results.items()},
        "pairs": pairs,
        "per_image": "per_image.csv",
    }


def _per_image(report: Report) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = columns(report.metrics)
    writer.writerow(["method", "id", "name", *HOLE_FACTS, *names])
    for method, result in report.results.items():
        for index, name in enumerate(report.names):
            hole = (report.facts[fact][index] for fact in HOLE_FACTS)
            values = (result.values[column][index] for column in names)
            cells = [_cell(value) for value in (*hole, *values)]
            writer.writerow([method, index, name, *cells])
    return text.getvalue()


def _long_table(report: Report, summary) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = ("n", "mean", "median", "lo", "hi", "n_capped", "n_empty")
    writer.writerow(["method", "group", "metric", *fields])
    for method, groups in summary.items():
        for group, metrics in groups.items():
            for metric, row in metrics.items():
                cells = [_cell(row[field], digits=6) for field in fields]
                writer.writerow([method, group, metric, *cells])
        for group, metrics in sorted(report.results[method].sets.items()):
            for metric, row in sorted(metrics.items()):
                values = (row["n"], row["value"], math.nan, row["lo"], row["hi"])
                cells = [_cell(math.nan if v is None else v, digits=6) for v in values]
                writer.writerow([method, group, metric, *cells, "", ""])
    return text.getvalue()


def _cell(value: Any, digits: int = 9) -> str:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.{digits}g}"
    return str(value)


def _replace(path: pathlib.Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
