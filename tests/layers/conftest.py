"""Layers mix no dtypes by accident: their tests run under strict promotion."""

import jax
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _strict_promotion():
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def error():
    """Largest difference, relative to the standard deviation of the expected array."""

    def relative(actual, expected) -> float:
        expected = np.asarray(expected, np.float64)
        return np.abs(np.asarray(actual, np.float64) - expected).max() / expected.std()

    return relative
