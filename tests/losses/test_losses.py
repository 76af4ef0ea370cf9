"""Losses by hand, and against the values of the TensorFlow original."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import losses


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


def test_hinge_equals_the_tensorflow_original(golden):
    file = golden("losses_tf_original")
    real, fake = jnp.asarray(file["pos"]), jnp.asarray(file["neg"])
    ours = losses.hinge_discriminator_loss(real, fake)
    assert ours.shape == (real.shape[0],)
    np.testing.assert_allclose(ours.mean(), file["hinge/d"], rtol=1e-6)
    np.testing.assert_allclose(
        losses.hinge_generator_loss(fake).mean(), file["hinge/g"], rtol=1e-6
    )


def test_hinge_by_hand():
    real = jnp.array([[2.0, 0.0], [1.0, 1.0]])
    fake = jnp.array([[-3.0, 1.0], [-1.0, -1.0]])
    # First image: (0 + 1) / 2 for real, (0 + 2) / 2 for fake, halved.
    np.testing.assert_allclose(losses.hinge_discriminator_loss(real, fake), [0.75, 0.0])
    np.testing.assert_allclose(
        losses.hinge_discriminator_loss(real, fake, scale=1.0), [1.5, 0.0]
    )
    np.testing.assert_allclose(losses.hinge_generator_loss(fake), [1.0, 1.0])


def test_hinge_is_computed_in_float32():
    logits = jnp.full((1, 4096), 1.001, jnp.bfloat16)
    assert losses.hinge_generator_loss(logits).dtype == jnp.float32


def test_l1_by_hand():
    a = jnp.zeros((2, 2, 2, 3))
    b = a.at[0, 0, 0, 0].set(0.5).at[1].set(-1.0)
    np.testing.assert_allclose(losses.l1_loss(a, b), [0.5 / 12, 1.0], rtol=1e-6)


def test_masked_l1_looks_at_the_mask_only():
    a = jnp.zeros((2, 2, 2, 3))
    b = a.at[:, 0, 0, :].set(0.5).at[:, 1, 1, :].set(9.0)
    mask = jnp.zeros((2, 2, 2, 1)).at[0, 0, :, 0].set(1.0)
    np.testing.assert_allclose(losses.masked_l1_loss(a, b, mask), [0.25, 0.0])
    gradient = jax.grad(lambda x: losses.masked_l1_loss(x, b, mask).sum())(a)
    assert jnp.isfinite(gradient).all()
    assert (gradient[1] == 0).all()


def test_shapes_must_agree():
    a = jnp.zeros((2, 4, 4, 3))
    with pytest.raises(ValueError, match=r"prediction .*\(1, 4, 4, 3\) differ"):
        losses.l1_loss(a, a[:1])
    with pytest.raises(ValueError, match=r"mask \(2, 4, 4, 3\) does not fit"):
        losses.masked_l1_loss(a, a, a)
