"""Metrics of whole sets: which, from how many images, and with what interval.

Reference are the originals of the evaluated images themselves, in their order: the bias
of small samples is then small (on faces with a blurred centre, 100 and 400 images
differ by 2 points of Frechet distance, against 60 with other faces as reference).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from inpainting_jax.evaluation.report import SetRows, plain
from inpainting_jax.evaluation.scores import choose_metrics
from inpainting_jax.metrics import METRICS, SET_METRICS
from inpainting_jax.metrics.discriminability import UNINFORMATIVE
from inpainting_jax.registry import UnknownNameError

PARTS = 20
"""Groups of images that are left out in turn for an interval."""

STANDARD = "standard"
"""Stands for the default metrics, LPIPS, and the set metrics below where n allows."""

STANDARD_SETS = ("fd_efflite0", "kid_efflite0", "ids_cv_efflite0")


def choose(
    size: tuple[int, int], count: int, wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Metrics per image and metrics of sets for N images of a size.

    Args:
      size: (H, W).
      count: N.
      wanted: names of `METRICS` and `SET_METRICS`, or `standard`; None: the defaults
        per image, no set metrics.

    Raises:
      ValueError: an unknown name, images too small, or too few for a set metric that
        was asked for by name.
    """
    names = list(wanted or [])
    if STANDARD in names:
        place = names.index(STANDARD)
        usual = [*choose_metrics(*size)]
        if min(size) >= METRICS["lpips_alex"].min_side:
            usual.append("lpips_alex")
        usual += [n for n in STANDARD_SETS if count >= SET_METRICS[n].least]
        names[place : place + 1] = usual
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in METRICS and name not in SET_METRICS:
            raise UnknownNameError("metric", name, {**METRICS, **SET_METRICS})
    sets = tuple(name for name in names if name in SET_METRICS)
    for name in sets:
        if count < SET_METRICS[name].least:
            raise ValueError(
                f"{name} needs at least {SET_METRICS[name].least} images, these are "
                f"{count}; raise --count, or leave it out: with fewer it says more "
                "about their number than about the method."
            )
    each = [name for name in names if name in METRICS]
    return choose_metrics(*size, each or None), sets


def score_sets(
    real: Mapping[str, np.ndarray],
    fake: Mapping[str, np.ndarray],
    names: Sequence[str],
    groups: Mapping[str, np.ndarray],
    seed: int,
) -> SetRows:
    """Values of set metrics by group, as they are written.

    Args:
      real: `{network: [N, D]}` features of the originals.
      fake: the same of the completed images.
      names: of `SET_METRICS`.
      groups: [N] bool by group; groups of fewer images than a metric needs lack it.
      seed: of the parts that are left out.

    Returns:
      Rows `{n, value, lo, hi, replicates}`; `replicates` are the values without each
      of `PARTS` groups of images, from which the interval comes (jackknife), empty
      where there is none. P-IDS and U-IDS by the published recipe carry `null`: the
      value if originals and completed images were exchanged at random, and
      `uninformative` where that is as low.
    """
    rows: SetRows = {}
    for group, chosen in groups.items():
        for name in names:
            metric = SET_METRICS[name]
            if chosen.sum() < metric.least:
                continue
            pair = real[metric.network][chosen], fake[metric.network][chosen]
            found = _score(metric, *pair, seed)
            rows.setdefault(group, {}).update(plain(found))
    return rows


def _score(metric, real: np.ndarray, fake: np.ndarray, seed: int) -> dict[str, Any]:
    count = len(real)
    values = metric(real, fake)
    low = high = np.full(len(values), np.nan)
    replicates: list[tuple[float, ...]] = []
    if metric.resampled:
        part = np.random.default_rng(seed).permutation(count) % PARTS
        replicates = [metric(real[part != p], fake[part != p]) for p in range(PARTS)]
        reach = spread(np.array(replicates))
        low, high = values - reach, values + reach
    expected = metric.expected(real, fake)
    rows = {}
    for k, column in enumerate(metric.columns):
        row = {"n": count, "value": values[k], "lo": low[k], "hi": high[k]}
        row["replicates"] = [replicate[k] for replicate in replicates]
        if expected is not None:
            row["null"] = expected[k]
            row["uninformative"] = bool(expected[1] < UNINFORMATIVE)
        rows[column] = row
    return rows


def spread(replicates: np.ndarray) -> np.ndarray:
    """Half widths [K] of 95 % intervals from jackknife replicates [PARTS, K]."""
    parts = len(replicates)
    deviations = replicates - replicates.mean(0)
    error = np.sqrt((parts - 1) / parts * (deviations**2).sum(0))
    return scipy.stats.t.ppf(0.975, parts - 1) * error
