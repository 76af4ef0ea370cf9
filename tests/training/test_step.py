"""The step: who changes, what is skipped, and that devices make no difference."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_gan

from inpainting_jax import masks
from inpainting_jax.training.batches import prepare_batch
from inpainting_jax.training.parallel import (
    local_copy,
    make_runner,
    put_replicated,
    run_once,
)
from inpainting_jax.training.phases import Phase
from inpainting_jax.training.state import start_from
from inpainting_jax.training.step import Step

NAMES = ("discriminator", "generator")
WEIGHTS = (("adversarial", 0.1), ("l1", 1.0))
JOINT = Phase(NAMES, WEIGHTS)
GENERATOR = Phase(("generator",), WEIGHTS)


@functools.cache
def make_step(*, adam=False, poison=False, fresh_batches=False, spec="center"):
    """Gradient descent with rate 1, or Adam and an average of the generator."""
    optimizer = optax.adam(1e-2) if adam else optax.sgd(1.0)
    return Step(
        method=tiny_gan.build(poison=poison),
        optimizers=dict.fromkeys(NAMES, optimizer),
        prepare=functools.partial(prepare_batch, draw_mask=masks.sampler(spec)),
        ema={"generator": 0.99} if adam else {},
        fresh_batches=fresh_batches,
    )


@functools.cache
def first_values():
    """The parameters that all tests start from."""
    step = make_step()
    mesh = make_runner("jit", step, jax.devices()[:1]).mesh
    blank = {"image": np.zeros((1, 16, 16, 3), np.uint8), "index": np.zeros(1, int)}
    batch = jax.jit(step.prepare)(jax.random.key(0), blank)
    return run_once(lambda key: step.method.init(key, batch), mesh, jax.random.key(3))


def make_state(step):
    """A fresh state, with buffers of its own: a step may take them."""
    values = jax.tree.map(jnp.copy, local_copy(first_values()))
    return start_from(jax.random.key(4), values, step.optimizers, ema=step.ema)


@functools.cache
def compiled(phase, **options):
    step = functools.partial(make_step(**options), phase=phase)
    quickly = {"xla_backend_optimization_level": 0}
    return jax.jit(step, compiler_options=quickly)


def difference(a, b):
    """The largest difference of any two corresponding numbers."""
    return max(
        float(np.abs(np.asarray(x) - np.asarray(y)).max())
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_a_network_that_is_not_in_the_order_stays_as_it_is(raw):
    state = make_state(make_step())
    new, _ = compiled(GENERATOR)(state, raw)
    before, after = state.variables, new.variables
    assert difference(after["discriminator"], before["discriminator"]) == 0
    assert difference(after["generator"], before["generator"]) > 1e-4
    assert int(new.step) == 1


def test_changed_collections_come_back_through_the_updates(raw):
    state = make_state(make_step())
    new, _ = compiled(JOINT)(state, raw)
    stats = [s.variables["discriminator"]["stats"] for s in (state, new)]
    assert difference(*stats) > 1e-4


def test_a_name_that_comes_twice_is_updated_twice(raw):
    state = make_state(make_step())
    once, _ = compiled(JOINT)(state, raw)
    twice, _ = compiled(Phase(("discriminator", *NAMES), WEIGHTS))(state, raw)
    moved = [
        difference(s.variables["discriminator"], state.variables["discriminator"])
        for s in (once, twice)
    ]
    assert moved[1] > 1.2 * moved[0]


def test_an_update_that_is_not_finite_is_skipped_and_counted(raw):
    options = {"adam": True, "poison": True}
    state = make_state(make_step(**options))
    poisoned = Phase(NAMES, (("adversarial", 0.1), ("l1", 2.0)))
    for count in (1, 2):
        before = state
        state, metrics = compiled(poisoned, **options)(state, raw)
        assert int(state.skipped["generator"]) == count
        assert int(metrics["skipped_in_a_row"]) == count
        assert int(state.skipped["discriminator"]) == 0
        for part in ("variables", "opt_state", "ema"):
            old = getattr(before, part)["generator"]
            assert difference(getattr(state, part)["generator"], old) == 0
    old = state.variables["generator"]
    state, metrics = compiled(JOINT, **options)(state, raw)
    assert difference(state.variables["generator"], old) > 0
    assert int(metrics["skipped_in_a_row"]) == 0
    assert int(metrics["skipped"]) == 2


def test_a_good_update_is_that_of_optax(raw):
    """The same update by hand, without the guard; and the average's first step."""
    step = make_step(adam=True)
    state = make_state(step)
    new, _ = compiled(GENERATOR, adam=True)(state, raw)

    @jax.jit
    def by_hand(state):
        step_key = jax.random.fold_in(state.key, 0)
        batch = step.prepare(step_key, raw)
        params = state.variables["generator"]["params"]
        grads, _ = jax.grad(step.method.objectives["generator"], has_aux=True)(
            params,
            state.variables,
            jax.random.fold_in(step_key, 0),
            batch,
            dict(WEIGHTS),
        )
        updates, _ = step.optimizers["generator"].update(
            grads, state.opt_state["generator"], params
        )
        return optax.apply_updates(params, updates)

    expected = by_hand(state)
    # Two programs, so rounding differs; Adam moved everything by 1e-2.
    assert difference(new.variables["generator"]["params"], expected) < 1e-5
    first = state.variables["generator"]["params"]
    average = jax.tree.map(lambda a, b: 0.1 * a + 0.9 * b, first, expected)
    assert difference(new.ema["generator"], average) < 1e-5


