"""The Markdown table of a report: means with intervals, the best in bold."""

import math
from typing import Any

from inpainting_jax.evaluation import statistics
from inpainting_jax.masks import BUCKETS, OTHER
from inpainting_jax.metrics import METRICS

_IN_PAIRS = ("psnr_hole", "ssim_hole", "l1_hole", "lpips_alex_hole", "fd_efflite0")
_HEADS = {"hole": "Inside the hole", "image": "Whole image"}


def markdown(report, summary, pairs, references: tuple[str, ...]) -> str:
    """The text of table.md.

    Args:
      report: a `Report`.
      summary: its `summary()`.
      pairs: its `pairs()`.
      references: rows that are never the best.
    """
    data, masks = report.described["data"], report.described["masks"]
    height, width = data["size"]
    lines = [
        "# Evaluation",
        "",
        f"{data['n']} images of {height}x{width} (`{data['spec']}`, sha256 "
        f"`{data['images_sha256'][:12]}`), masks `{masks['spec']}`, seed "
        f"{masks['seed']} (sha256 `{masks['sha256'][:12]}`, mean hole ratio "
        f"{masks['mean_ratio']:.3f}). Mean over images and 95 % bootstrap interval; ↑ "
        "higher is better, ↓ lower is better; the best mean is bold.",
    ]
    for region, head in _HEADS.items():
        names = [n for n in report.metrics if region in METRICS[n].regions]
        if names:
            lines += [
                "",
                f"## {head}",
                "",
                *_region_table(summary, names, region, references),
            ]
    lines += _set_tables(report, references)
    lines += _bucket_tables(report, summary, references)
    lines += _pair_table(pairs)
    return "\n".join(lines) + "\n"


def _region_table(summary, names, region, references) -> list[str]:
    heads = [_head(name, region, with_region=False) for name in names]
    rows = [_row("method", heads), _row("---", ["---:"] * len(heads))]
    for method, groups in summary.items():
        cells = []
        for name in names:
            column = f"{name}_{region}"
            cell = _with_interval(groups["all"][column], METRICS[name].unit)
            best = _best(summary, "all", column, references)
            cells.append(_bold(cell, method in best))
        rows.append(_row(method, cells))
    return rows


def _bucket_tables(report, summary, references) -> list[str]:
    """One table per leading metric: methods by range of the hole ratio."""
    groups = next(iter(summary.values()))
    buckets = [b for b in (*BUCKETS, OTHER) if b in groups]
    lines = []
    for name in report.metrics:
        metric = METRICS[name]
        if metric.higher_is_better is None or name == "l2":
            continue
        region = "hole" if "hole" in metric.regions else "image"
        column = f"{name}_{region}"
        heads = [f"{bucket} (n={groups[bucket][column]['n']})" for bucket in buckets]
        lines += ["", f"## {_head(name, region)} by hole ratio", ""]
        lines += [_row("method", heads), _row("---", ["---:"] * len(heads))]
        for method in summary:
            cells = [
                _bold(
                    _number(summary[method][bucket][column]["mean"], metric.unit),
                    method in _best(summary, bucket, column, references),
                )
                for bucket in buckets
            ]
            lines.append(_row(method, cells))
    return lines


def _set_tables(report, references) -> list[str]:
    """Metrics of whole sets by method, for every group that is large enough."""
    directions = report.set_directions()
    groups = dict.fromkeys(g for r in report.results.values() for g in r.sets)
    order = ["all", *(b for b in (*BUCKETS, OTHER, "border", "inner") if b in groups)]
    lines = []
    for group in (g for g in order if g in groups):
        rows = {m: r.sets.get(group, {}) for m, r in report.results.items()}
        count = next(iter(next(iter(rows.values())).values()))["n"]
        head = "" if group == "all" else f", {group}"
        lines += ["", f"## Whole sets{head} (n={count})", ""]
        if group == "all":
            lines += [_SET_NOTE, ""]
        heads = [f"{c} {'↑' if up else '↓'}" for c, up in directions.items()]
        lines += [_row("method", heads), _row("---", ["---:"] * len(heads))]
        for method, row in rows.items():
            cells = [
                _bold(
                    _set_cell(row[c]),
                    method in _best_of_sets(rows, c, directions[c], references),
                )
                for c in directions
            ]
            lines.append(_row(method, cells))
    return lines


