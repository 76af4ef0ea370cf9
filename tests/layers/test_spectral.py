import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import SNConv, convolve, spectral_normalize

# The start vector of the golden file holds u after the third call instead; this one was
# solved from the stored v of the first call.
_START = [0.17782927, -0.05130845, 0.47262996, 0.42184842, 0.50623393, -0.55510020]


def test_three_training_calls_of_torch_are_reproduced(golden, error):
    stored = golden("spectral_norm_torch")
    kernel = jnp.asarray(stored["weight"].transpose(2, 3, 1, 0))
    features = jnp.asarray(stored["x"].transpose(0, 2, 3, 1))
    bias = jnp.asarray(stored["bias"])
    u = jnp.asarray([_START])
    for call in (1, 2, 3):
        normalised, u = spectral_normalize(kernel, u)
        out = convolve(features, normalised, bias, strides=2, padding="SYMMETRIC")
        expected = stored[f"weight_sn{call}"].transpose(2, 3, 1, 0)
        assert error(normalised, expected) < 1e-5
        assert error(u[0], stored[f"u_after{call}"]) < 1e-5
        assert error(out, stored[f"y_train{call}"].transpose(0, 2, 3, 1)) < 1e-5
    # Torch's evaluation keeps the last u and v, that is, the weights of the third call.
    assert error(out, stored["y_eval"].transpose(0, 2, 3, 1)) < 1e-5


def test_many_iterations_find_the_largest_singular_value(rng):
    kernel = rng.normal(size=(3, 3, 4, 6)).astype(np.float32)
    largest = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
    normalised, u = spectral_normalize(
        jnp.asarray(kernel), jnp.ones((1, 6)), iterations=50
    )
    np.testing.assert_allclose(normalised, kernel / largest, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(u), 1, rtol=1e-6)


def test_four_times_identity_has_norm_four():
    kernel = 4 * jnp.eye(3).reshape(1, 1, 3, 3)
    normalised, _ = spectral_normalize(kernel, jnp.asarray([[1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(normalised[0, 0], jnp.eye(3), atol=1e-6)


def test_gradient_treats_u_and_v_as_constants(rng):
    matrix = rng.normal(size=(8, 5))
    u = rng.normal(size=(1, 5))
    weights = rng.normal(size=(8, 5))

    def value(kernel, start):
        return jnp.sum(
            spectral_normalize(kernel, start)[0] * weights.astype(np.float32)
        )

    arguments = [jnp.asarray(a.astype(np.float32)) for a in (matrix, u)]
    for_kernel, for_start = jax.grad(value, (0, 1))(*arguments)
    assert not np.any(for_start)
    v = u @ matrix.T
    v /= np.linalg.norm(v)
    u = v @ matrix
    u /= np.linalg.norm(u)
    sigma = (v @ matrix @ u.T).item()
    expected = weights / sigma - np.sum(weights * matrix) / sigma**2 * v.T @ u
    np.testing.assert_allclose(for_kernel, expected, rtol=1e-4, atol=1e-5)


def test_kernel_of_zeros_stays_finite():
    value, gradient = jax.value_and_grad(
        lambda kernel: jnp.sum(spectral_normalize(kernel, jnp.ones((1, 3)))[0])
    )(jnp.zeros((2, 3)))
    assert value == 0
    assert np.all(np.isfinite(gradient))


def test_stored_vector_moves_only_when_asked(rng, key):
    features = jnp.asarray(rng.normal(size=(1, 8, 8, 3)).astype(np.float32))
    layer = SNConv(4, strides=2)
    variables = layer.init(key, features, update_stats=True)
    assert jax.tree.map(jnp.shape, variables) == {
        "params": {"kernel": (5, 5, 3, 4), "bias": (4,)},
        "spectral_stats": {"u": (1, 4)},
    }
    frozen = layer.apply(variables, features, update_stats=False)
    updated, stats = layer.apply(
        variables, features, update_stats=True, mutable="spectral_stats"
    )
    np.testing.assert_array_equal(frozen, updated)
    kernel = variables["params"]["kernel"]
    _, expected = spectral_normalize(kernel, variables["spectral_stats"]["u"])
    np.testing.assert_array_equal(stats["spectral_stats"]["u"], expected)


def test_bfloat16_features_leave_the_norm_in_float32(key):
    features = jnp.ones((1, 8, 8, 3))
    layer = SNConv(4, dtype=jnp.bfloat16)
    out, variables = layer.init_with_output(key, features, update_stats=False)
    assert out.dtype == jnp.bfloat16
    assert variables["spectral_stats"]["u"].dtype == jnp.float32


def test_wrong_shape_and_count_are_refused():
    with pytest.raises(ValueError, match=r"u must be \[1, 3\]"):
        spectral_normalize(jnp.ones((2, 3)), jnp.ones((3, 1)))
    with pytest.raises(ValueError, match="at least 1"):
        spectral_normalize(jnp.ones((2, 3)), jnp.ones((1, 3)), iterations=0)
