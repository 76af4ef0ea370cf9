"""What holds for the training of every learned method of the registry.

Programs are compiled unoptimised: two a method, and the suite must stay short.
"""

import functools
import importlib

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from inpainting_jax import masks
from inpainting_jax.checkpoints import Checkpoints
from inpainting_jax.methods import METHODS
from inpainting_jax.training.batches import prepare_batch
from inpainting_jax.training.optimizers import build_optimizer
from inpainting_jax.training.phases import Plan
from inpainting_jax.training.setup import from_items, to_items
from inpainting_jax.training.state import start_from
from inpainting_jax.training.step import Step

SIDE = 32
LEARNED = [name for name in METHODS if METHODS[name]().objectives]


@pytest.fixture(scope="module", params=LEARNED)
def trained(request, fresh_variables, block_labels):
    """A step of the last phase with its own optimisers, its state, and a raw batch."""
    module = importlib.import_module(f"inpainting_jax.configs.{request.param}")
    config = module.get_config("tiny")
    method = METHODS[request.param](**config.model)
    rng = np.random.default_rng(5)
    raw = {
        "image": rng.integers(0, 256, (4, SIDE, SIDE, 3), np.uint8),
        "index": np.arange(4, dtype=np.uint32),
    }
    if method.guide_kind == "labels":
        signed = raw["image"] / np.float32(127.5) - 1
        raw["guide"] = block_labels(signed, method.guide_classes)
    prepare = functools.partial(prepare_batch, draw_mask=masks.sampler(config.masks))
    chains = {name: build_optimizer(spec) for name, spec in config.optimizers.items()}
    plan = Plan(config, method.networks)
    step = Step(method, chains, prepare, ema=config.ema.to_dict())
    batch = jax.jit(prepare)(jax.random.key(0), raw)
    variables = fresh_variables(method, jax.random.key(0), batch)
    return step, plan.at(plan.total_steps - 1), variables, raw


def _compiled(step, phase):
    run = functools.partial(step, phase=phase)
    return jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})


def _state(step, variables):
    return start_from(jax.random.key(4), variables, step.optimizers, ema=step.ema)


@pytest.mark.slow
def test_a_saved_run_goes_on_as_if_it_had_not_stopped(trained, tmp_path):
    step, phase, variables, raw = trained
    run = _compiled(step, phase)
    state, _ = run(_state(step, variables), raw)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, to_items(state), {"config": {}, "data": None}, None)
    checkpoints.wait()
    restored = from_items(checkpoints.restore(to_items(state), 1))
    checkpoints.close()
    expected, expected_metrics = run(state, raw)
    again, metrics = run(restored, raw)
    for a, b in zip(
        jax.tree.leaves((again.variables, again.opt_state, metrics)),
        jax.tree.leaves((expected.variables, expected.opt_state, expected_metrics)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    moved = [
        np.abs(a - b).max()
        for a, b in zip(
            jax.tree.leaves(expected.variables),
            jax.tree.leaves(state.variables),
            strict=True,
        )
    ]
    assert max(moved) > 1e-4


@pytest.mark.slow
def test_four_devices_take_the_step_of_one(trained):
    """Gradient descent of rate 1: parameters move by the gradient itself."""
    step, phase, variables, raw = trained
    descent = dict.fromkeys(step.optimizers, optax.sgd(1.0))
    step = Step(step.method, descent, step.prepare)
    run = _compiled(step, phase)
    one, one_metrics = run(_state(step, variables), raw)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    whole = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec("data"))
    four, four_metrics = run(
        jax.device_put(_state(step, variables), whole), jax.device_put(raw, split)
    )
    for a, b in zip(
        jax.tree.leaves((one.variables, one_metrics)),
        jax.tree.leaves((four.variables, four_metrics)),
        strict=True,
    ):
        scale = max(1.0, float(np.abs(a).max()))
        assert np.abs(np.asarray(a) - np.asarray(b)).max() < 2e-5 * scale
