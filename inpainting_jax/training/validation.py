"""Scores and sample pictures of the networks in training, on a fixed set.

The same images and the same masks every time and on every process, so that curves
compare and all processes agree on the best checkpoint.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inpainting_jax import masks, runtime
from inpainting_jax.data import eval_views, guides, open_source
from inpainting_jax.evaluation.scores import choose_metrics, evaluate_method
from inpainting_jax.images import from_signed, mask_image, to_signed
from inpainting_jax.label_maps import paint_labels
from inpainting_jax.methods import Method
from inpainting_jax.metrics import METRICS
from inpainting_jax.metrics.pixel import seam
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.training import health
from inpainting_jax.types import UNKNOWN_LABEL, Array, Variables

_SAMPLES = 6  # rows of a grid
_GAP = 2  # white pixels between its pictures
_SEED = 0  # of the masks: not the run's, so that runs compare


class Validation:
    """A fixed set of holes and what a method makes of them.

    Args:
      config: its `data` and `evaluation` say which images and masks.
      method: what is trained.
    """

    def __init__(self, config: ConfigDict, method: Method):
        spec, side = config.evaluation.source, config.data.image_size
        source = (
            open_source(spec) if spec else open_source(config.data.source, "validation")
        )
        views = eval_views(source, side, config.evaluation.images, fit=config.data.fit)
        names = [view["name"] for view in views]
        self._truth = np.stack([view["image"] for view in views])
        self._holes, _ = masks.fixed_set(
            config.evaluation.masks, _SEED, len(views), side, side, names=names
        )
        self._guides = _guides(config.data.guide, views, self._holes[..., None], method)
        self._labels = method.guide_kind == "labels"
        self._size = min(config.batch_size, len(views))
        self._predict = method.compiled_predict()
        self._monitor = method.monitor and runtime.compiled(method.monitor)
        wanted, _ = split_name(config.evaluation.best)
        usual = choose_metrics(side, side)
        self._metrics = tuple(dict.fromkeys((*usual, wanted)))

    def scores(self, variables: Variables) -> tuple[dict[str, float], dict[str, float]]:
        """Means over the set, and the state of the fills.

        The first are by metric and region: `psnr_hole`, `l1_image`, ...; the second see
        `health.fill_statistics`, with `seam` and, of two stages, `coarse_refined_gap`.
        """
        key = jax.random.key(_SEED)
        stages: dict[str, list[np.ndarray]] = {}
        inside: dict[str, list[np.ndarray]] = {}

        def predict(image: Array, mask: Array, guide: Array | None) -> Array:
            found = self._predict(variables, key, image, mask, guide)
            for name in ("completed", "coarse", "refined"):
                if name in found:
                    stages.setdefault(name, []).append(np.asarray(found[name]))
            if self._monitor is not None:
                for name, each in self._monitor(variables, image, mask, guide).items():
                    inside.setdefault(name, []).append(np.asarray(each))
            return found["completed"]

        scores = evaluate_method(
            predict,
            self._truth,
            self._holes,
            guides=self._guides,
            metrics=self._metrics,
            size=self._size,
        )
        count = len(self._truth)
        whole = {name: np.concatenate(parts)[:count] for name, parts in stages.items()}
        watched = {
            name: float(np.concatenate(parts)[:count].mean())
            for name, parts in inside.items()
        }
        return scores, self._health(whole) | watched

    def _health(self, stages: Mapping[str, np.ndarray]) -> dict[str, float]:
        truth, holes = to_signed(self._truth), self._holes
        completed = np.where(holes[..., None] > 0, stages["completed"], truth)
        found = health.fill_statistics(completed, truth, holes)
        mask = jnp.asarray(holes[..., None] > 0)
        edges = seam((completed + 1) / 2, (truth + 1) / 2, mask)
        found["seam"] = float(np.nanmedian(np.asarray(edges)))
        if {"coarse", "refined"} <= set(stages):
            inside = holes > 0
            far = [
                float(np.abs(stages[name] - truth)[inside].mean())
                for name in ("coarse", "refined")
                if stages[name].shape == truth.shape
            ]
            if len(far) == 2:
                found["coarse_refined_gap"] = far[0] - far[1]
        return found

    def grid(self, variables: Variables) -> np.ndarray:
        """[H, W, 3] uint8; one row per image: masked, stages, completed, truth."""
        count = min(_SAMPLES, len(self._truth))
        rows = np.linspace(0, len(self._truth) - 1, count).astype(int)
        truth = jnp.asarray(to_signed(self._truth[rows]))
        mask = jnp.asarray(self._holes[rows][..., None], jnp.float32)
        image = mask_image(truth, mask)
        columns, guide = [image], None
        if self._guides is not None:
            guide = self._guides[rows]
            columns.append(self._paint(guide))
        stages = dict(
            self._predict(variables, jax.random.key(_SEED), image, mask, guide)
        )
        completed = stages.pop("completed")
        if "labels" in stages:
            stages["labels"] = self._paint(np.asarray(stages["labels"]))
        columns += [*stages.values(), completed, truth]
        margins = ((0, 0), (0, _GAP), (0, _GAP), (0, 0))
        columns = [
            np.pad(from_signed(np.asarray(c), np.uint8), margins, constant_values=255)
            for c in columns
        ]
        grid = np.concatenate(columns, axis=2)
        return grid.reshape(-1, *grid.shape[2:])

    def _paint(self, guide: np.ndarray) -> np.ndarray:
        """A guide [B, H, W, G] as pictures [B, H, W, 3] in [-1, 1]."""
        if self._labels:
            return to_signed(paint_labels(guide[..., 0]))
        return np.repeat(1 - 2 * guide, 3, axis=-1)


def _guides(
    kind: str, views: Sequence[Mapping], holes: np.ndarray, method: Method
) -> np.ndarray | None:
    """[N, H, W, G] what the method is told of each image: never labels of its hole."""
    if kind == "edges":
        truth = to_signed(np.stack([view["image"] for view in views]))
        return np.asarray(guides.edges(jnp.asarray(truth))) * holes
    if kind != "labels":
        return None
    lacking = [view["name"] for view in views if "label_map" not in view]
    if lacking:
        raise ValueError(
            f"the validation image {lacking[0]} has no label map, which guide='labels' "
            "needs: prepare the data with --labels, or set evaluation.source."
        )
    labels = np.stack([view["label_map"] for view in views])[..., None]
    highest = labels[labels != UNKNOWN_LABEL].max(initial=0)
    if highest >= method.guide_classes:
        raise ValueError(
            f"the label maps hold class {highest}, but {method.name} is built for"
            f" {method.guide_classes} classes: set config.model.classes to at least"
            f" {highest + 1}."
        )
    return np.where(holes > 0, UNKNOWN_LABEL, labels).astype(np.float32)


def split_name(best: str) -> tuple[str, str]:
    """`"l1_hole"` -> metric and region; `ValueError` that lists what can be asked for.

    The metrics are those of `METRICS` that compare with the truth.
    """
    known = {
        f"{name}_{region}": (name, region)
        for name, metric in METRICS.items()
        if metric.needs_truth
        for region in metric.regions
    }
    if best not in known:
        raise UnknownNameError("metric in evaluation.best", best, known)
    return known[best]


def best_mode(best: str) -> str:
    """Whether the best value of a metric is its "min" or its "max"."""
    return "max" if METRICS[split_name(best)[0]].higher_is_better else "min"
