"""Several evaluations of the same images and holes as one report.

Runs of different machines or days: nothing is computed again, for the values per image
are in the files. What was measured on other images, holes, metrics or feature weights
is refused, for its numbers cannot stand beside these.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from inpainting_jax.evaluation import plots, report_files
from inpainting_jax.evaluation.report import REFERENCES, MethodResult, Report


def merge_reports(runs: Sequence[str], output: str | os.PathLike) -> Report:
    """Merges the reports of folders into the folder `output`, with plots.

    Args:
      runs: `FOLDER`, or `LABEL=FOLDER`, which puts `LABEL.` before the names of its
        rows.
      output: folder for report.json, the tables, per_image.csv and the plots; no report
        may be there already.

    Raises:
      ValueError: no runs; runs that do not compare, saying in what; two rows of one
        name with other results; a report in `output`.
      FileNotFoundError: a folder without a report.
    """
    output = pathlib.Path(output)
    if not [run for run in runs if run.strip()]:
        raise ValueError("no runs named; give at least one (--runs=FOLDER,FOLDER).")
    if (output / "report.json").exists():
        raise ValueError(f"{output} holds a report; give another --output.")
    merged, origins = None, {}
    for text in runs:
        label, _, folder = text.strip().rpartition("=")
        found = report_files.read(pathlib.Path(folder))
        if merged is None:
            merged, first = dataclasses.replace(found, results={}), folder
        other = report_files.differences(merged, found)
        if other:
            raise ValueError(
                f"{first} and {folder} are not merged, for they differ in "
                f"{'; '.join(other)}. Numbers on other data do not compare."
            )
        rows = _labelled(found, label)
        merged = dataclasses.replace(
            merged, results=_joined(merged.results, rows, origins, folder)
        )
    results = merged.results
    order = [n for n in results if n not in REFERENCES]
    order += [n for n in REFERENCES if n in results]
    merged = dataclasses.replace(merged, results={n: results[n] for n in order})
    write(merged, output)
    return merged


def write(report: Report, output: pathlib.Path) -> None:
    """Writes a report with its plots."""
    report_files.write(report, output)
    plots.write(report, output)


def _labelled(report: Report, label: str) -> dict[str, MethodResult]:
    prefix = f"{label}." if label else ""
    return {
        name if name in REFERENCES else f"{prefix}{name}": result
        for name, result in report.results.items()
    }


def _joined(
    known: dict[str, MethodResult],
    new: dict[str, MethodResult],
    origins: dict[str, str],
    folder: str,
) -> dict[str, MethodResult]:
    """All rows; one that is there already must have equal values."""
    joined = dict(known)
    for name, result in new.items():
        if name in joined and not _equal(joined[name], result):
            raise ValueError(
                f"the row {name!r} of {folder} has other values than that of "
                f"{origins[name]}; put a label before its rows: LABEL={folder}."
            )
        joined.setdefault(name, result)
        origins.setdefault(name, folder)
    return joined


def _equal(a: MethodResult, b: MethodResult) -> bool:
    return a.sets == b.sets and all(
        np.array_equal(a.values[name], b.values[name], equal_nan=True)
        for name in a.values
    )
