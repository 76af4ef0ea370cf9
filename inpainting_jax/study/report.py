"""The report of a study on disk: report.md, tables as CSV, a picture."""

import csv
import io
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from inpainting_jax.study.analysis import Analysis, Ranking, Rate
from inpainting_jax.study.answers import (
    MAX_LATE,
    MAX_ONE_BUTTON,
    MIN_CATCH,
    MIN_COMPLETE,
    MIN_RESPONSE_MS,
    to_csv,
)
from inpainting_jax.study.estimates import wilson

_RATES = ("method", "exposure_ms", "n", "fooled", "rate", "low", "high", "d_prime")
_RANKING = ("place", "method", "strength", "low", "high", "first_place_share")
_PAIRS = ("a", "b", "n", "wins_of_a", "share", "low", "high", "fitted")


def write(analysis: Analysis, output: str | os.PathLike, *, overwrite: bool) -> None:
    """Writes report.md, answers.csv, and rates or ranking and pairs as CSV and PNG.

    Raises:
      ValueError: the folder holds a report and `overwrite` is False.
    """
    output = pathlib.Path(output)
    if (output / "report.md").exists() and not overwrite:
        raise ValueError(
            f"{output} holds a report; give another --output, or --overwrite."
        )
    output.mkdir(parents=True, exist_ok=True)
    (output / "answers.csv").write_text(to_csv(analysis.answers, analysis.reasons))
    if analysis.ranking is not None:
        rows = _ranking_rows(analysis.ranking)
        (output / "ranking.csv").write_text(_csv(_RANKING, rows))
        (output / "pairs.csv").write_text(_csv(_PAIRS, _pair_rows(analysis.ranking)))
        _plot_ranking(analysis.ranking, output / "ranking.png")
    else:
        (output / "rates.csv").write_text(_csv(_RATES, _rate_rows(analysis.rates)))
        _plot_rates(analysis.rates, output / "rates.png")
    (output / "report.md").write_text(markdown(analysis))


def markdown(analysis: Analysis) -> str:
    """The report as Markdown."""
    design, texts = analysis.study.design, analysis.study.texts
    kept = sum(not why for why in analysis.reasons.values())
    main = [a for a in analysis.answers if a.kind == "main"]
    lines = [
        f"# {texts['title']}",
        "",
        f"`{design.mode}`: *{texts['question']}* {len(main)} main answers of"
        f" {len(analysis.reasons)} observers, of whom {kept} count. Intervals are 95 %."
        f" Design `{analysis.study.design_sha256[:12]}`, seed {design.seed}.",
        "",
    ]
    if analysis.ranking is not None:
        lines += _ranking_part(analysis.ranking, analysis.ranking_of_all)
    else:
        lines += _rates_part(analysis.rates, analysis.rates_of_all)
    return "\n".join([*lines, *_checks_part(analysis), *_excluded_part(analysis)])


def _rates_part(rates: Sequence[Rate], of_all: Sequence[Rate]) -> list[str]:
    everyone = {(r.method, r.exposure_ms): r for r in of_all}
    rows = []
    for row, rate in zip(_rate_rows(rates), rates, strict=True):
        other = everyone[rate.method, rate.exposure_ms]
        without = _percent(other.fooled / other.count if other.count else np.nan)
        cells = [_percent(v) for v in row[4:7]]
        exposure = "all" if rate.exposure_ms is None else f"{rate.exposure_ms} ms"
        skill = "" if rate.d_prime is None else f"{rate.d_prime:.2f}"
        rows.append([row[0], exposure, row[2], cells[0], *cells[1:], skill, without])
    names = (
        "shown",
        "exposure",
        "n",
        "fooled %",
        "from",
        "to",
        "d'",
        "with everyone %",
    )
    return [
        "## How often completions passed for photographs",
        "",
        "Rows of one exposure have Wilson intervals. Those of all exposures resample"
        " observers and images, and so hold for other people and other images. The row"
        " `original`, where one picture was shown, is how often photographs were called"
        " real. d' near 0: not told from photographs.",
        "",
        *_table(names, rows),
        "",
        "![rates](rates.png)",
        "",
    ]


def _ranking_part(ranking: Ranking, of_all: Ranking) -> list[str]:
    everyone = dict(zip(of_all.methods, of_all.strengths, strict=True))
    rows = [
        [place, method, *(f"{v:+.2f}" for v in (*numbers, everyone[method])), first]
        for place, method, *numbers, first in _ranking_rows(ranking)
    ]
    names = ("place", "method", "strength", "from", "to", "with everyone", "first in %")
    rows = [[*row[:-1], _percent(row[-1])] for row in rows]
    pairs = [[*row[:3], *(_percent(v) for v in row[4:])] for row in _pair_rows(ranking)]
    pair_names = ("a", "b", "n", "a preferred %", "from", "to", "model %")
    circles = f"Circles of three among the majorities: {ranking.triads}."
    return [
        "## Ranking",
        "",
        "Bradley-Terry strengths in logits, mean 0: a difference of 0.4 is a preference"
        " of 60 %, 1.1 of 75 %. Intervals resample observers.",
        "",
        *_table(names, rows),
        "",
        "![ranking](ranking.png)",
        "",
        "## Pairs",
        "",
        *_table(pair_names, pairs),
        "",
        circles,
        "",
    ]


