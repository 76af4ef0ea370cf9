"""Results of several methods on one set, and what follows from them.

Every table and every plot derives from the values per image, and from the values of
whole sets with their replicates.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from inpainting_jax.evaluation import statistics
from inpainting_jax.evaluation.scores import columns
from inpainting_jax.masks import BUCKETS, OTHER
from inpainting_jax.metrics import METRICS, SET_METRICS
from inpainting_jax.metrics.pixel import MIN_SQUARE

REFERENCES = ("mean_fill", "ground_truth")
"""Rows that frame a table and do not compete."""

SetRows = dict[str, dict[str, dict[str, Any]]]
"""`{group: {column: {n, value, lo, hi, ...}}}` of one method."""


@dataclasses.dataclass(frozen=True)
class MethodResult:
    """What one method made of the set.

    Attributes:
      identity: method, weights, settings: equal identities give equal values.
      values: [N] by column, as they are written.
      seconds: per image, completion alone, compilation included.
      sets: of the set metrics, as they are written.
    """

    identity: dict[str, Any]
    values: dict[str, np.ndarray]
    seconds: float
    sets: SetRows = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Report:
    """Results of several methods on one set.

    Attributes:
      described: the entries `data` and `masks` (`sets.describe_set`).
      names: of the N images.
      facts: of the N holes, see `sets.HOLE_FACTS`.
      metrics: names of `METRICS`, without regions.
      set_metrics: names of `SET_METRICS`.
      networks: `{network: {file_sha256, resize}}` of the set metrics.
      results: by name of the row.
      seed: of the resamples.
    """

    described: Mapping[str, Any]
    names: tuple[str, ...]
    facts: Mapping[str, list]
    metrics: tuple[str, ...]
    set_metrics: tuple[str, ...]
    networks: Mapping[str, Mapping[str, str]]
    results: Mapping[str, MethodResult]
    seed: int

    def versions(self) -> dict[str, int]:
        """The version of every metric."""
        versions = {name: METRICS[name].version for name in self.metrics}
        return versions | {n: SET_METRICS[n].version for n in self.set_metrics}

    def competitors(self) -> list[str]:
        """The rows that are compared: all but the references."""
        return [name for name in self.results if name not in REFERENCES]

    def summary(self) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
        """`{method: {group: {column: {n, mean, median, lo, hi, ...}}}}`."""
        names = columns(self.metrics)
        caps = [METRICS[name.rsplit("_", 1)[0]].cap for name in names]
        caps = np.array([np.nan if cap is None else cap for cap in caps])
        table = np.stack([self.table(method) for method in self.results], axis=1)
        summary = {method: {} for method in self.results}
        for group, chosen in groups(self.facts).items():
            part = table[chosen]
            flat = part.reshape(len(part), -1)  # one set of resamples for all methods
            caps_of_all = np.tile(caps, len(self.results))
            rows = statistics.summarise(flat, caps_of_all, self.seed)
            for m, method in enumerate(self.results):
                own = rows[m * len(names) : (m + 1) * len(names)]
                columns_of_group = dict(zip(names, own, strict=True))
                _add_psnr_of_means(columns_of_group)
                summary[method][group] = columns_of_group
        return summary

    def pairs(self) -> list[dict[str, Any]]:
        """Paired comparisons of all methods but the references."""
        better = self.directions()
        tables = {method: self.table(method) for method in self.competitors()}
        names = columns(self.metrics)
        rows = statistics.compare_pairs(tables, names, better, self.seed)
        sets = {m: self.results[m].sets.get("all", {}) for m in tables}
        return rows + statistics.compare_sets(sets)

    def directions(self) -> dict[str, bool]:
        """Whether more is better, by column, of columns that have a better end."""
        found = {
            name: METRICS[name.rsplit("_", 1)[0]].higher_is_better
            for name in columns(self.metrics)
        }
        return {name: up for name, up in found.items() if up is not None}

    def set_directions(self) -> dict[str, bool]:
        """Whether more is better, by column of the set metrics."""
        return {
            column: up
            for name in self.set_metrics
            for column, up in zip(
                SET_METRICS[name].columns,
                SET_METRICS[name].higher_is_better,
                strict=True,
            )
        }

    def table(self, method: str) -> np.ndarray:
        """[N, K] values of a method, in the order of `columns(metrics)`."""
        values = self.results[method].values
        return np.stack([values[name] for name in columns(self.metrics)], axis=1)


def groups(facts: Mapping[str, list]) -> dict[str, np.ndarray]:
    """[N] bool by group: `all`, buckets, `border`, `inner`, and their crossings."""
    bucket = np.array(facts["bucket"])
    border = np.array(facts["border"], bool)
    sides = {"border": border, "inner": ~border}
    found = {"all": np.ones(len(bucket), bool)}
    found |= {name: bucket == name for name in (*BUCKETS, OTHER)}
    found |= sides
    for name in BUCKETS:
        found |= {f"{name}/{s}": (bucket == name) & sides[s] for s in sides}
    return {name: chosen for name, chosen in found.items() if chosen.any()}


def _add_psnr_of_means(rows: dict[str, dict[str, Any]]) -> None:
    """Puts `of_mean_l2` beside mean PSNR: the PSNR of the mean square, never larger.

    The field reports the first; some tables hold the second.
    """
    for region in ("image", "hole"):
        if f"psnr_{region}" in rows and f"l2_{region}" in rows:
            square = rows[f"l2_{region}"]["mean"]
            value = -10 * math.log10(max(square, MIN_SQUARE))
            rows[f"psnr_{region}"]["of_mean_l2"] = value


def as_written(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values as per_image.csv will give them back."""
    return {
        name: np.array([float(f"{v:.9g}") for v in column])
        for name, column in values.items()
    }


def plain(value: Any) -> Any:
    """JSON types only: six digits, null for what is not a number."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
