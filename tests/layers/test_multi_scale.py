"""Discriminators at several scales, and instance normalisation."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax import layers


def test_sizes_and_parameters_are_those_of_pix2pixhd(key):
    """Two zeros around 4x4 kernels: 256 rows become 129, 65, 33, 34, 35."""
    network = layers.MultiScaleDiscriminator()
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    shapes = jax.eval_shape(network.init, key, image)
    judged = jax.eval_shape(network.apply, shapes, image)
    logits, features = judged[0]
    assert [f.shape[1:] for f in features] == [
        (129, 129, 64),
        (65, 65, 128),
        (33, 33, 256),
        (34, 34, 512),
    ]
    assert logits.shape == (1, 35, 35, 1)
    assert [logits.shape[1] for logits, _ in judged] == [35, 19, 11]
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 3
    channels = (3, 64, 128, 256, 512, 1)
    pairs = itertools.pairwise(channels)
    assert count == sum(16 * a * b + b for a, b in pairs)


def test_smaller_scales_see_means_of_what_is_there(key):
    """A constant stays that constant up to the border, and a spot spreads by ninths."""
    build = functools.partial(layers.PatchDiscriminator, width=2, layers=1)
    network = layers.MultiScaleDiscriminator(build, 2)
    image = jnp.full((1, 6, 6, 1), 0.7)
    variables = network.init(key, image)
    one = {"params": variables["params"]["scale2"]}
    half = jnp.full((1, 3, 3, 1), 0.7)
    spot = jnp.zeros((1, 6, 6, 1)).at[0, 2, 2, 0].set(0.9)
    for whole, small in (
        (image, half),
        (spot, jnp.zeros_like(half).at[0, 1, 1, 0].set(0.1)),
    ):
        expected, _ = build().apply(one, small)
        found, _ = network.apply(variables, whole)[1]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_instance_normalisation_is_per_image_and_channel(rng):
    features = rng.normal(3, 2, (2, 5, 4, 3)).astype(np.float32)
    mean = features.mean((1, 2), keepdims=True)
    variance = features.var((1, 2), keepdims=True)
    plain = layers.instance_norm()()
    out = plain.apply({}, jnp.asarray(features))
    np.testing.assert_allclose(
        out, (features - mean) / np.sqrt(variance + 1e-5), atol=1e-5
    )
    owned = layers.instance_norm(affine=True)().init(jax.random.key(0), features)
    assert set(owned["params"]) == {"scale", "bias"}