def _checks_part(analysis: Analysis) -> list[str]:
    checks = analysis.checks
    lines = ["## Checks", ""]
    if checks.left is not None:
        share = _percent(checks.left / checks.pairs)
        lines.append(
            f"- Left chosen in {share} % (p that sides do not matter: "
            f"{checks.side_p:.3f})."
        )
    if checks.quarters is not None:
        shares = ", ".join(_percent(q) for q in checks.quarters)
        lines.append(f"- Right answers by quarter of the session: {shares} %.")
    for asked, (count, median, worst) in checks.exposures.items():
        lines.append(
            f"- {asked} ms asked for: {median:.1f} ms shown (median of {count}), at"
            f" most {worst:.1f} ms off."
        )
    lines.append(
        f"- Answers dropped for a late or repeated exposure: {checks.dropped}."
    )
    return [*lines, ""]


def _excluded_part(analysis: Analysis) -> list[str]:
    out = {who: why for who, why in analysis.reasons.items() if why}
    lines = [
        "## Left out",
        "",
        f"Rules: under {MIN_CATCH:.0%} of catch trials right, under {MIN_COMPLETE:.0%}"
        f" of the main trials answered, median response under {MIN_RESPONSE_MS} ms,"
        f" over {MAX_LATE:.0%} of the pictures late, one button in over"
        f" {MAX_ONE_BUTTON:.0%}.",
        "",
    ]
    if not out:
        return [*lines, "Nobody.", ""]
    return [*lines, *(f"- `{who}`: {'; '.join(why)}" for who, why in out.items()), ""]


def _rate_rows(rates: Sequence[Rate]) -> list[list]:
    return [
        [
            rate.method,
            "" if rate.exposure_ms is None else rate.exposure_ms,
            rate.count,
            rate.fooled,
            rate.fooled / rate.count if rate.count else np.nan,
            rate.low,
            rate.high,
            "" if rate.d_prime is None else rate.d_prime,
        ]
        for rate in rates
    ]


def _ranking_rows(ranking: Ranking) -> list[list]:
    columns = (ranking.methods, ranking.strengths, ranking.low, ranking.high)
    rows = zip(*columns, ranking.places[:, 0], strict=True)
    return [[place, *row] for place, row in enumerate(rows, 1)]


def _pair_rows(ranking: Ranking) -> list[list]:
    fitted, rows = ranking.fitted(), []
    for i, first in enumerate(ranking.methods):
        for j in range(i + 1, len(ranking.methods)):
            won, lost = int(ranking.wins[i, j]), int(ranking.wins[j, i])
            count = won + lost
            share = won / count if count else np.nan
            interval = wilson(won, count)
            second = ranking.methods[j]
            rows.append([first, second, count, won, share, *interval, fitted[i, j]])
    return rows


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:.1f}"


def _table(names: Sequence[str], rows: Sequence[Sequence]) -> list[str]:
    lines = [names, ["---"] * len(names), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def _csv(names: Sequence[str], rows: Sequence[Sequence]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow(
            [f"{v:.6g}" if isinstance(v, float | np.floating) else v for v in row]
        )
    return text.getvalue()


def _plot_rates(rates: Sequence[Rate], path: pathlib.Path) -> None:
    """Fooling rate over exposure, one line a method; or one bar each, if untimed."""
    figure, axes = _axes()
    methods = list(dict.fromkeys(rate.method for rate in rates))
    for n, method in enumerate(methods):
        own = [r for r in rates if r.method == method and r.exposure_ms and r.count]
        timed = bool(own)
        own = own or [r for r in rates if r.method == method and r.count]
        y = np.array([r.fooled / r.count for r in own])
        x = np.array([r.exposure_ms for r in own]) if timed else np.full(len(own), n)
        errors = np.abs(np.array([[r.low, r.high] for r in own]).T - y)
        axes.errorbar(x, y, errors, fmt="o-", capsize=3, label=method)
        if timed:
            axes.set_xscale("log")
            axes.set_xlabel("exposure, ms")
        else:
            axes.set_xticks(range(len(methods)), methods)
    axes.set(ylim=(0, 1), ylabel="taken for a photograph")
    axes.legend(loc="upper right")  # the search for a better place can be slow
    figure.savefig(path, metadata={"Software": None})


def _plot_ranking(ranking: Ranking, path: pathlib.Path) -> None:
    figure, axes = _axes()
    places = np.arange(len(ranking.methods))[::-1]
    errors = np.abs(np.stack([ranking.low, ranking.high]) - ranking.strengths)
    axes.errorbar(ranking.strengths, places, xerr=errors, fmt="o", capsize=3)
    axes.set_yticks(places, ranking.methods)
    axes.set_xlabel("Bradley-Terry strength, logits (right = preferred)")
    axes.axvline(0, color="0.8", zorder=0)
    figure.savefig(path, metadata={"Software": None})


def _axes():
    # Without pyplot: no window system, no global state, no leak of figures.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()
