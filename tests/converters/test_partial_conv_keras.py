"""PConv-Keras's U-Net, written down once more from its description, and ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters
from inpainting_jax.methods import METHODS

WIDTH, DEPTH = 4, 2
SIZES = (7, 5)  # of the encoder's kernels; 3 in the decoder


@pytest.fixture
def layers():
    """`{layer: {weight name: array}}`, numbered as in a process's second model."""
    rng = np.random.default_rng(0)
    into = [3, WIDTH, 2 * WIDTH + WIDTH, WIDTH + 3]
    out = [WIDTH, 2 * WIDTH, WIDTH, 3]
    sizes, found = [*SIZES, 3, 3], {}
    for number, (i, o, k) in enumerate(zip(into, out, sizes, strict=True), 9):
        name = f"p_conv2d_{number}"
        kernel = rng.normal(0, (k * k) ** -0.5, (k, k, i, o))
        found[name] = {
            f"{name}/img_kernel:0": kernel,
            f"{name}/bias:0": rng.normal(size=o),
        }
    for name, count in (("EncBN1", 2 * WIDTH), ("batch_normalization_7", WIDTH)):
        draw = {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1.5}
        found[name] = {
            f"{name}/{leaf}:0": rng.uniform(-0.4, 0.4, count) + middle
            for leaf, middle in draw.items()
        }
    head = {"kernel": rng.normal(size=(1, 1, 3, 3)), "bias": rng.normal(size=3)}
    found["outputs_img"] = {f"outputs_img/{k}:0": v for k, v in head.items()}
    return {
        layer: {name: array.astype(np.float32) for name, array in weights.items()}
        for layer, weights in found.items()
    }


def _partial(weights, name, features, mask, strides):
    """Window size over the sum of the mask of all channels; the bias everywhere."""
    kernel = weights[f"{name}/img_kernel:0"]
    reach = kernel.shape[0] // 2

    def convolve(array, kernel):
        margins = [(reach, reach)] * 2
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            array, kernel, (strides, strides), margins, dimension_numbers=layout
        )

    total = convolve(mask, jnp.ones_like(kernel))
    valid = jnp.clip(total, 0, 1)
    ratio = kernel.shape[0] ** 2 / (total + 1e-8) * valid
    bias = weights[f"{name}/bias:0"][None, None, None]
    return convolve(features * mask, kernel) * ratio + bias, valid


def _normalise(weights, name, features):
    gamma, beta, mean, variance = (
        weights[f"{name}/{leaf}:0"][None, None, None]
        for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return (features - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def _theirs(layers, image, mask):
    """The network on [0, 1]; mask [B, H, W, 3], 1 = known."""
    weights = {name: array for one in layers.values() for name, array in one.items()}

    def double(array):
        return array.repeat(2, axis=1).repeat(2, axis=2)

    first, first_mask = _partial(weights, "p_conv2d_9", image, mask, 2)
    first = jax.nn.relu(first)
    below, below_mask = _partial(weights, "p_conv2d_10", first, first_mask, 2)
    below = jax.nn.relu(_normalise(weights, "EncBN1", below))
    for number, skip, norm in (
        (11, (first, first_mask), "batch_normalization_7"),
        (12, (image, mask), None),
    ):
        joined, joined_mask = (
            jnp.concatenate([one, double(other)], axis=-1)
            for one, other in zip(skip, (below, below_mask), strict=True)
        )
        below, below_mask = _partial(
            weights, f"p_conv2d_{number}", joined, joined_mask, 1
        )
        below = below if norm is None else _normalise(weights, norm, below)
        below = jax.nn.leaky_relu(below, 0.2)
    out = below @ weights["outputs_img/kernel:0"][0, 0]
    return jax.nn.sigmoid(out + weights["outputs_img/bias:0"][None, None, None])


def test_the_converted_network_equals_keras(layers, keras_file):
    """To float32 rounding: 1e-5 of [0, 1]."""
    converted = converters.convert(
        "partial_conv_keras", converters.read_tensors(keras_file(layers))
    )
    assert (converted.overrides["depth"], converted.overrides["width"]) == (2, WIDTH)
    rng = np.random.default_rng(1)
    image = rng.uniform(size=(2, 16, 16, 3)).astype(np.float32)
    hole = np.zeros((2, 16, 16, 1), np.float32)
    hole[0, 3:9, 4:13] = hole[1, 8:, 8:] = 1
    generator = METHODS["partial_conv"](**converted.overrides).networks["generator"]
    ours, _ = jax.jit(generator.apply)(
        converted.variables["generator"], image * 2 - 1, hole
    )
    known = np.broadcast_to(1 - hole, image.shape)
    theirs = jax.jit(lambda *args: _theirs(layers, *args))(image, known)
    assert np.std(theirs) > 0.05
    np.testing.assert_allclose((ours + 1) / 2, theirs, atol=1e-5)


def test_a_missing_bias_or_norm_is_named(layers, keras_file):
    del layers["p_conv2d_10"]["p_conv2d_10/bias:0"]
    tensors = converters.read_tensors(keras_file(layers))
    with pytest.raises(ValueError, match=r"p_conv2d_10/bias:0"):
        converters.convert("partial_conv_keras", tensors)
    tensors["p_conv2d_10/bias:0"] = np.zeros(8, np.float32)
    del tensors["EncBN1/moving_mean:0"]
    with pytest.raises(ValueError, match=r"EncBN1/moving_mean:0"):
        converters.convert("partial_conv_keras", tensors)
