import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import runtime
from inpainting_jax.layers import attention_fusion


def _table(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _by_definition(scores, reach):
    """Each score with its neighbours', one at a time, along rows, then columns."""
    batch, height, width, *_ = scores.shape

    def along(scores, order):
        flat = np.asarray(scores).transpose(order)
        shape = flat.shape
        flat = flat.reshape(batch, height * width, -1)
        out = np.zeros_like(flat)
        for offset in range(-reach, reach + 1):
            low, high = max(0, -offset), max(0, offset)
            queries, keys = flat.shape[1], flat.shape[2]
            out[:, low : queries - high, low : keys - high] += flat[
                :, high : queries - low, high : keys - low
            ]
        return out.reshape(shape).transpose(np.argsort(order))

    return along(along(scores, (0, 1, 2, 3, 4)), (0, 2, 1, 4, 3))


def _whole(scores, reach):
    """`fuse` of all rows of an image."""
    around = (reach + 1, reach + 1)
    padded = jnp.pad(scores, ((0, 0), around, (0, 0), (0, 0), (0, 0)))
    first = jnp.asarray(0, jnp.int32)
    return attention_fusion.fuse(padded, first, None, reach, scores.shape[1])


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("reach", "shape"),
    [
        (1, (2, 4, 5, 3, 6)),
        (1, (1, 3, 2, 4, 4)),  # too narrow for lists
        (1, (1, 3, 3, 1, 5)),
        (2, (1, 5, 4, 4, 3)),
        (2, (2, 4, 3, 2, 4)),  # too narrow again
    ],
)
def test_scores_are_summed_with_their_neighbours(reach, shape, alone, monkeypatch):
    monkeypatch.setattr(runtime, "alone_on_cpu", lambda: alone)
    scores = _table(0, *shape)
    expected = _by_definition(scores, reach)
    fused = jax.jit(functools.partial(_whole, reach=reach))(scores)
    np.testing.assert_allclose(fused, expected, atol=1e-5)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("first", [0, 2, 4])
def test_a_block_is_a_part_of_the_whole(first, alone, monkeypatch):
    monkeypatch.setattr(runtime, "alone_on_cpu", lambda: alone)
    reach, rows = 1, 2
    scores = _table(1, 1, 6, 5, 4, 3)
    padded = jnp.pad(scores, ((0, 0), (2, 2), (0, 0), (0, 0), (0, 0)))
    edges = attention_fusion.edges_of(
        attention_fusion.row_sums(padded[:, 1 : 1 + reach + 2], reach),
        attention_fusion.row_sums(padded[:, -reach - 3 : -1], reach),
    )
    block = jax.jit(attention_fusion.fuse, static_argnums=(3, 4))(
        padded[:, first : first + rows + 2 * reach + 2], first, edges, reach, 6
    )
    whole = _by_definition(scores, reach)
    np.testing.assert_allclose(block, whole[:, first : first + rows], atol=1e-5)


@pytest.mark.parametrize("reach", [1, 2])
def test_the_gradient_is_the_transpose(reach, one_device):
    scores, slopes = _table(2, 1, 4, 5, 4, 3), _table(3, 1, 4, 5, 4, 3)
    total = jax.jit(lambda scores: jnp.vdot(_whole(scores, reach), slopes))
    back = jax.jit(jax.grad(total))(scores)
    np.testing.assert_allclose(total(scores), jnp.vdot(scores, back), rtol=1e-4)


def test_several_devices_keep_the_plain_form(monkeypatch, one_device):
    scores = _table(5, 1, 4, 5, 4, 3)
    lists = jax.make_jaxpr(functools.partial(_whole, reach=1))(scores)
    monkeypatch.setattr(runtime, "alone_on_cpu", lambda: False)
    plain = jax.make_jaxpr(functools.partial(_whole, reach=1))(scores)
    assert "_line_sums" in str(lists)
    assert "_line_sums" not in str(plain)
