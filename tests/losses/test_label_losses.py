"""Losses of label maps, and perceptual losses of the hole alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import losses


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


def test_cross_entropy_by_hand():
    logits = jnp.log(jnp.asarray([[[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]]]))
    target = jax.nn.one_hot(jnp.asarray([[[0, 1]]]), 3)
    close = {"rel": 1e-6}
    assert losses.cross_entropy_loss(logits, target)[0] == pytest.approx(
        (np.log(2) + np.log(10)) / 2, **close
    )
    weights = jnp.asarray([[[[3.0], [0.0]]]])
    assert losses.cross_entropy_loss(logits, target, weights)[0] == pytest.approx(
        3 * np.log(2), **close
    )
    assert losses.cross_entropy_loss(logits, target, jnp.zeros_like(weights))[0] == 0
    with pytest.raises(ValueError, match=r"weights .* do not fit"):
        losses.cross_entropy_loss(logits, target, weights[..., 0])
    with pytest.raises(ValueError, match="differ"):
        losses.cross_entropy_loss(logits, target[..., :2])


def test_features_outside_the_hole_do_not_count():
    """9 x 9 features of 16 x 16 pixels; the hole of two pixels lies in cell (2, 3)."""
    rng = np.random.default_rng(0)
    ours, target = (
        jnp.asarray(rng.normal(size=(1, 9, 9, 4)).astype(np.float32)) for _ in range(2)
    )
    mask = jnp.zeros((1, 16, 16, 1)).at[0, 4, 6].set(1).at[0, 4, 5].set(1)
    value = losses.perceptual_loss([ours], [target], mask=mask)
    # Row 4 covers cells 2.25 to 2.81, columns 5 to 7 cells 2.81 to 3.94.
    expected = np.abs(np.asarray(ours - target))[0, 2, 2:4].sum() / ours.size
    assert value[0] == pytest.approx(expected, rel=1e-6)
    gradient = jax.grad(
        lambda x: losses.perceptual_loss([x], [target], mask=mask).sum()
    )(ours)
    touched = np.argwhere(np.abs(gradient[0]).max(-1) > 0)
    assert touched.tolist() == [[2, 2], [2, 3]]
    assert losses.perceptual_loss([target], [target], mask=mask)[0] == 0
