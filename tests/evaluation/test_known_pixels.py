"""Known pixels come back bit for bit, from real methods, however they are run."""

import numpy as np
import pytest

import inpainting_jax as ij
from inpainting_jax.evaluation.blending import BLENDS
from inpainting_jax.evaluation.strategies import STRATEGIES

SLOW_SEARCH = {"latent_search"}  # held by the registry's tests


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "name", sorted(set(ij.list_weights()) - {"deepfill_v2"} - SLOW_SEARCH)
)
def test_known_pixels_survive_in_every_method_with_weights(name):
    image = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[20:34, 25:47] = True
    fill = ij.load(name)
    for strategy in STRATEGIES:
        for blend in BLENDS:
            done = fill(image, hole, strategy=strategy, blend=blend)  # a grey image
            assert done.shape == image.shape
            np.testing.assert_array_equal(done[~hole], image[~hole])
            assert (done[hole] != image[hole]).mean() > 0.9, (strategy, blend)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["patchmatch", "deepfill_v2"])
def test_known_pixels_survive_every_dtype_strategy_and_blend(name):
    rng = np.random.default_rng(0)
    unit = rng.uniform(size=(64, 64, 3))
    hole = np.zeros((64, 64), bool)
    hole[20:34, 25:47] = True
    fill = ij.load(name)
    pictures = (
        (unit * 255).astype(np.uint8),
        (unit * 65535).astype(np.uint16),
        unit.astype(np.float32),
    )
    for strategy in STRATEGIES:
        for blend in BLENDS:
            for image in pictures:
                done = fill(image, hole, strategy=strategy, blend=blend)
                assert done.dtype == image.dtype
                np.testing.assert_array_equal(done[~hole], image[~hole])
                assert (done[hole] != image[hole]).mean() > 0.9, (strategy, blend)
