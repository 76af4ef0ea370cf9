"""Convolutions by tiles: the paper's matrices, the rounding, where they are used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import runtime
from inpainting_jax.layers import GatedConv, conv_gradients, winograd

# Lavin and Gray 2016, Section 4.3: B^T and G of F(4 x 4, 3 x 3).
INPUTS = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
KERNEL = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
OUTPUTS = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]


def test_the_papers_points_give_the_papers_matrices(monkeypatch):
    monkeypatch.setattr(winograd, "_POINTS", (0, 1, -1, 2, -2))
    matrices = winograd._matrices.__wrapped__()
    np.testing.assert_allclose(matrices.inputs, INPUTS, atol=1e-12)
    np.testing.assert_allclose(matrices.kernel, KERNEL, atol=1e-12)
    np.testing.assert_allclose(matrices.outputs, OUTPUTS, atol=1e-12)


def _exact(features, kernel, dilation):
    """The convolution in float64, SAME."""
    around = ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0))
    padded = np.pad(features.astype(np.float64), around)
    height, width = features.shape[1:3]
    return sum(
        padded[:, row * dilation :, column * dilation :][:, :height, :width]
        @ kernel[row, column].astype(np.float64)
        for row in range(3)
        for column in range(3)
    )


@pytest.mark.parametrize("dilation", [1, 2, 16])
def test_rounding_stays_near_that_of_plain_sums(rng, dilation):
    features = rng.normal(size=(1, 64, 60, 96)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 96, 48)).astype(np.float32)
    margins = ((dilation, dilation),) * 2
    out = jax.jit(lambda x, k: winograd.convolve(x, k, dilation, margins))(
        features, kernel
    )
    expected = _exact(features, kernel, dilation)
    wrong = np.asarray(out) - expected
    assert wrong.std() < 1.5e-6 * expected.std()
    assert np.abs(wrong).max() < 2e-5 * expected.std()


@pytest.fixture
def tiled(monkeypatch, one_device):
    """The shapes of the kernels that went by tiles."""
    seen = []
    convolve = winograd.convolve

    def record(features, kernel, *options, **settings):
        seen.append(kernel.shape)
        return convolve(features, kernel, *options, **settings)

    monkeypatch.setattr(winograd, "convolve", record)
    return seen


@pytest.mark.parametrize(
    ("shape", "layer", "expected"),
    [
        ((1, 64, 64, 96), GatedConv(96), True),
        ((1, 64, 64, 96), GatedConv(96, dilation=16), True),
        ((1, 16, 16, 96), GatedConv(96), False),  # too little work
        ((1, 16, 16, 96), GatedConv(2048), False),  # too few tiles
        ((1, 36, 36, 96), GatedConv(96, dilation=8), False),  # half of them empty
        ((1, 512, 512, 8), GatedConv(32), False),  # too few channels
        ((1, 64, 64, 96), GatedConv(96, (5, 5)), False),
        ((1, 128, 128, 96), GatedConv(96, strides=2), False),
    ],
)
def test_large_convolutions_of_many_channels_go_by_tiles(tiled, shape, layer, expected):
    jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros(shape))
    assert bool(tiled) == expected


def test_half_precision_and_several_devices_stay_with_xla(tiled, monkeypatch):
    layer, features = GatedConv(96), jnp.zeros((1, 64, 64, 96))
    half = GatedConv(96, dtype=jnp.bfloat16)
    jax.eval_shape(half.init, jax.random.key(0), features)
    monkeypatch.setattr(runtime, "alone_on_cpu", lambda: False)
    jax.eval_shape(layer.init, jax.random.key(0), features)
    assert not tiled


def test_gradients_go_by_tiles_too(tiled, rng, error, monkeypatch):
    """Both are checked where the layer is large enough, against XLA's."""
    features = rng.normal(size=(1, 64, 64, 96)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 96, 48)).astype(np.float32)

    def total(features, kernel):
        out = conv_gradients.convolve_with_margins(
            features, kernel, 1, 1, ((1, 1), (1, 1))
        )
        return (out**2).sum()

    def gradients():
        both = jax.grad(total, (0, 1))
        return jax.jit(lambda *a: both(*a), compiler_options=runtime.compiler_options())

    ours = gradients()(features, kernel)
    assert tiled == [(3, 3, 96, 48), (3, 3, 48, 96)]
    monkeypatch.setattr(conv_gradients, "_TILED_PRODUCTS", 10**12)
    for mine, theirs in zip(ours, gradients()(features, kernel), strict=True):
        assert error(mine, theirs) < 3e-5
