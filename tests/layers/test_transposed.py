"""The sub-pixel form against Flax's transposed convolution, which inserts zeros."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import TransposedConvBlock, convolve_transposed


@pytest.mark.parametrize(
    ("size", "strides"),
    [(4, 2), (5, 2), (3, 2), (2, 2), (6, 2), (3, 3), (5, 3), (1, 2), (4, 1), (5, 4)],
)
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_equals_the_transposed_convolution_of_flax(rng, error, size, strides, padding):
    features = jnp.asarray(rng.normal(size=(2, 5, 4, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(size, size, 3, 6)).astype(np.float32))
    flax = nn.ConvTranspose(
        6, (size, size), (strides, strides), padding=padding, use_bias=False
    )
    expected = flax.apply({"params": {"kernel": kernel}}, features)
    ours = convolve_transposed(features, kernel, strides=strides, padding=padding)
    assert ours.shape == expected.shape
    assert error(ours, expected) < 1e-5


@pytest.mark.parametrize("strides", [1, 2, 3])
def test_a_single_pixel_grows_as_in_flax(rng, error, strides):
    features = jnp.asarray(rng.normal(size=(2, 1, 1, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(4, 4, 3, 6)).astype(np.float32))
    flax = nn.ConvTranspose(
        6, (4, 4), (strides, strides), padding="VALID", use_bias=False
    )
    expected = flax.apply({"params": {"kernel": kernel}}, features)
    ours = convolve_transposed(features, kernel, strides=strides, padding="VALID")
    assert ours.shape == expected.shape
    assert error(ours, expected) < 1e-5


@pytest.mark.parametrize(("size", "strides"), [(3, 2), (4, 2), (5, 2), (3, 1), (2, 3)])
def test_symmetric_padding_is_that_of_pytorch(rng, error, size, strides):
    """out[s i + t - p] += in[i] kernel[t], p = (k - 1) // 2, cropped to s times."""
    features = rng.normal(size=(1, 4, 3, 2)).astype(np.float32)
    kernel = rng.normal(size=(size, size, 2, 5)).astype(np.float32)
    height, width, crop = 4 * strides, 3 * strides, (size - 1) // 2
    full = np.zeros((height + size + crop, width + size + crop, 5))
    torch_kernel = kernel[::-1, ::-1]
    for i, j, y, x in np.ndindex(4, 3, size, size):
        full[strides * i + y, strides * j + x] += features[0, i, j] @ torch_kernel[y, x]
    expected = full[crop : crop + height, crop : crop + width]
    ours = convolve_transposed(
        jnp.asarray(features), jnp.asarray(kernel), strides=strides, padding="SYMMETRIC"
    )
    assert error(ours, expected[None]) < 1e-5


def test_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="unknown padding 'REFLECT'"):
        convolve_transposed(
            jnp.ones((1, 4, 4, 1)), jnp.ones((4, 4, 1, 1)), padding="REFLECT"
        )


@pytest.mark.parametrize("norm_last", [False, True])
def test_block_normalises_before_or_after_the_activation(rng, key, norm_last):
    features = jnp.asarray(rng.normal(size=(2, 4, 4, 3)).astype(np.float32))
    norm = functools.partial(nn.BatchNorm, use_running_average=False)
    block = TransposedConvBlock(5, norm=norm, norm_last=norm_last)
    variables = block.init(key, features)
    out, _ = block.apply(variables, features, mutable="batch_stats")
    plain = convolve_transposed(features, variables["params"]["kernel"])
    first, second = (nn.relu, _standardised) if norm_last else (_standardised, nn.relu)
    np.testing.assert_allclose(out, second(first(plain)), atol=1e-4)
    assert (out.min() < 0) == norm_last


def _standardised(features):
    axes = (0, 1, 2)
    centred = features - features.mean(axes, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)


def test_jitted_equals_eager(rng):
    features = jnp.asarray(rng.normal(size=(1, 4, 4, 2)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(5, 5, 2, 3)).astype(np.float32))
    np.testing.assert_allclose(
        jax.jit(convolve_transposed)(features, kernel),
        convolve_transposed(features, kernel),
        atol=1e-5,
    )
