"""Scores and sample pictures of the networks in training, on a fixed set.

The same images and the same masks every time and on every process, so that curves
compare and all processes agree on the best checkpoint.
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inpainting_jax import masks
from inpainting_jax.data import eval_images, guides, open_source
from inpainting_jax.images import from_signed, mask_image, to_signed, to_unit
from inpainting_jax.methods import Method
from inpainting_jax.metrics import METRICS
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Variables

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
        pairs = eval_images(source, side, config.evaluation.images, fit=config.data.fit)
        names, images = zip(*pairs, strict=True)
        self._images = to_signed(np.stack(images))
        holes, _ = masks.fixed_set(
            config.evaluation.masks, _SEED, len(pairs), side, side, names=names
        )
        self._masks = holes[..., None].astype(np.float32)
        self._guides = None
        if config.data.guide == "edges":
            drawn = guides.edges(jnp.asarray(self._images))
            self._guides = np.asarray(drawn) * self._masks
        self._batch = min(config.batch_size, len(pairs))
        self._predict = jax.jit(method.predict) if method.traceable else method.predict
        wanted = split_name(config.evaluation.best)[0]
        self._metrics = {
            name: metric
            for name, metric in METRICS.items()
            if metric.needs_truth and metric.min_side <= side
            if name == wanted or not metric.optional
        }
        self._score = jax.jit(self._values)

    def scores(self, variables: Variables) -> dict[str, float]:
        """Means over the set, by metric and region: `psnr_hole`, `l1_image`, ..."""
        rows = []
        for part in self._parts():
            completed = self._run(variables, part)["completed"]
            # Through 8 bits, as the images that people will get.
            completed = to_unit(from_signed(np.asarray(completed), np.uint8))
            truth = to_unit(self._images[part])
            rows.append(
                jax.device_get(self._score(completed, truth, self._masks[part]))
            )
        count = len(self._images)
        return {
            name: float(np.nanmean(np.concatenate([r[name] for r in rows])[:count]))
            for name in rows[0]
        }

    def grid(self, variables: Variables) -> np.ndarray:
        """[H, W, 3] uint8; one row per image: masked, stages, completed, truth."""
        count = min(_SAMPLES, len(self._images))
        part = np.linspace(0, len(self._images) - 1, count).astype(int)
        image, mask = self._images[part], self._masks[part]
        stages = dict(self._run(variables, part))
        completed = stages.pop("completed")
        columns = [mask_image(image, mask)]
        if self._guides is not None:
            columns.append(np.repeat(1 - 2 * self._guides[part], 3, axis=-1))
        columns += [*stages.values(), completed, image]
        margins = ((0, 0), (0, _GAP), (0, _GAP), (0, 0))
        columns = [
            np.pad(from_signed(np.asarray(c), np.uint8), margins, constant_values=255)
            for c in columns
        ]
        rows = np.concatenate(columns, axis=2)
        return rows.reshape(-1, *rows.shape[2:])

    def _parts(self) -> Iterator[np.ndarray]:
        """Indices of equally large batches; the last one begins again at the front."""
        count = len(self._images)
        for first in range(0, count, self._batch):
            yield np.arange(first, first + self._batch) % count

    def _run(self, variables: Variables, part: np.ndarray) -> Mapping[str, Array]:
        guide = None if self._guides is None else jnp.asarray(self._guides[part])
        key = jax.random.key(_SEED)
        image, mask = jnp.asarray(self._images[part]), jnp.asarray(self._masks[part])
        return self._predict(variables, key, image, mask, guide)

    def _values(self, completed: Array, truth: Array, mask: Array) -> dict[str, Array]:
        return {
            f"{name}_{region}": metric(
                completed, truth, mask if region == "hole" else None
            )
            for name, metric in self._metrics.items()
            for region in metric.regions
        }


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
