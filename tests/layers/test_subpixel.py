"""Convolution of an enlarged image, on the small one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import convolve, upsample_nearest
from inpainting_jax.layers.subpixel import convolve_doubled


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (3, 1)])
def test_doubling_first_changes_nothing(size, rng, error):
    """Values and both gradients, to 1e-5: taps are added before instead of after."""
    features = jnp.asarray(rng.normal(size=(2, *size, 3)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 4)).astype(np.float32))
    plain, pull_back = jax.vjp(
        lambda x, k: convolve(upsample_nearest(x), k), features, kernel
    )
    ours, our_pull_back = jax.vjp(convolve_doubled, features, kernel)
    assert error(ours, plain) < 1e-5
    gradient = jnp.asarray(rng.normal(size=plain.shape).astype(np.float32))
    for mine, theirs in zip(our_pull_back(gradient), pull_back(gradient), strict=True):
        assert error(mine, theirs) < 1e-5


@pytest.mark.parametrize(
    ("taps", "options"),
    [
        (3, {}),
        (3, {"padding": "SYMMETRIC"}),
        (3, {"padding": "REFLECT"}),
        (3, {"padding": "VALID"}),
        (3, {"padding": ((1, 0), (2, 1))}),
        (3, {"strides": 2}),
        (3, {"dilation": 2}),
        (5, {}),
    ],
)
def test_every_convolution_can_upsample(taps, options, rng, error, one_device):
    features = jnp.asarray(rng.normal(size=(1, 4, 6, 2)).astype(np.float32))
    kernel = jnp.asarray(rng.normal(size=(taps, taps, 2, 3)).astype(np.float32))
    bias = jnp.asarray(rng.normal(size=3).astype(np.float32))
    ours = convolve(features, kernel, bias, upsample=2, **options)
    assert error(
        ours, convolve(upsample_nearest(features), kernel, bias, **options)
    ) < (1e-5)
    thrice = convolve(features, kernel, upsample=3, **options)
    plain = convolve(upsample_nearest(features, 3), kernel, **options)
    assert error(thrice, plain) < 1e-5


def test_half_precision_stays_half():
    features, kernel = jnp.ones((1, 2, 2, 1), jnp.bfloat16), jnp.ones((3, 3, 1, 1))
    out = convolve_doubled(features, kernel)
    assert out.dtype == jnp.bfloat16
    assert out[0, :, :, 0].tolist()[:2] == [[4, 6, 6, 4], [6, 9, 9, 6]]