def test_with_fresh_batches_each_update_sees_its_own(raw):
    state = make_state(make_step(fresh_batches=True))
    other = {"image": 255 - raw["image"], "index": raw["index"] + 8}

    def run_with(first, second):
        stacked = jax.tree.map(lambda *x: np.stack(x), first, second)
        return compiled(JOINT, fresh_batches=True)(state, stacked)[0].variables

    both, same = run_with(raw, other), run_with(raw, raw)
    assert difference(both["discriminator"], same["discriminator"]) == 0
    assert difference(both["generator"], same["generator"]) > 1e-4


def run_on(kind, count, raw, fresh):
    """Variables and metrics after one step of gradient descent with rate 1.

    The change of the parameters is then the gradient itself; Adam would magnify the
    rounding of small ones.
    """
    step = make_step(fresh_batches=fresh, spec="box")
    runner = make_runner(kind, step, jax.devices()[:count])
    if fresh:
        raw = jax.tree.map(lambda x: np.stack([x, x[::-1]]), raw)
    state = runner.place(put_replicated(make_state(step), runner.mesh))
    state, metrics = runner.compile(JOINT)(state, runner.put(raw, fresh))
    return jax.device_get((runner.gather(state).variables, metrics))


def test_devices_and_runners_give_the_gradients_of_one_device(raw):
    one = run_on("jit", 1, raw, fresh=False)
    assert difference(one[0], jax.device_get(first_values())) > 1e-2
    for kind in ("jit", "pmap"):
        assert difference(one, run_on(kind, 4, raw, fresh=False)) < 1e-6


def test_runners_agree_on_fresh_batches(raw):
    ours, other = (run_on(kind, 4, raw, fresh=True) for kind in ("jit", "pmap"))
    assert difference(ours, other) < 1e-6


def test_the_step_of_the_jit_runner_contains_no_collectives(raw):
    step = make_step()
    jaxpr = str(
        jax.make_jaxpr(functools.partial(step, phase=JOINT))(make_state(step), raw)
    )
    assert "conv" in jaxpr
    assert not any(word in jaxpr for word in ("psum", "pmean", "all_reduce", "pmax"))


def test_the_state_is_donated_and_the_second_step_compiles_nothing(raw):
    step = make_step(adam=True)
    runner = make_runner("jit", step)
    first = state = put_replicated(make_state(step), runner.mesh)
    state, _ = runner.compile(JOINT)(state, runner.put(raw, False))
    assert all(x.is_deleted() for x in jax.tree.leaves(first.variables))
    events = []

    def listen(name, duration, **extra):
        events.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for _ in range(2):
            state, _ = runner.compile(JOINT)(state, runner.put(raw, False))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not [name for name in events if "compile" in name]


def test_an_unknown_runner_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match="jit, pmap"):
        make_runner("gpu", make_step())
