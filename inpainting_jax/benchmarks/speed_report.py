"""From rows to `report.json` and `table.md`: the one writer of the speed suites.

A row is one variant of one case, with numbers; columns say which of them the table
shows. An earlier report of the same suite may be joined to it (`--baseline`).
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from inpainting_jax.benchmarks import timing
from inpainting_jax.benchmarks.ceilings import Ceilings

OURS = "ours"
"""The variant that all others are compared with."""


class Column(NamedTuple):
    """A column of the table: its title, its key in a row, and how it is written."""

    title: str
    key: str
    format: str = "{}"


SPEED = (
    Column("case", "case"),
    Column("variant", "variant"),
    Column("median s", "seconds", "{:.4g}"),
    Column("from", "low", "{:.4g}"),
    Column("to", "high", "{:.4g}"),
    Column("GFLOP/s", "gflops", "{:.0f}"),
    Column("GB/s", "gigabytes", "{:.1f}"),
    Column("of ceiling", "of_ceiling", "{:.0%}"),
    Column("time over ours", "over_ours", "{:.2f}"),
    Column("processor s", "processor", "{:.4g}"),
    Column("processor over ours", "processor_over_ours", "{:.2f}"),
)


def fastest(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence per case: its fastest variant that is not ours."""
    lines = []
    for case in dict.fromkeys(row["case"] for row in rows):
        own = [row for row in rows if row["case"] == case]
        others = [row for row in own if row["variant"] != OURS]
        if others and len(others) < len(own):
            best = min(others, key=lambda row: row["seconds"])
            lines.append(
                f"{case}: {best['over_ours']:.2f} times as fast as the fastest other, "
                f"{best['variant']} ({best['processor_over_ours']:.2f} by processor "
                "time)."
            )
    return lines


def write(
    output: str,
    suite: str,
    rows: Sequence[dict[str, Any]],
    *,
    columns: Sequence[Column] = SPEED,
    compared: str = "seconds",
    limits: Ceilings | None = None,
    notes: Sequence[str] = (),
    baseline: str = "",
) -> None:
    """Writes `report.json` and `table.md` into a folder.

    Args:
      output: the folder, made if need be.
      suite: name of the suite.
      rows: with `case`, `variant` and numbers.
      columns: of the table.
      compared: key of the number that is compared with the baseline's; less is better.
      limits: ceilings of the machine, if speed was measured.
      notes: sentences under the table.
      baseline: an earlier `report.json` of the suite, or "".

    Raises:
      ValueError: the baseline is of another suite, or no report.
    """
    where = timing.machine()
    report: dict[str, Any] = {"suite": suite, "machine": where}
    if limits is not None:
        report["ceilings"] = limits._asdict()
    columns = list(columns)
    if baseline:
        join(rows, read_baseline(baseline, suite), compared)
        columns.append(Column("earlier over now", "earlier_over_now", "{:.2f}"))
        report["baseline"] = baseline
    report |= {"rows": list(rows), "notes": list(notes)}
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    (folder / "table.md").write_text(table(report, columns))


def read_baseline(path: str, suite: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of an earlier report by case and variant.

    Raises:
      ValueError: it is of another suite, or no report.
    """
    try:
        report = json.loads(pathlib.Path(path).read_text())
        rows = {(row["case"], row["variant"]): row for row in report["rows"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"--baseline={path} is no report of a speed suite: give the report.json of"
            f" an earlier --suite={suite}"
        ) from error
    if report.get("suite") != suite:
        raise ValueError(
            f"--baseline={path} is of the suite {report.get('suite')!r}, not {suite!r}"
        )
    return rows


def join(
    rows: Sequence[dict[str, Any]],
    earlier: Mapping[tuple[str, str], Mapping[str, Any]],
    compared: str,
) -> None:
    """Adds `earlier_over_now` to the rows that an earlier report has too."""
    for row in rows:
        before = earlier.get((row["case"], row["variant"]), {}).get(compared)
        if before is not None and row.get(compared):
            row["earlier_over_now"] = before / row[compared]


def table(report: Mapping[str, Any], columns: Sequence[Column]) -> str:
    """The report as Markdown; an empty cell where a row has no such number."""
    where = report["machine"]
    lines = [
        f"# {report['suite'].capitalize()}",
        "",
        f"{where['processor']}, {where['cores']} cores, {where['device']}, load "
        f"{where['load'] or 0:.1f}.",
    ]
    if "ceilings" in report:
        limits = report["ceilings"]
        lines.append(
            f"Ceilings of this run: {limits['flops'] / 1e9:.0f} GFLOP/s, "
            f"{limits['bytes'] / 1e9:.1f} GB/s ({limits['by']})."
        )
    lines += ["", f"| {' | '.join(column.title for column in columns)} |"]
    lines.append("| --- | --- |" + " ---: |" * (len(columns) - 2))
    for row in report["rows"]:
        cells = [_cell(row.get(column.key), column.format) for column in columns]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [""] + [f"- {note}" for note in report["notes"]]
    return "\n".join(lines).rstrip() + "\n"


def _cell(value: Any, form: str) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return form.format(value)
