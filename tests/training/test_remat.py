"""Rematerialised blocks: the same numbers from fewer stored ones."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import layers
from inpainting_jax.configs import deepfill_v2
from inpainting_jax.methods import METHODS
from inpainting_jax.training import dry_run
from inpainting_jax.training.remat import rematerialised
from inpainting_jax.types import Aux

QUICKLY = {"xla_backend_optimization_level": 0}


class Block(nn.Module):
    """Everything that a network's blocks do: gates, statistics, draws, a switch."""

    @nn.compact
    def __call__(self, features, scale, *, kind):
        assert kind == "gated", kind  # neither lost nor made an array
        features = layers.GatedConv(4)(features) * scale
        features = layers.batch_norm(train=True)()(features)
        return nn.Dropout(0.5, deterministic=False)(features), {"mean": scale.mean()}


class Network(nn.Module):
    @nn.compact
    def __call__(self, image):
        scale = jnp.ones((1, 1, 1, 1))
        features, _ = Block(name="first")(image, scale, kind="gated")
        features, extras = Block(name="second")(features, 2 * scale, kind="gated")
        return features, extras["mean"]


def objective(params, variables, key, batch, loss_weights):
    (out, mean), stats = Network().apply(
        {**variables["net"], "params": params},
        batch["image"],
        rngs={"dropout": key},
        mutable=["batch_stats"],
    )
    loss = loss_weights["l2"] * (out**2).mean() + mean
    return loss, Aux({"loss": loss}, {"net": stats})


def residual_bytes(function, variables, *args, network="net"):
    """What the backward pass is handed by the forward pass."""
    params = variables[network]["params"]

    def backward(params):
        return jax.vjp(lambda p: function(p, variables, *args)[0], params)[1]

    leaves = jax.tree.leaves(jax.eval_shape(backward, params))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


@pytest.fixture
def toy(key, batch):
    batch = {"image": batch["image"][:, :16, :16]}
    init = jax.jit(Network().init, compiler_options=QUICKLY)
    variables = init({"params": key, "dropout": key}, batch["image"])
    return {"net": variables}, key, batch, {"l2": 1.0}


def test_gradients_draws_and_statistics_are_the_same(toy):
    variables = toy[0]
    results = []
    for function in (objective, rematerialised(objective)):
        both = jax.value_and_grad(function, has_aux=True)
        run = jax.jit(lambda p, both=both: both(p, *toy), compiler_options=QUICKLY)
        results.append(run(variables["net"]["params"]))
    (plain, plain_grads), (ours, our_grads) = results
    # Rounding only: the compiler may fuse a sum that is computed twice differently.
    for a, b in zip(
        jax.tree.leaves((plain, plain_grads)),
        jax.tree.leaves((ours, our_grads)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    first = plain_grads["first"]["GatedConv_0"]["kernel"]
    assert float(jnp.abs(first).max()) > 1e-4


def test_only_the_inputs_of_blocks_are_kept(toy):
    whole = residual_bytes(objective, *toy)
    blocks = residual_bytes(rematerialised(objective), *toy)
    inputs = 4 * 2 * 16 * 16 * (3 + 4)
    outputs = 4 * 2 * 16 * 16 * 4  # of the last block, for the loss
    assert whole > 4 * (inputs + outputs)
    assert inputs < blocks < 1.1 * (inputs + outputs)


def test_a_published_generator_keeps_less(key, batch):
    method = METHODS["deepfill_v2"](width=4, discriminator_width=4)
    variables = jax.eval_shape(method.init, key, batch)
    generator = method.objectives["generator"]
    weights = {"l1": 1.0}
    kept = [
        residual_bytes(function, variables, key, batch, weights, network="generator")
        for function in (generator, rematerialised(generator))
    ]
    assert kept[1] < 0.6 * kept[0]  # gates are computed again without it, too


@pytest.mark.slow
def test_the_compiled_step_needs_less_memory(monkeypatch):
    monkeypatch.setattr(dry_run, "device_memory", lambda device: 1)  # nothing to search
    config = deepfill_v2.get_config("tiny")
    config.masks, config.batch_size, config.data.image_size = "center", 8, 64
    config.schedule = ("joint",)
    peaks = []
    for config.remat in (False, True):
        (phase,) = dry_run.estimate(config).phases
        peaks.append(phase.peak_bytes)
    assert peaks[1] < 0.7 * peaks[0]
