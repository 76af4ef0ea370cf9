import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.layers import elu

_NUMBERS = np.concatenate(
    [np.linspace(-8, 8, 4001), [0, -1e-8, 1e-8, 1e30, -1e30]]
).astype(np.float32)


def test_elu_and_its_slope_are_those_of_flax():
    np.testing.assert_allclose(elu(_NUMBERS), nn.elu(_NUMBERS), atol=1.2e-7)
    slope = jax.vmap(jax.grad(elu))(_NUMBERS)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(nn.elu))(_NUMBERS), atol=2e-7)


def test_short_floats_keep_their_precision_near_zero():
    numbers = jnp.asarray(np.linspace(-0.01, 0, 101), jnp.bfloat16)
    out = elu(numbers)
    assert out.dtype == jnp.bfloat16
    exact = np.expm1(np.asarray(numbers, np.float64))
    np.testing.assert_allclose(np.asarray(out, np.float64), exact, rtol=2**-8)
