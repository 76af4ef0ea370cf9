import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import PartialConv, convolve, partial_conv


def _nhwc(array):
    return jnp.asarray(array.transpose(0, 2, 3, 1))


def _arguments(stored, prefix):
    bias = f"{prefix}/bias"
    return (
        _nhwc(stored[f"{prefix}/x"]),
        _nhwc(stored[f"{prefix}/mask"]),
        jnp.asarray(stored[f"{prefix}/weight"].transpose(2, 3, 1, 0)),
        jnp.asarray(stored[bias]) if bias in stored.files else None,
    )


def _holes(rng, *shape):
    return jnp.asarray((rng.uniform(size=shape) > 0.4).astype(np.float32))


def test_nvidia_layer_is_reproduced_in_all_24_cases(golden, error):
    stored = golden("partialconv2d_nvidia")
    with_gradient = 0
    for case in json.loads(str(stored["meta"]))["cases"]:
        prefix = case["case"]
        features, valid, kernel, bias = _arguments(stored, prefix)

        def apply(features, kernel, valid=valid, bias=bias, case=case):
            return partial_conv(
                features,
                valid,
                kernel,
                bias,
                strides=case["stride"],
                padding="SYMMETRIC",
                dilation=case["dilation"],
            )

        out, new_valid = apply(features, kernel)
        assert error(out, _nhwc(stored[f"{prefix}/y"])) < 1e-5, case
        np.testing.assert_array_equal(new_valid, _nhwc(stored[f"{prefix}/mask_out"]))
        if f"{prefix}/grad_x" in stored.files:
            with_gradient += 1
            for_features, for_kernel = jax.grad(
                lambda *args, apply=apply: jnp.sum(apply(*args)[0] ** 2), (0, 1)
            )(features, kernel)
            assert error(for_features, _nhwc(stored[f"{prefix}/grad_x"])) < 1e-5
            expected = stored[f"{prefix}/grad_weight"].transpose(2, 3, 1, 0)
            assert error(for_kernel, expected) < 1e-5
    assert with_gradient == 2


def test_no_mask_re_weights_the_border_as_nvidia_does(golden, error):
    stored = golden("partialconv2d_nvidia")
    kernel = jnp.asarray(stored["nomask/weight"].transpose(2, 3, 1, 0))
    features, bias = _nhwc(stored["nomask/x"]), jnp.asarray(stored["nomask/bias"])
    out, _ = partial_conv(features, None, kernel, bias, padding="SYMMETRIC")
    assert error(out, _nhwc(stored["nomask/y"])) < 1e-5


def test_naoto_layer_is_reproduced_once_its_kernel_is_scaled(golden, error):
    stored = golden("partialconv2d_naoto")
    for case in json.loads(str(stored["meta"]))["cases"]:
        prefix = case["case"]
        features, valid, kernel, bias = _arguments(stored, prefix)
        window = float(np.prod(kernel.shape[:3]))
        out, new_valid = partial_conv(
            features,
            valid,
            kernel / window,
            bias,
            strides=case["stride"],
            padding="SYMMETRIC",
        )
        assert error(out, _nhwc(stored[f"{prefix}/y"])) < 1e-5, case
        np.testing.assert_array_equal(new_valid, _nhwc(stored[f"{prefix}/mask_out"]))
        options = {"strides": case["stride"], "padding": "SYMMETRIC", "window": "one"}
        unscaled, _ = partial_conv(features, valid, kernel, bias, **options)
        assert error(unscaled, _nhwc(stored[f"{prefix}/y"])) < 1e-5, case


