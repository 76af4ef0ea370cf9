"""One method at a time through a set: completed, measured, and gone again.

Images pass through one batch at a time. What grows with their number is a line of
values each, the bits of the hole, and, for set metrics, two vectors of features.
"""

import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from inpainting_jax.evaluation import cases, report_files, set_scores, sheets
from inpainting_jax.evaluation.report import MethodResult, Report, SetRows, as_written
from inpainting_jax.evaluation.report import groups as groups_of
from inpainting_jax.evaluation.scores import batch_size, score
from inpainting_jax.evaluation.sets import EvaluationSet, describe_set
from inpainting_jax.evaluation.shelf import Shelf
from inpainting_jax.features import PooledNetwork

Inpaint = Callable[..., np.ndarray]
"""`(image, mask, *, seed, strategy, blend) -> image`: an `Inpainter`, or the like."""


def completions(
    name: str,
    inpainter: Inpaint | None,
    evaluation_set: EvaluationSet,
    settings: Mapping[str, Any],
) -> Iterator[tuple[np.ndarray, ...]]:
    """(indices, completed, truth, holes) by batches; None hands the truth through.

    The method sees black in the holes. The last batch is filled up by repeating the
    last image, so that all have one shape.

    Raises:
      RuntimeError: if known pixels changed.
    """
    count = len(evaluation_set)
    step = min(count, batch_size(*evaluation_set.size))
    for first in range(0, count, step):
        indices = np.arange(first, first + step).clip(max=count - 1)
        truth, holes = evaluation_set.images(indices), evaluation_set.holes(indices)
        if inpainter is None:
            yield indices, truth, truth, holes
            continue
        mask = holes[..., None]
        image = np.where(mask > 0, 0, truth).astype(np.uint8)
        filled = np.asarray(inpainter(image, mask, **settings))
        changed = (filled != image) & (mask == 0)
        if filled.dtype != np.uint8 or changed.any():
            raise RuntimeError(
                f"{name} changed {int(changed.sum())} known values in images "
                f"{first} to {indices[-1]}; a method must return known "
                "pixels as they are (is its mask inverted?)."
            )
        yield indices, filled, truth, holes


class Measurement:
    """What is measured, on what, and into which folder.

    Args:
      chosen: images and holes.
      output: folder.
      metrics: names of `METRICS`.
      set_metrics: names of `SET_METRICS`.
      networks: those of the set metrics.
      seed: of the resamples.
      keep_images: whether all images are written.
      progress: whether to draw a bar.
    """

    def __init__(
        self,
        chosen: EvaluationSet,
        output: pathlib.Path,
        metrics: tuple[str, ...],
        set_metrics: tuple[str, ...],
        networks: Mapping[str, PooledNetwork],
        seed: int,
        keep_images: bool,
        progress: bool,
    ):
        self.chosen, self.output, self.seed = chosen, output, seed
        self.metrics, self.set_metrics = metrics, set_metrics
        self.networks, self.keep, self.progress = networks, keep_images, progress
        self._reference: dict[str, np.ndarray] | None = None

    def gather(self, results: Mapping[str, MethodResult]) -> Report:
        """The results with what they were measured on."""
        return Report(
            described=describe_set(self.chosen),
            names=self.chosen.names,
            facts=self.chosen.facts,
            metrics=self.metrics,
            set_metrics=self.set_metrics,
            networks={
                name: {"file_sha256": n.file_sha256, "resize": n.resize}
                for name, n in self.networks.items()
            },
            results=results,
            seed=self.seed,
        )

    def earlier(self) -> dict[str, MethodResult]:
        """Results that the folder holds; {} if none.

        Raises:
          ValueError: they are on other images, holes or metrics, or damaged.
        """
        remedy = "give another --output, or --overwrite to forget the earlier results"
        try:
            found = report_files.read(self.output)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ValueError(f"{error}; {remedy}.") from error
        other = report_files.differences(found, self.gather({}))
        if other:
            raise ValueError(
                f"{self.output} holds a report on other {' and other '.join(other)}, "
                f"whose numbers cannot stand beside these; {remedy}."
            )
        same_seed = found.seed == self.seed or not self.set_metrics
        return dict(found.results) if same_seed else {}

    def has_pictures(self, name: str) -> bool:
        """Whether what is kept of a method is there already."""
        kept = not self.keep or (self.output / "images" / name).is_dir()
        return kept and sheets.has_samples(self.output, name)

    def measure(
        self, name: str, inpainter: Inpaint | None, identity: dict[str, Any]
    ) -> MethodResult:
        """Completes (None: takes the originals), scores, and keeps pictures."""
        names = ("strategy", "blend", "seed")
        settings = {key: identity[key] for key in names if key in identity}
        count, seconds = len(self.chosen), 0.0
        parts, features = [], {network: [] for network in self.networks}
        shelf = Shelf(self.output, self.chosen)
        stream = completions(name, inpainter, self.chosen, settings)
        bar = tqdm(total=count, desc=name, unit="image", disable=not self.progress)
        with bar, shelf:
            start = time.perf_counter()
            for indices, completed, truth, holes in stream:
                seconds += time.perf_counter() - start
                fresh = int(np.sum(np.diff(indices, prepend=-1) > 0))
                values = score(completed, truth, holes, self.metrics)
                parts.append({key: value[:fresh] for key, value in values.items()})
                for network, found in features.items():
                    found.append(self.networks[network](completed[:fresh]))
                shelf.add(completed[:fresh])
                if self.keep:
                    self._keep(name, indices[:fresh], completed, holes)
                bar.update(fresh)
                start = time.perf_counter()
            joined = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
            values = as_written(joined)
            sheets.write_samples(self.output, name, shelf)
            if inpainter is not None:
                cases.write(self.output, name, self.chosen, shelf, values)
        fakes = {key: np.concatenate(value) for key, value in features.items()}
        return MethodResult(identity, values, seconds / count, self._sets(name, fakes))

    def _sets(self, name: str, fakes: Mapping[str, np.ndarray]) -> SetRows:
        if not self.set_metrics:
            return {}
        if self._reference is None:
            self._reference = self._features_of_truth()
        groups = groups_of(self.chosen.facts)
        return set_scores.score_sets(
            self._reference, fakes, self.set_metrics, groups, self.seed
        )

    def _features_of_truth(self) -> dict[str, np.ndarray]:
        found = {network: [] for network in self.networks}
        count, step = len(self.chosen), batch_size(*self.chosen.size)
        for first in range(0, count, step):
            truth = self.chosen.images(range(first, min(first + step, count)))
            for network, parts in found.items():
                parts.append(self.networks[network](truth))
        return {network: np.concatenate(parts) for network, parts in found.items()}

    def _keep(
        self, name: str, indices: np.ndarray, completed: np.ndarray, holes: np.ndarray
    ) -> None:
        """Writes PNG files: OUTPUT/images/NAME/, and masks once, with the originals."""
        names = [self.chosen.names[index] for index in indices]
        sheets.write_images(self.output / "images" / name, indices, names, completed)
        if name == "ground_truth":
            white = np.repeat(holes[..., None] * np.uint8(255), 3, axis=-1)
            sheets.write_images(self.output / "images" / "masks", indices, names, white)
