"""Shared set-up: four CPU devices, strict ranks, small fixtures."""

import pathlib

import jax
import numpy as np
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def golden():
    """Loads `tests/golden/NAME.npz` as a mapping of arrays."""

    def load(name: str):
        return np.load(GOLDEN / f"{name}.npz", allow_pickle=False)

    return load


@pytest.fixture
def batch():
    """Two 32x32 images with different centre holes, and their keys."""
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    mask = np.zeros((2, 32, 32, 1), np.float32)
    mask[0, 8:20, 8:24] = 1
    mask[1, 4:12, 16:30] = 1
    return {
        "image": jax.numpy.asarray(image),
        "mask": jax.numpy.asarray(mask),
        "keys": jax.random.split(jax.random.key(1), 2),
    }
