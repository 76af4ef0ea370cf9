"""Batch normalisation: exact where the common shortcut is not."""

import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import batch_norm
from inpainting_jax.layers.normalization import dcgan_scale_init


def test_a_large_mean_costs_no_digits(rng, key):
    """In float32, E[x^2] - E[x]^2 of these values would be wrong by half."""
    values = jnp.asarray(rng.normal(size=(3, 1, 1, 50)).astype(np.float32))
    shifted = values + 256.0
    values = shifted - 256.0  # what is left of them after rounding
    norm = batch_norm(True)()
    variables = norm.init(key, values)
    expected, _ = norm.apply(variables, values, mutable=["batch_stats"])
    out, stats = norm.apply(variables, shifted, mutable=["batch_stats"])
    np.testing.assert_allclose(out, expected, atol=2e-3)  # of the mean's rounding
    running = 0.9 * 1 + 0.1 * np.var(np.asarray(values), axis=(0, 1, 2))
    np.testing.assert_allclose(stats["batch_stats"]["var"], running, rtol=1e-4)


def test_running_values_are_used_outside_of_training(rng, key):
    values = jnp.asarray(rng.normal(size=(4, 2, 2, 3)).astype(np.float32))
    norm = batch_norm(False)()
    out = norm.apply(norm.init(key, values), values)
    np.testing.assert_allclose(out, values / np.sqrt(1 + 1e-5), rtol=1e-6)


def test_scales_of_dcgan_lie_around_one(key):
    scales = dcgan_scale_init(key, (20_000,), jnp.float32)
    assert float(scales.mean()) == pytest.approx(1, abs=1e-3)
    assert float(scales.std()) == pytest.approx(0.02, rel=0.05)