@pytest.mark.parametrize("channels", [1, 3])
def test_window_rules_differ_by_their_factor_alone(rng, error, channels):
    features = jnp.asarray(rng.normal(size=(1, 8, 8, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(5, 5, 3, 2)).astype(np.float32))
    valid = _holes(rng, 1, 8, 8, channels)
    volume, area, one = (
        partial_conv(features, valid, kernel, window=window)[0]
        for window in ("volume", "area", "one")
    )
    assert error(3 * area, volume) < 1e-6
    assert error(75 * one, volume) < 1e-6
    with pytest.raises(ValueError, match=r"'sum'.*volume, area, one"):
        partial_conv(features, valid, kernel, window="sum")


@pytest.mark.parametrize(
    ("size", "strides", "padding", "dilation"),
    [(3, 1, "SAME", 1), (5, 2, "SAME", 1), (3, 1, "SYMMETRIC", 2), (3, 1, "VALID", 1)],
)
def test_nothing_missing_is_a_plain_convolution_inside(
    rng, error, size, strides, padding, dilation
):
    features = jnp.asarray(rng.normal(size=(1, 12, 12, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(size, size, 3, 4)).astype(np.float32))
    options = {"strides": strides, "padding": padding, "dilation": dilation}
    valid = jnp.ones((1, 12, 12, 1))
    out, new_valid = partial_conv(features, valid, kernel, **options)
    plain = convolve(features, kernel, **options)
    inside = slice(2, -2)
    assert error(out[:, inside, inside], plain[:, inside, inside]) < 1e-6
    assert np.all(new_valid == 1)


def test_one_valid_pixel_counts_nine_times():
    valid = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2].set(1)
    out, new_valid = partial_conv(jnp.ones((1, 5, 5, 1)), valid, jnp.ones((3, 3, 1, 1)))
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = 1
    np.testing.assert_array_equal(new_valid[0, :, :, 0], expected)
    np.testing.assert_array_equal(out[0, :, :, 0], 9 * expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_holes_are_never_read_not_even_nan(rng, channels):
    valid = _holes(rng, 2, 8, 8, channels)
    features = jnp.asarray(rng.normal(size=(2, 8, 8, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 4)).astype(np.float32))
    bias = jnp.ones(4)

    def total(features, valid):
        return jnp.sum(partial_conv(features, valid, kernel, bias)[0] ** 2)

    clean, _ = partial_conv(features, valid, kernel, bias)
    poisoned = jnp.where(valid > 0, features, jnp.nan)
    out, _ = partial_conv(poisoned, valid, kernel, bias)
    np.testing.assert_array_equal(out, clean)
    gradient, for_valid = jax.grad(total, (0, 1))(poisoned, valid)
    assert np.all(
        np.asarray(gradient)[np.broadcast_to(valid, gradient.shape) == 0] == 0
    )
    assert np.all(np.isfinite(gradient)) and np.any(gradient)
    assert not np.any(for_valid), "the mask path carries no gradient"


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_all_hole_windows_are_exactly_zero_bias_included(rng, dtype):
    features = jnp.asarray(rng.normal(size=(1, 9, 9, 2)), dtype)
    valid = jnp.ones((1, 9, 9, 1)).at[:, 2:8, 2:8].set(0)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 4)).astype(np.float32))
    out, new_valid = partial_conv(features, valid, kernel, jnp.ones(4))
    assert np.all(np.asarray(out)[0, 3:7, 3:7] == 0)
    assert np.all(np.asarray(new_valid)[0, 3:7, 3:7] == 0)
    assert np.sum(new_valid) == 81 - 16

    def total(features, kernel, valid):
        out, _ = partial_conv(features, valid, kernel, jnp.ones(4))
        return jnp.sum(out.astype(jnp.float32) ** 2)

    for known in (valid, jnp.zeros_like(valid)):
        for gradient in jax.grad(total, (0, 1))(features, kernel, known):
            assert jnp.isfinite(gradient).all()


def test_channels_with_equal_holes_equal_one_shared_mask(rng, error):
    features = jnp.asarray(rng.normal(size=(2, 8, 8, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 5)).astype(np.float32))
    valid = _holes(rng, 2, 8, 8, 1)
    shared, one = partial_conv(features, valid, kernel)
    own, many = partial_conv(features, jnp.repeat(valid, 3, -1), kernel)
    assert error(own, shared) < 1e-6
    assert one.shape == (2, 8, 8, 1) and many.shape == (2, 8, 8, 5)
    np.testing.assert_array_equal(many, jnp.repeat(one, 5, -1))


def test_bfloat16_counts_exactly(rng):
    # 1025 valid taps: bfloat16 would round the count to 1024.
    valid = jnp.ones((1, 3, 3, 128)).at[0, 0, 0, :127].set(0)
    features = jnp.ones((1, 3, 3, 128), jnp.bfloat16)
    kernel = jnp.full((3, 3, 128, 1), 1 / 1152)
    out, new_valid = partial_conv(features, valid, kernel, padding="VALID")
    assert out.dtype == jnp.bfloat16 and new_valid.dtype == jnp.float32
    np.testing.assert_allclose(out.astype(jnp.float32), 1, rtol=2**-7)


def test_two_masks_in_a_batch_equal_two_batches(rng, key):
    features = jnp.asarray(rng.normal(size=(2, 8, 8, 3)).astype(np.float32))
    valid = _holes(rng, 2, 8, 8, 1)
    layer = PartialConv(4, strides=2)
    variables = layer.init(key, features, valid)
    out, new_valid = layer.apply(variables, features, valid)
    for index in range(2):
        one = slice(index, index + 1)
        alone, alone_valid = layer.apply(variables, features[one], valid[one])
        np.testing.assert_allclose(out[one], alone, atol=1e-6)
        np.testing.assert_array_equal(new_valid[one], alone_valid)


def test_module_equals_function_and_jitted_equals_eager(rng, key):
    features = jnp.asarray(rng.normal(size=(2, 8, 8, 3)).astype(np.float32))
    valid = _holes(rng, 2, 8, 8, 1)
    layer = PartialConv(4, kernel_size=(5, 5), dilation=2)
    (out, new_valid), variables = layer.init_with_output(key, features, valid)
    expected, _ = partial_conv(features, valid, **variables["params"], dilation=2)
    np.testing.assert_array_equal(out, expected)
    jitted, jitted_valid = jax.jit(layer.apply)(variables, features, valid)
    np.testing.assert_allclose(jitted, out, atol=1e-6)
    np.testing.assert_array_equal(jitted_valid, new_valid)


def test_valid_of_another_size_is_refused():
    with pytest.raises(ValueError, match="valid must be"):
        partial_conv(
            jnp.ones((1, 4, 4, 3)), jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 3, 1))
        )
