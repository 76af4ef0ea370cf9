"""Tables and a sheet of samples from the numbers of the PatchMatch suite."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

PEER, OURS = "pypatchmatch 7", "ours"


def write(
    folder: pathlib.Path,
    report: Mapping[str, Any],
    sheet: Mapping[str, Sequence[np.ndarray]],
    methods: Sequence[str],
) -> None:
    """Writes `report.json`, `table.md` and `samples.png` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    machine = report["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, JAX {machine['jax']},"
        f" load {machine['load']:.1f} at the end.",
        "",
        *quality_table(report["quality"]),
        "",
        *pair_table(report["quality"]),
        "",
        *speed_table(report["speed"]),
        "",
        *first_table(report["first"]),
    ]
    (folder / "table.md").write_text("\n".join(lines) + "\n")
    rows = [np.concatenate(row, axis=1) for row in sheet.values()]
    columns = ["masked", *methods, "truth"]
    Image.fromarray(np.concatenate(rows)).save(folder / "samples.png")
    (folder / "samples.txt").write_text(f"columns: {columns}\nrows: {list(sheet)}\n")


def quality_table(quality: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """PSNR / SSIM / LPIPS of every method and set, means over pictures."""
    cases = [(name, kind) for name, kinds in quality.items() for kind in kinds]
    head = " | ".join(f"{name}, {kind}" for name, kind in cases)
    lines = [f"| method | {head} |", "|---" * (len(cases) + 1) + "|"]
    for method in next(iter(next(iter(quality.values())).values())):
        cells = []
        for name, kind in cases:
            psnr, ssim, lpips = np.mean(quality[name][kind][method], axis=0)
            cells.append(f"{psnr:.2f} / {ssim:.3f} / {lpips:.4f}")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def compare(values: np.ndarray, others: np.ndarray, *, ratio: bool) -> dict[str, float]:
    """Mean difference, or ratio of means, of pairs [N], with a 95 % bootstrap interval.

    Pictures are drawn again with replacement 2000 times, both of a pair together.
    """
    rng = np.random.default_rng(0)
    index = rng.integers(0, len(values), (2000, len(values)))
    a, b = values[index].mean(axis=1), others[index].mean(axis=1)
    drawn = a / b if ratio else a - b
    low, high = np.percentile(drawn, [2.5, 97.5])
    whole = values.mean() / others.mean() if ratio else values.mean() - others.mean()
    return {"value": float(whole), "low": float(low), "high": float(high)}


def pair_table(quality: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Ours against the peer and Telea, picture by picture, with 95 % intervals."""
    lines = [
        "| set | against | PSNR | SSIM | LPIPS ratio | LPIPS wins |",
        "|---" * 6 + "|",
    ]
    for name, kinds in quality.items():
        for kind, scores in kinds.items():
            mine = np.asarray(scores[OURS])
            for other in (PEER, "telea"):
                if other not in scores:
                    continue
                theirs = np.asarray(scores[other])
                cells = [
                    _interval(compare(mine[:, 0], theirs[:, 0], ratio=False), 2),
                    _interval(compare(mine[:, 1], theirs[:, 1], ratio=False), 3),
                    _interval(compare(mine[:, 2], theirs[:, 2], ratio=True), 2),
                ]
                wins = int((mine[:, 2] < theirs[:, 2]).sum())
                lines.append(
                    f"| {name}, {kind} | {other} | {' | '.join(cells)}"
                    f" | {wins} of {len(mine)} |"
                )
    return lines


def _interval(found: Mapping[str, float], digits: int) -> str:
    value, low, high = (f"{found[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def speed_table(speed: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Warm times in seconds, wall and processor, and their ratios."""
    lines = [
        "| case | ours, wall / processor s | peer, wall / processor s | ratio |",
        "|---|---|---|---|",
    ]
    for case, times in speed.items():
        mine, theirs = times["ours"], times.get("peer")
        cell = f"| {case} | {mine['wall']:.2f} / {mine['processor']:.2f} |"
        if theirs is None:
            lines.append(f"{cell} not installed | |")
            continue
        ratios = [mine[key] / theirs[key] for key in ("wall", "processor")]
        lines.append(
            f"{cell} {theirs['wall']:.2f} / {theirs['processor']:.2f} |"
            f" {ratios[0]:.2f} / {ratios[1]:.2f} |"
        )
    return lines


def first_table(first: Mapping[str, Mapping[str, float]]) -> list[str]:
    """First calls (compilation included), later calls, and peak memory."""
    lines = ["| process | first call s | later s | peak MiB |", "|---|---|---|---|"]
    for case, found in first.items():
        lines.append(
            f"| {case} | {found['first']:.1f} | {found['warm']:.2f} |"
            f" {found['peak_mib']:.0f} |"
        )
    return lines
