import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import (
    ConvBlock,
    DilatedStack,
    GatedConv,
    UpsampleConv,
    convolve,
)


def _loop(features, kernel, strides, dilation, margins):
    """Convolution of one [H, W, C] image by a double loop, in float64."""
    padded = np.pad(features.astype(np.float64), (*margins, (0, 0)))
    size = kernel.shape[0]
    reach = dilation * (size - 1) + 1
    rows = (padded.shape[0] - reach) // strides + 1
    columns = (padded.shape[1] - reach) // strides + 1
    out = np.zeros((rows, columns, kernel.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            top, left = row * strides, column * strides
            window = padded[
                top : top + reach : dilation, left : left + reach : dilation
            ]
            out[row, column] = np.tensordot(window, kernel, 3)
    return out


@pytest.mark.parametrize(
    ("padding", "strides", "dilation", "margins"),
    [
        ("SAME", 1, 1, ((1, 1), (1, 1))),
        ("SAME", 2, 1, ((0, 1), (0, 1))),
        ("SYMMETRIC", 2, 1, ((1, 1), (1, 1))),
        ("SYMMETRIC", 1, 2, ((2, 2), (2, 2))),
        ("VALID", 1, 1, ((0, 0), (0, 0))),
        (((2, 0), (1, 1)), 1, 1, ((2, 0), (1, 1))),
    ],
)
def test_convolve_equals_a_double_loop(rng, error, padding, strides, dilation, margins):
    features = rng.normal(size=(1, 8, 6, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    out = convolve(
        jnp.asarray(features),
        jnp.asarray(kernel),
        strides=strides,
        padding=padding,
        dilation=dilation,
    )
    assert error(out[0], _loop(features[0], kernel, strides, dilation, margins)) < 1e-6


def test_reflect_padding_mirrors_without_repeating_the_edge(rng, error):
    features = rng.normal(size=(1, 6, 6, 2)).astype(np.float32)
    kernel = rng.normal(size=(5, 5, 2, 3)).astype(np.float32)
    out = convolve(jnp.asarray(features), jnp.asarray(kernel), padding="REFLECT")
    mirrored = np.pad(features[0], ((2, 2), (2, 2), (0, 0)), mode="reflect")
    assert error(out[0], _loop(mirrored, kernel, 1, 1, ((0, 0), (0, 0)))) < 1e-6


def test_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="unknown padding 'same'"):
        convolve(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), padding="same")


def test_block_is_convolution_then_norm_then_activation(rng, key):
    features = jnp.asarray(rng.normal(size=(2, 6, 6, 3)).astype(np.float32))
    norm = functools.partial(nn.BatchNorm, use_running_average=False)
    block = ConvBlock(4, norm=norm, activation=nn.relu)
    variables = block.init(key, features)
    assert set(variables["params"]) == {"kernel", "bias", "norm"}
    out, _ = block.apply(variables, features, mutable="batch_stats")
    plain = convolve(features, variables["params"]["kernel"])
    mean, deviation = plain.mean((0, 1, 2)), plain.std((0, 1, 2))
    expected = nn.relu((plain - mean[None, None, None]) / deviation[None, None, None])
    np.testing.assert_allclose(out, expected, atol=1e-4)  # the norm's own epsilon


def test_bfloat16_block_keeps_float32_parameters(key):
    features = jnp.ones((1, 4, 4, 3))
    block = ConvBlock(2, dtype=jnp.bfloat16)
    out, variables = block.init_with_output(key, features)
    assert out.dtype == jnp.bfloat16
    assert variables["params"]["kernel"].dtype == jnp.float32


def test_upsample_and_stack_take_any_convolution(key):
    features = jnp.ones((1, 5, 4, 3))
    out, variables = jax.eval_shape(
        UpsampleConv(6, conv=GatedConv).init_with_output, key, features
    )
    assert out.shape == (1, 10, 8, 6)
    assert jax.tree.map(jnp.shape, variables["params"]["conv"]) == {
        "kernel": (3, 3, 3, 12),
        "bias": (12,),
    }
    out, variables = jax.eval_shape(
        DilatedStack(3, conv=GatedConv).init_with_output, key, features
    )
    assert out.shape == features.shape
    assert list(variables["params"]) == ["conv0", "conv1", "conv2", "conv3"]


def test_stack_sees_as_far_as_its_dilations_reach(key):
    stack = DilatedStack(
        1, dilations=(2, 4), conv=functools.partial(ConvBlock, activation=None)
    )
    features = jnp.zeros((1, 21, 21, 1))
    variables = stack.init(key, features)
    gradient = jax.grad(lambda x: stack.apply(variables, x)[0, 10, 10, 0])(features)
    touched = np.flatnonzero(np.abs(np.asarray(gradient)[0, :, :, 0]).sum(1))
    assert (touched.min(), touched.max()) == (10 - 6, 10 + 6)
