"""Intervals and comparisons: bootstrap over images, paired tests, Holm's correction.

Images are what is resampled, with the same resamples for every method and metric.
Values may be NaN (an empty hole has no hole metric); they drop out of each mean.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy  # its parts are imported when first used: `stats` takes a second

RESAMPLES = 10_000
MIN_IMAGES = 20
"""Fewer images than this get no interval."""

_CHUNK = 250  # resamples at a time: bounds memory at N x 250 doubles


def bootstrap_means(
    values: np.ndarray, seed: int, *, resamples: int = RESAMPLES
) -> np.ndarray:
    """[R, K] means of R resamples (with replacement) of the N rows of [N, K]."""
    count = len(values)
    numbers = ~np.isnan(values)
    clean = np.where(numbers, values, 0.0).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for first in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - first)
        drawn = rng.integers(count, size=(size, count))
        cells = drawn + count * np.arange(size)[:, None]
        weights = np.bincount(cells.ravel(), minlength=size * count)
        weights = weights.reshape(size, count).astype(np.float64)
        shares = weights @ numbers.astype(np.float64)
        means.append(
            np.divide(
                weights @ clean,
                shares,
                out=np.full(shares.shape, np.nan),
                where=shares > 0,
            )
        )
    return np.concatenate(means)


def interval(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 2.5 % and 97.5 % percentiles [K] of resampled means [R, K]."""
    missing = np.isnan(means).all(0)
    low, high = np.nanpercentile(np.where(missing, 0, means), (2.5, 97.5), axis=0)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def summarise(values: np.ndarray, caps: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """Of each column of [N, K]: n, mean, median, lo, hi, n_capped, n_empty.

    Args:
      values: one row per image.
      caps: [K] value at which a column is cut off, NaN if never.
      seed: of the resamples.
    """
    numbers = ~np.isnan(values)
    low = high = np.full(values.shape[1], np.nan)
    if len(values) >= MIN_IMAGES:
        low, high = interval(bootstrap_means(values, seed))
    rows = []
    for k in range(values.shape[1]):
        column = values[numbers[:, k], k].astype(np.float64)
        rows.append(
            {
                "n": len(column),
                "mean": column.mean() if len(column) else np.nan,
                "median": np.median(column) if len(column) else np.nan,
                "lo": low[k],
                "hi": high[k],
                "n_capped": int(np.sum(column == caps[k])),
                "n_empty": int(len(values) - len(column)),
            }
        )
    return rows


def compare_pairs(
    tables: Mapping[str, np.ndarray],
    columns: tuple[str, ...],
    higher_is_better: Mapping[str, bool],
    seed: int,
) -> list[dict[str, Any]]:
    """Paired differences of every two methods on identical images.

    Args:
      tables: `{method: [N, K]}`.
      columns: names of the K columns.
      higher_is_better: by column; columns that are not in it are not compared.
      seed: of resamples and sign flips.

    Returns:
      Rows `{a, b, metric, difference, lo, hi, wins, p, p_holm}`: mean of a - b with its
      95 % bootstrap interval, share of images where a is better (ties count half),
      p of a sign-flip permutation test, and p after Holm's correction over all rows.
    """
    kept = [k for k, name in enumerate(columns) if name in higher_is_better]
    rows, differences = [], []
    for a, b in itertools.combinations(tables, 2):
        for k in kept:
            difference = tables[a][:, k].astype(np.float64) - tables[b][:, k]
            numbers = difference[~np.isnan(difference)]
            if len(numbers) < MIN_IMAGES:
                continue
            sign = 1 if higher_is_better[columns[k]] else -1
            wins = np.mean(sign * numbers > 0) + np.mean(numbers == 0) / 2
            rows.append({"a": a, "b": b, "metric": columns[k], "wins": wins})
            rows[-1]["difference"] = numbers.mean()
            differences.append(difference)
    if not rows:
        return []
    stack = np.stack(differences, axis=1)
    low, high = interval(bootstrap_means(stack, seed))
    chances = sign_flip_test(stack, seed)
    corrected = holm(chances)
    for k, row in enumerate(rows):
        row |= {"lo": low[k], "hi": high[k], "p": chances[k], "p_holm": corrected[k]}
    return rows


def compare_sets(
    rows: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    """Differences of every two methods in metrics of whole sets, by paired jackknife.

    Args:
      rows: `{method: {column: {value, replicates}}}`; replicates leave out the same
        images for every method.

    Returns:
      Rows as of `compare_pairs`, without `wins`; p is of a t test with one degree of
      freedom less than there are replicates, Holm's correction over these rows.
    """
    found = []
    for a, b in itertools.combinations(rows, 2):
        for column in rows[a]:
            one, two = rows[a][column], rows[b].get(column)
            if not two or not (one["replicates"] and two["replicates"]):
                continue
            apart = np.subtract(one["replicates"], two["replicates"])
            parts, difference = len(apart), one["value"] - two["value"]
            error = np.sqrt((parts - 1) / parts * ((apart - apart.mean()) ** 2).sum())
            reach = scipy.stats.t.ppf(0.975, parts - 1) * error
            score = abs(difference) / error if error > 0 else np.inf
            chance = 2 * scipy.stats.t.sf(score, parts - 1) if difference else 1.0
            found.append({"a": a, "b": b, "metric": column, "difference": difference})
            found[-1] |= {"lo": difference - reach, "hi": difference + reach}
            found[-1] |= {"wins": np.nan, "p": float(chance)}
    corrected = holm(np.array([row["p"] for row in found])) if found else []
    for row, chance in zip(found, corrected, strict=True):
        row["p_holm"] = chance
    return found


def mean_ranks(
    table: np.ndarray, higher_is_better: bool, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean rank of M methods over N images, 1 = best, with 95 % intervals.

    Args:
      table: [N, M] values of one metric; images where one is NaN are left out.
      higher_is_better: whether the highest value has rank 1; ties share a rank.
      seed: of the resamples of images.

    Returns:
      Means, lower and upper ends, [M] each; ends are NaN below `MIN_IMAGES` images.
    """
    numbers = table[~np.isnan(table).any(1)]
    ranks = scipy.stats.rankdata(-numbers if higher_is_better else numbers, axis=1)
    missing = np.full(table.shape[1], np.nan)
    if len(ranks) < MIN_IMAGES:
        return (ranks.mean(0) if len(ranks) else missing), missing, missing
    return ranks.mean(0), *interval(bootstrap_means(ranks, seed))


def sign_flip_test(
    differences: np.ndarray, seed: int, *, flips: int = RESAMPLES
) -> np.ndarray:
    """[K] two-sided p that the means of [N, K] are 0, by flipping signs at random.

    (1 + flips at least as extreme) / (1 + flips): never 0.
    """
    clean = np.where(np.isnan(differences), 0.0, differences)
    observed = np.abs(clean.sum(0)) * (1 - 1e-12)  # ties by rounding count as extreme
    rng = np.random.default_rng(seed)
    extreme = np.zeros(clean.shape[1])
    for first in range(0, flips, _CHUNK):
        size = min(_CHUNK, flips - first)
        signs = rng.integers(2, size=(size, len(clean))) * 2.0 - 1
        extreme += (np.abs(signs @ clean) >= observed).sum(0)
    return (1 + extreme) / (1 + flips)


def holm(chances: np.ndarray) -> np.ndarray:
    """Holm's step-down correction of p values [K], in their order."""
    order = np.argsort(chances, kind="stable")
    factors = len(chances) - np.arange(len(chances))
    stepped = np.maximum.accumulate(np.minimum(chances[order] * factors, 1))
    corrected = np.empty(len(chances))
    corrected[order] = stepped
    return corrected
