import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import GatedConv, convolve, gated_conv, upsample_nearest

_ACTIVATIONS = {"elu": nn.elu, "relu": nn.relu}


def _load(golden, name):
    """The cases of a golden file, with images as NHWC and kernels as HWIO."""
    stored = golden(name)
    arrays = {}
    for entry in stored.files:
        array = stored[entry]
        if entry.endswith("/weight"):
            entry, array = (
                entry[: -len("weight")] + "kernel",
                array.transpose(2, 3, 1, 0),
            )
        elif entry.endswith(("/x", "/y")) and "original" not in name:
            array = array.transpose(0, 2, 3, 1)
        arrays[entry] = jnp.asarray(array) if array.ndim else array
    return arrays, json.loads(str(stored["meta"]))["cases"]


@pytest.mark.parametrize(
    ("name", "padding"),
    [
        ("gated_conv_tf_original", "SAME"),
        ("gated_conv_nipponjo_tf", "SAME"),
        ("gated_conv_nipponjo", "SYMMETRIC"),
    ],
)
def test_published_implementations_are_reproduced(golden, error, name, padding):
    arrays, cases = _load(golden, name)
    for case in cases:
        prefix = case["case"]
        out = gated_conv(
            arrays[f"{prefix}/x"],
            arrays[f"{prefix}/kernel"],
            arrays[f"{prefix}/bias"],
            strides=case["stride"],
            dilation=case["rate"],
            padding=padding,
            activation=_ACTIVATIONS[case["activation"]],
        )
        assert error(out, arrays[f"{prefix}/y"]) < 1e-5, case
    out = gated_conv(
        upsample_nearest(arrays["deconv/x"]),
        arrays["deconv/kernel"],
        arrays["deconv/bias"],
        padding=padding,
    )
    assert error(out, arrays["deconv/y"]) < 1e-5
    if "to_rgb/x" in arrays:
        rgb = [arrays[f"to_rgb/{part}"] for part in ("x", "kernel", "bias")]
        out = convolve(*rgb, padding=padding)
        assert error(out, arrays["to_rgb/y"]) < 1e-5


def test_open_gates_leave_half_of_a_plain_convolution(rng):
    features = jnp.asarray(rng.normal(size=(1, 6, 6, 2)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 4)).astype(np.float32))
    with_gates = jnp.concatenate([kernel, jnp.zeros_like(kernel)], axis=-1)
    out = gated_conv(features, with_gates, activation=None)
    np.testing.assert_allclose(out, convolve(features, kernel) / 2, rtol=1e-6)


def test_module_equals_function_and_jitted_equals_eager(rng, key):
    features = jnp.asarray(rng.normal(size=(2, 8, 8, 3)).astype(np.float32))
    layer = GatedConv(5, strides=2, dilation=1, padding="SYMMETRIC", activation=nn.relu)
    out, variables = layer.init_with_output(key, features)
    assert jax.tree.map(jnp.shape, variables["params"]) == {
        "kernel": (3, 3, 3, 10),
        "bias": (10,),
    }
    expected = gated_conv(
        features,
        **variables["params"],
        strides=2,
        padding="SYMMETRIC",
        activation=nn.relu,
    )
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_allclose(
        jax.jit(layer.apply)(variables, features), out, atol=1e-6
    )


def test_odd_number_of_output_channels_is_refused():
    with pytest.raises(ValueError, match="even"):
        gated_conv(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 3)))
