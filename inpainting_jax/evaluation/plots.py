"""Plots of a report as PNG: metrics over the hole's ratio, and mean ranks.

The same report gives the same bytes.
"""

import math
import pathlib

import numpy as np

from inpainting_jax.evaluation import statistics
from inpainting_jax.evaluation.report import REFERENCES, Report
from inpainting_jax.evaluation.scores import columns
from inpainting_jax.masks import BUCKETS
from inpainting_jax.metrics import METRICS

LEADING = (
    "psnr_hole",
    "ssim_hole",
    "l1_hole",
    "lpips_alex_hole",
    "lpips_vgg_hole",
    "lpips_alex_image",
)
"""Columns that are plotted where they are there, in this order."""

_MOST = 4  # panels of a figure
_MARKERS = "osD^vP*Xph<>"


def leading_columns(report: Report) -> list[str]:
    """The columns to plot; those of `LEADING`, or else the first with a better end."""
    known = report.directions()
    found = [name for name in LEADING if name in known][:_MOST]
    return found or list(known)[:1]


def write(report: Report, output: pathlib.Path) -> list[str]:
    """Writes by_ratio.png and ranks.png where they say something, and names them.

    A curve over the ratio needs holes of two classes; ranks need two methods. Where
    the folder holds a table.md, it shows them at its end.
    """
    output.mkdir(parents=True, exist_ok=True)
    written = []
    names = leading_columns(report)
    filled = [b for b in BUCKETS if b in report.facts["bucket"]]
    if names and len(filled) > 1:
        _by_ratio(report, names, filled, output / "by_ratio.png")
        written.append("by_ratio.png")
    if names and len(report.competitors()) > 1:
        _ranks(report, names, output / "ranks.png")
        written.append("ranks.png")
    table = output / "table.md"
    if written and table.is_file():
        text = table.read_text(encoding="utf-8").split("\n## Plots\n")[0]
        pictures = [f"![{name}]({name})" for name in written]
        text += "\n".join(["\n## Plots\n", *pictures, ""])
        table.write_text(text, encoding="utf-8")
    return written


def _by_ratio(
    report: Report, names: list[str], buckets: list[str], path: pathlib.Path
) -> None:
    """One panel a metric; means with 95 % bootstrap intervals, one line a method."""
    bucket = np.array(report.facts["bucket"])
    rows = [m for m in report.results if m != "ground_truth"]
    order = columns(report.metrics)
    chosen = [order.index(name) for name in names]
    tables = np.stack([report.table(m)[:, chosen] for m in rows], axis=1)
    shape = (len(buckets), len(rows), len(names))
    mean, low, high = (np.full(shape, np.nan) for _ in range(3))
    for k, name in enumerate(buckets):
        part = tables[bucket == name]
        flat = part.reshape(len(part), -1)
        stats = statistics.summarise(flat, np.full(flat.shape[1], np.nan), report.seed)
        for array, field in ((mean, "mean"), (low, "lo"), (high, "hi")):
            array[k] = np.reshape([row[field] for row in stats], shape[1:])
    figure, axes = _figure(len(names), 3.6)
    ticks = [f"{b}\nn={int((bucket == b).sum())}" for b in buckets]
    for c, (axis, name) in enumerate(zip(axes, names, strict=True)):
        for m, method in enumerate(rows):
            shift = 0.06 * (m - (len(rows) - 1) / 2)  # intervals side by side
            place = np.arange(len(buckets)) + shift
            error = np.stack([mean - low, high - mean])[:, :, m, c]
            reference = method in REFERENCES
            axis.errorbar(
                place,
                mean[:, m, c],
                yerr=None if np.isnan(error).all() else np.nan_to_num(error),
                color="0.6" if reference else f"C{m % 10}",
                linestyle=":" if reference else "-",
                marker=_MARKERS[m % len(_MARKERS)],
                markersize=4,
                capsize=2,
                label=method,
            )
        axis.set_title(_title(name), fontsize=10)
        axis.set_xticks(range(len(buckets)), ticks, fontsize=7)
        axis.set_xlabel("share of the image missing", fontsize=8)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
    _save(figure, path)


def _ranks(report: Report, names: list[str], path: pathlib.Path) -> None:
    """One panel a metric: mean rank over images, best at the top."""
    methods, better = report.competitors(), report.directions()
    order = columns(report.metrics)
    figure, axes = _figure(len(names), 0.9 + 0.28 * len(methods))
    for axis, name in zip(axes, names, strict=True):
        column = order.index(name)
        table = np.stack([report.table(m)[:, column] for m in methods], axis=1)
        mean, low, high = statistics.mean_ranks(table, better[name], report.seed)
        place = np.argsort(-mean, kind="stable")
        for y, m in enumerate(place):
            axis.plot([low[m], high[m]], [y, y], color=f"C{m % 10}", linewidth=2)
            axis.plot(mean[m], y, "o", color=f"C{m % 10}")
        axis.set_yticks(range(len(place)), [methods[m] for m in place], fontsize=8)
        axis.set_xlim(0.8, len(methods) + 0.2)
        axis.set_ylim(-0.6, len(methods) - 0.4)
        axis.grid(axis="x", alpha=0.3)
        axis.set_title(_title(name), fontsize=10)
        axis.set_xlabel("mean rank over images, 1 = best", fontsize=8)
    _save(figure, path)


def _title(column: str) -> str:
    metric = METRICS[column.rsplit("_", 1)[0]]
    unit = f", {metric.unit}" if metric.unit else ""
    return (
        f"{column}{unit} ({'higher' if metric.higher_is_better else 'lower'} is better)"
    )


def _figure(panels: int, height: float):
    """A figure of one or two columns and its axes, without a display."""
    from matplotlib.figure import Figure

    wide = min(panels, 2)
    rows = math.ceil(panels / wide)
    figure = Figure((4.6 * wide, height * rows + 0.5), layout="constrained")
    axes = np.ravel(figure.subplots(rows, wide, squeeze=False))
    for axis in axes[panels:]:
        axis.set_axis_off()
    return figure, axes[:panels]


def _save(figure, path: pathlib.Path) -> None:
    figure.savefig(path, dpi=120, metadata={"Software": None})
