"""The CPU's own gradients of a convolution against those XLA derives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import conv_gradients, convolve

CASES = [
    # size, kernel, strides, dilation, padding
    ((8, 6), (3, 3), 1, 1, "SAME"),
    ((8, 6), (5, 5), 2, 1, "SAME"),
    ((9, 7), (5, 5), 2, 1, "SYMMETRIC"),
    ((9, 6), (3, 3), 2, 1, "SYMMETRIC"),
    ((7, 7), (4, 4), 2, 1, "VALID"),
    ((8, 8), (4, 4), 2, 1, ((1, 1), (1, 1))),
    ((8, 8), (2, 2), 3, 1, "VALID"),
    ((7, 9), (1, 1), 2, 1, "SAME"),
    ((9, 8), (3, 3), 1, 4, "SAME"),
    ((6, 6), (3, 3), 1, 2, "REFLECT"),
    ((9, 9), (3, 3), 2, 2, "SAME"),
    ((8, 8), (3, 5), 2, 1, "SAME"),
    ((4, 4), (4, 4), 1, 1, "VALID"),
    ((6, 6), (3, 3), 1, 1, ((4, 0), (0, 3))),
]


@pytest.fixture(params=["by tiles", "by taps", "in parts", "by XLA"])
def form(request, monkeypatch, one_device):
    """Which form the convolution and its gradients take, whatever the size."""
    tiled = 0 if request.param == "by tiles" else 10**12
    monkeypatch.setattr(conv_gradients, "_TILED_PRODUCTS", tiled)
    monkeypatch.setattr(conv_gradients, "_TILED_WASTE", 10**9)
    monkeypatch.setattr(conv_gradients, "_TILED_CHANNELS", 0)
    monkeypatch.setattr(conv_gradients, "_TILES", 0)
    limit = 10**9 if request.param == "by XLA" else 0
    monkeypatch.setattr(conv_gradients, "_PER_TAP_CHANNELS", limit)
    monkeypatch.setattr(conv_gradients, "_PER_TAP_POSITIONS", limit)
    numbers = 1 if request.param == "in parts" else 10**9
    monkeypatch.setattr(conv_gradients, "_PER_TAP_NUMBERS", numbers)
    return request.param


def _plain(features, kernel, strides, dilation, padding):
    """XLA's convolution, differentiated by JAX."""
    if padding in ("SYMMETRIC", "REFLECT"):
        margins = [(dilation * (size - 1) // 2,) * 2 for size in kernel.shape[:2]]
        if padding == "REFLECT":
            features = jnp.pad(features, ((0, 0), *margins, (0, 0)), mode="reflect")
            margins = "VALID"
        padding = margins
    return jax.lax.conv_general_dilated(
        features,
        kernel,
        (strides, strides),
        padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@pytest.mark.parametrize(("size", "taps", "strides", "dilation", "padding"), CASES)
def test_gradients_equal_those_of_xla(
    form, rng, error, size, taps, strides, dilation, padding
):
    features = jnp.asarray(rng.normal(size=(2, *size, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(*taps, 3, 4)).astype(np.float32))

    def ours(features, kernel):
        return convolve(
            features, kernel, strides=strides, dilation=dilation, padding=padding
        )

    expected, pull_back = jax.vjp(
        lambda f, k: _plain(f, k, strides, dilation, padding), features, kernel
    )
    gradient = jnp.asarray(rng.normal(size=expected.shape).astype(np.float32))

    def found(features, kernel):
        out, our_pull_back = jax.vjp(ours, features, kernel)
        return out, our_pull_back(gradient)

    if form == "by tiles":  # its many small sums take long to compile one by one
        found = jax.jit(found, compiler_options={"xla_backend_optimization_level": 0})
    out, slopes = found(features, kernel)
    tolerance = 3e-5 if form == "by tiles" else 1e-5
    assert error(out, expected) < tolerance
    for mine, theirs in zip(slopes, pull_back(gradient), strict=True):
        assert mine.shape == theirs.shape
        assert error(mine, theirs) < tolerance


@pytest.mark.parametrize(("strides", "size"), [(1, 5), (2, 5), (1, 3)])
def test_second_derivatives_equal_those_of_xla(form, rng, error, strides, size):
    """A gradient penalty differentiates the gradient."""
    features = jnp.asarray(rng.normal(size=(2, 8, 8, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(size, size, 3, 4)).astype(np.float32))

    def penalty(conv):
        def total(kernel):
            slope = jax.grad(lambda x: jnp.tanh(conv(x, kernel)).sum())(features)
            return (slope**2).sum()

        options = {"xla_backend_optimization_level": 0}
        return jax.jit(jax.grad(total), compiler_options=options)(kernel)

    ours = penalty(lambda x, k: convolve(x, k, strides=strides))
    theirs = penalty(lambda x, k: _plain(x, k, strides, 1, "SAME"))
    assert error(ours, theirs) < 1e-4


def test_half_precision_stays_half_but_sums_in_single(monkeypatch):
    monkeypatch.setattr(conv_gradients, "_PER_TAP_CHANNELS", 0)
    features = jnp.ones((1, 64, 64, 1), jnp.bfloat16)
    kernel = jnp.ones((1, 1, 1, 1), jnp.bfloat16)

    def total(kernel):
        margins = ((0, 0), (0, 0))
        out = conv_gradients.convolve_with_margins(features, kernel, 1, 1, margins)
        return out.astype(jnp.float32).sum()

    gradient = jax.grad(total)(kernel)
    assert gradient.dtype == jnp.bfloat16
    assert float(gradient[0, 0, 0, 0]) == 4096  # summed in bfloat16 it stops at 256


@pytest.mark.parametrize(("size", "taps", "strides", "dilation", "padding"), CASES)
def test_few_filters_equal_xla_s(
    rng, error, monkeypatch, size, taps, strides, dilation, padding
):
    used = []
    few = conv_gradients._convolve_few
    monkeypatch.setattr(
        conv_gradients, "_convolve_few", lambda *a: used.append(0) or few(*a)
    )
    features = jnp.asarray(rng.normal(size=(2, *size, 6)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(*taps, 6, 2)).astype(np.float32))
    options = {"strides": strides, "dilation": dilation, "padding": padding}

    def found(features, kernel):
        return convolve(features, kernel, **options)

    def known(features, kernel):
        return _plain(features, kernel, strides, dilation, padding)

    assert error(found(features, kernel), known(features, kernel)) < 1e-5
    assert bool(used) == (strides == 1)
    seed = jnp.asarray(rng.normal(size=found(features, kernel).shape), jnp.float32)
    pulled = [jax.vjp(form, features, kernel)[1](seed) for form in (found, known)]
    for ours, theirs in zip(*pulled, strict=True):
        assert error(ours, theirs) < 1e-5


def test_gradients_of_few_channels_take_the_sum_of_products(rng, error):
    """An image's own gradient, with a margin that the kernel does not reach."""
    features = jnp.asarray(rng.normal(size=(2, 6, 6, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 8)).astype(np.float32))
    padding = ((4, 0), (0, 3))

    def loss(form):
        return lambda x: jnp.sum(jnp.sin(form(x, kernel)))

    found = jax.grad(loss(lambda x, k: convolve(x, k, padding=padding)))(features)
    known = jax.grad(loss(lambda x, k: _plain(x, k, 1, 1, padding)))(features)
    assert error(found, known) < 1e-5


def test_large_images_are_spared_the_products(monkeypatch):
    monkeypatch.setattr(conv_gradients, "_convolve_few", None)
    shapes = (1, 1024, 1024, 12), (3, 3, 12, 3)
    out = jax.eval_shape(
        convolve, *(jax.ShapeDtypeStruct(s, "float32") for s in shapes)
    )
    assert out.shape == (1, 1024, 1024, 3)