_SET_NOTE = (
    "Reference are the originals of the same images. Intervals: jackknife over "
    "groups of images. Values of other n, or other images, do not compare."
)


def _best_of_sets(rows, column: str, higher: bool, references) -> set[str]:
    values = {m: row[column]["value"] for m, row in rows.items() if m not in references}
    if len(values) < 2:
        return set()
    best = max(values.values()) if higher else min(values.values())
    return {method for method, value in values.items() if value == best}


def _set_cell(row: dict[str, Any]) -> str:
    def number(value):  # equal sets are apart by rounding only
        return f"{0 if abs(value) < 1e-9 else value:.4g}"

    text = number(row["value"])
    if row["lo"] is not None:
        text += f" [{number(row['lo'])}, {number(row['hi'])}]"
    if "null" in row:
        text += f" (null {row['null']:.2f})"
    return text + (" uninformative" if row.get("uninformative") else "")


def _pair_table(pairs: list[dict[str, Any]]) -> list[str]:
    """Differences inside the hole that pairs of methods show."""
    shown = [row for row in pairs if row["metric"] in _IN_PAIRS]
    if not shown:
        return []
    lines = ["", "## Pairs", ""]
    lines += [
        "Mean of a - b on identical images, 95 % bootstrap interval, share of images "
        "on which a is better, p of a sign-flip test after Holm's correction. A "
        "difference counts if its interval excludes 0.",
        "",
    ]
    heads = ["b", "metric", "a - b", "a wins", "p"]
    lines += [_row("a", heads), _row("---", ["---", "---", "---:", "---:", "---:"])]
    for row in shown:
        low, high = (_number(row[k], "") for k in ("lo", "hi"))
        difference = f"{_number(row['difference'], '')} [{low}, {high}]"
        wins = "-" if math.isnan(row["wins"]) else f"{row['wins']:.0%}"
        cells = [row["b"], row["metric"], difference, wins]
        lines.append(_row(row["a"], [*cells, f"{row['p_holm']:.2g}"]))
    return lines


def _head(name: str, region: str, *, with_region: bool = True) -> str:
    metric = METRICS[name]
    arrow = {True: " ↑", False: " ↓", None: ""}[metric.higher_is_better]
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{name}{'_' + region if with_region else ''}{unit}{arrow}"


def _best(summary, group: str, column: str, references) -> set[str]:
    """The methods with the best mean of a column, if it has a better end."""
    higher = METRICS[column.rsplit("_", 1)[0]].higher_is_better
    means = {
        method: groups[group][column]["mean"]
        for method, groups in summary.items()
        if method not in references and not math.isnan(groups[group][column]["mean"])
    }
    if higher is None or len(means) < 2:
        return set()
    best = max(means.values()) if higher else min(means.values())
    return {method for method, mean in means.items() if mean == best}


def _with_interval(row: dict[str, Any], unit: str) -> str:
    if row["n"] < statistics.MIN_IMAGES or math.isnan(row["lo"]):
        return f"{_number(row['mean'], unit)} (n={row['n']})"
    low, high = _number(row["lo"], unit), _number(row["hi"], unit)
    return f"{_number(row['mean'], unit)} [{low}, {high}]"


def _number(value: float, unit: str) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if unit == "dB" else f"{value:.4g}"


def _bold(text: str, best: bool) -> str:
    if not best:
        return text
    mean, space, rest = text.partition(" ")
    return f"**{mean}**{space}{rest}"


def _row(first: str, cells: list[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"
