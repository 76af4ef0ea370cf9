"""Scores and sample pictures of the network in training, on a fixed set.

The same images and the same masks (seeded, hashed by `masks.fixed_set`) every time and
on every process, so that curves compare and all processes agree on the best checkpoint.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inpainting_jax import masks
from inpainting_jax.data import eval_images, guides, open_source
from inpainting_jax.images import from_signed, mask_image, to_signed
from inpainting_jax.methods import Method
from inpainting_jax.types import Variables

_SAMPLES = 6  # rows of a grid
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
        self._images = to_signed(np.stack([image for _, image in pairs]))
        holes, self.mask_hash = masks.fixed_set(
            config.evaluation.masks, _SEED, len(pairs), side, side
        )
        self._masks = (np.asarray(holes)[..., None] > 0).astype(np.float32)
        self._guides = None
        if config.data.guide == "edges":
            self._guides = np.asarray(guides.edges(self._images) * self._masks)
        self._batch = max(1, min(config.batch_size, len(pairs)))
        self._predict = jax.jit(method.predict) if method.traceable else method.predict

    def scores(self, variables: Variables) -> dict[str, float]:
        """Means over the set, by metric."""
        sums = np.zeros(2)
        for part in self._parts():
            image, mask = self._images[part], self._masks[part]
            completed = np.asarray(self._run(variables, part)["completed"])
            error = np.abs(completed - image).mean(-1, keepdims=True) / 2
            area = mask.sum((1, 2, 3))
            sums[0] += ((error * mask).sum((1, 2, 3)) / np.maximum(area, 1)).sum()
            sums[1] += error.mean((1, 2, 3)).sum()
        l1_hole, l1_image = sums / len(self._images)
        return {"l1_hole": float(l1_hole), "l1_image": float(l1_image)}

    def grid(self, variables: Variables) -> np.ndarray:
        """[H, W, 3] uint8; one row per image: masked, stages, completed, truth."""
        part = slice(0, _SAMPLES)
        image, mask = self._images[part], self._masks[part]
        stages = dict(self._run(variables, part))
        completed = stages.pop("completed")
        columns = [np.asarray(mask_image(image, mask))]
        if self._guides is not None:
            columns.append(np.repeat(1 - 2 * self._guides[part], 3, axis=-1))
        columns += [np.asarray(stage) for stage in stages.values()]
        columns += [np.asarray(completed), image]
        rows = np.concatenate([from_signed(c, np.uint8) for c in columns], axis=2)
        return rows.reshape(-1, *rows.shape[2:])

    def _parts(self):
        for first in range(0, len(self._images), self._batch):
            yield slice(first, first + self._batch)

    def _run(self, variables: Variables, part: slice):
        guide = None if self._guides is None else jnp.asarray(self._guides[part])
        key = jax.random.key(_SEED)
        image, mask = jnp.asarray(self._images[part]), jnp.asarray(self._masks[part])
        return self._predict(variables, key, image, mask, guide)
