"""One image split over devices gives what one device gives."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import inpainting_jax as ij
from inpainting_jax import layers
from inpainting_jax.evaluation.inpainter import Inpainter
from inpainting_jax.images import composite, mask_image
from inpainting_jax.methods import Method

RNG = np.random.default_rng(0)


class Network(nn.Module):
    """Looks far: strides, dilation, up-sampling."""

    @nn.compact
    def __call__(self, image, mask):
        planes = jnp.concatenate([mask_image(image, mask), mask], axis=-1)
        features = layers.GatedConv(4, (5, 5), strides=2)(planes)
        features = layers.GatedConv(4, dilation=4)(features)
        features = layers.upsample_nearest(features, 2)
        return jnp.tanh(nn.Conv(3, (3, 3))(features))


def toy(**options):
    network = Network()

    def predict(variables, key, image, mask, guide=None):
        refined = network.apply(variables["generator"], image, mask)
        return {"refined": refined, "completed": composite(image, refined, mask)}

    blank = jnp.zeros((1, 16, 16, 3)), jnp.zeros((1, 16, 16, 1))
    quickly = {"xla_backend_optimization_level": 0}
    init = jax.jit(network.init, compiler_options=quickly)
    variables = {"generator": init(jax.random.key(0), *blank)}
    method = Method("toy", predict, {"generator": network}, multiple=4, **options)
    return method, variables


def picture(height, width):
    image = RNG.uniform(size=(height, width, 3)).astype(np.float32)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2 + 3, width // 3 : width // 2] = True
    return image, mask


def both(method, variables, image, mask, devices=4):
    """Stages by one device and by several; whether the rows were split."""
    whole = Inpainter(method, variables)
    split = Inpainter(method, variables, devices=devices)
    seen = []
    compiled = split._compiled
    split._compiled = lambda *args: seen.append(args[2].sharding) or compiled(*args)
    results = whole.predict(image, mask), split.predict(image, mask)
    return *results, seen[0]


def test_a_split_image_is_completed_as_a_whole_one():
    image, mask = picture(20, 24)
    whole, split, sharding = both(*toy(), image, mask, devices=4)
    # Five rows each, fewer than the dilated layer looks up and down, and odd.
    assert sharding.shard_shape((1, 20, 24, 3)) == (1, 5, 24, 3)
    for name, stage in whole.items():
        np.testing.assert_allclose(split[name], stage, atol=1e-5)  # rounding
    assert float(np.abs(whole["refined"]).max()) > 0.05


def test_rows_that_do_not_divide_stay_whole():
    image, mask = picture(28, 24)
    whole, split, sharding = both(*toy(), image, mask, devices=3)
    assert sharding.is_fully_replicated
    np.testing.assert_allclose(split["refined"], whole["refined"], atol=1e-5)


def test_methods_that_are_no_networks_are_refused():
    with pytest.raises(ValueError, match="patchmatch cannot be split over 2 devices"):
        ij.load("patchmatch", devices=2)


def test_networks_of_one_size_and_more_devices_than_there_are_are_refused():
    method, variables = toy(full_size=False)
    with pytest.raises(ValueError, match="toy cannot be split"):
        Inpainter(method, variables, devices=2)
    with pytest.raises(ValueError, match="devices=9, but this process has 4 x cpu"):
        Inpainter(*toy(), devices=9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepfill_v2", "global_local", "partial_conv"])
def test_trained_networks_are_split_too(name):
    fill = ij.load(name)
    image, mask = picture(128, 64)
    whole, split, sharding = both(fill.method, fill.variables, image, mask)
    assert not sharding.is_fully_replicated
    for stage in whole:
        np.testing.assert_allclose(split[stage], whole[stage], atol=1e-5)  # rounding
