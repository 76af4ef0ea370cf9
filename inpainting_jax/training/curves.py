"""The picture of a run: its logged numbers over the steps, with the alarms' limits.

The same log gives the same bytes.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from inpainting_jax.training.health import RULES

_SMOOTH = 50  # points at most per curve that is drawn heavily
_LIMITS = {rule.name: (rule.low, rule.high) for rule in RULES}

Series = Mapping[str, tuple[Sequence[int], Sequence[float]]]


def read_metrics(workdir: str | os.PathLike) -> Series:
    """`{name: (steps, values)}` of a workdir's `metrics.jsonl`, finite values only.

    Raises:
      FileNotFoundError: no such log.
      ValueError: a line that is not one of the log's, or a log without numbers.
    """
    path = pathlib.Path(workdir) / "metrics.jsonl"
    if not path.exists():
        raise FileNotFoundError(f"no {path}: give the --workdir of launch.train")
    series: dict[str, tuple[list[int], list[float]]] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
            step = int(row.pop("step"))
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"line {number} of {path} is no metrics line") from error
        for name, value in row.items():
            if value is not None and math.isfinite(value):
                steps, values = series.setdefault(name, ([], []))
                steps.append(step)
                values.append(float(value))
    if not series:
        raise ValueError(f"{path} holds no numbers yet: train for a while")
    return series


def draw(workdir: str | os.PathLike, path: str | os.PathLike) -> pathlib.Path:
    """Draws the curves of a run as PNG and returns the path.

    One panel each for the error in the hole, real and fake logits, gradient norms,
    update ratios and the numbers of `health/*`; grey is where an alarm sounds.

    Args:
      workdir: of `launch.train`, running or finished.
      path: of the PNG.

    Raises:
      FileNotFoundError: see `read_metrics`.
      ValueError: likewise.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [panel for panel in _panels(read_metrics(workdir)) if panel[1]]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, chosen, scale, limits) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        for label, (steps, values) in sorted(chosen.items()):
            (line,) = axes.plot(*_thinned(steps, values), label=label, linewidth=1.4)
            axes.plot(steps, values, color=line.get_color(), alpha=0.25, linewidth=0.6)
        axes.set(title=title, xlabel="step", yscale=scale)
        _shade(axes, limits)
        axes.legend(fontsize=7)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return path


def _panels(series: Series) -> list[tuple[str, dict, str, tuple[float, float]]]:
    """(title, curves by label, scale, limits outside of which an alarm sounds)."""
    nowhere = (-np.inf, np.inf)

    def ending(*ends: str) -> dict:
        found = [name for name in series if name.endswith(ends) and "/" in name]
        found = [name for name in found if not name.startswith("validation/")]
        return {name: series[name] for name in found}

    errors = ("l1_hole", "validation/l1_hole")
    panels = [
        ("L1 in the hole", {n: series[n] for n in errors if n in series}, "linear"),
        ("logits", ending("/real_logits", "/fake_logits"), "linear"),
        ("gradient norm", ending("/grad_norm"), "log"),
    ]
    panels = [(*panel, nowhere) for panel in panels]
    panels.append(
        ("update ratio", ending("/update_ratio"), "log", _LIMITS["update_ratio"])
    )
    for name in sorted(name for name in series if name.startswith("health/")):
        short = name.removeprefix("health/")
        limits = _LIMITS.get(short, nowhere)
        panels.append((name, {short: series[name]}, "linear", limits))
    return panels


def _thinned(steps: Sequence[int], values: Sequence[float]) -> tuple[list, list]:
    """Means of neighbouring points, `_SMOOTH` of them at most."""
    size = -(-len(steps) // _SMOOTH)
    parts = [slice(i, i + size) for i in range(0, len(steps), size)]
    return (
        [float(np.mean(steps[part])) for part in parts],
        [float(np.mean(values[part])) for part in parts],
    )


def _shade(axes, limits: tuple[float, float]) -> None:
    """Greys what lies beyond the limits; the lower one is always in sight."""
    low, high = axes.get_ylim()
    style = {"color": "0.85", "zorder": 0, "linewidth": 0}
    if np.isfinite(limits[0]):
        low, high = min(low, 0.8 * limits[0]), max(high, 1.2 * limits[0])
        axes.axhspan(low, limits[0], **style)
        axes.axhline(limits[0], color="0.5", linewidth=0.8)
    if np.isfinite(limits[1]) and high > limits[1]:
        axes.axhspan(limits[1], high, **style)
        axes.axhline(limits[1], color="0.5", linewidth=0.8)
    axes.set_ylim(low, high)
