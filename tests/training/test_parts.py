"""Phases, optimisers, batches and the writer, each by itself."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from inpainting_jax import masks
from inpainting_jax.training.batches import prepare_batch
from inpainting_jax.training.optimizers import build_optimizer
from inpainting_jax.training.phases import Phase, Plan
from inpainting_jax.training.writer import Writer

PHASES = {
    "warm_up": {"steps": 3, "order": ("generator",), "loss_weights": {"l1": 1.0}},
    "joint": {
        "steps": 2,
        "order": ("critic", "critic", "generator"),
        "loss_weights": {"l1": 1.0, "adversarial": 0.1},
    },
}


def plan(**changes):
    config = ConfigDict({"schedule": ("warm_up", "joint", "warm_up"), "phases": PHASES})
    config.update_from_flattened_dict(changes)
    return Plan(config, ("generator", "critic"))


def test_phases_follow_each_other_as_scheduled():
    phases = plan()
    warm_up = Phase(("generator",), (("l1", 1.0),))
    joint = Phase(
        ("critic", "critic", "generator"), (("adversarial", 0.1), ("l1", 1.0))
    )
    assert phases.total_steps == 8
    assert [phases.at(step) for step in range(8)] == [warm_up] * 3 + [joint] * 2 + [
        warm_up
    ] * 3
    assert hash(phases.at(0)) == hash(phases.at(7))  # one compiled step for both
    with pytest.raises(ValueError, match="beyond the last, 7"):
        phases.at(8)


def test_a_phase_that_does_not_exist_is_an_error_that_names_those_that_do():
    with pytest.raises(ValueError, match=r"'warmup'.*Did you mean 'warm_up'"):
        plan(schedule=("warmup",))


def test_an_order_with_an_unknown_network_is_an_error_that_lists_the_networks():
    with pytest.raises(ValueError, match=r"joint.*'discriminator'.*generator, critic"):
        plan(**{"phases.joint.order": ("discriminator",)})


def first_update(spec, gradient=2.0):
    optimizer = build_optimizer(ConfigDict(spec))
    params = {"w": jnp.ones(4)}
    state = optimizer.init(params)
    updates, _ = optimizer.update({"w": jnp.full(4, gradient)}, state, params)
    return float(updates["w"][0])


@pytest.mark.parametrize(
    "name",
    ["adam", "adamw", "adadelta", "adagrad", "lion", "rmsprop", "sgd", "radam"],
)
def test_an_optimizer_by_name_is_that_of_optax(name):
    reference = getattr(optax, name)(0.1)
    params = {"w": jnp.ones(4)}
    grads = {"w": jnp.full(4, 2.0)}
    updates, _ = reference.update(grads, reference.init(params), params)
    expected = float(updates["w"][0])
    ours = first_update({"name": name, "learning_rate": 0.1})
    assert ours == pytest.approx(expected, rel=1e-6)


def test_gradients_are_clipped_before_the_optimizer():
    spec = {"name": "sgd", "learning_rate": 1.0, "clip_by_global_norm": 1.0}
    assert first_update(spec) == pytest.approx(-0.5)  # norm of four twos is 4


@pytest.mark.parametrize(
    ("kind", "boundaries", "scales", "rates"),
    [
        ("piecewise", (2,), (0.1,), [1, 1, 0.1, 0.1]),
        ("piecewise_linear", (1, 3), (1.0, 0.5), [1, 1, 0.75, 0.5, 0.5]),
    ],
)
def test_a_schedule_counts_updates(kind, boundaries, scales, rates):
    rate = {
        "schedule": kind,
        "init_value": 1.0,
        "boundaries": boundaries,
        "scales": scales,
    }
    optimizer = build_optimizer({"name": "sgd", "learning_rate": rate})
    state = optimizer.init(jnp.ones(()))
    seen = []
    for _ in rates:
        update, state = optimizer.update(jnp.ones(()), state)
        seen.append(-float(update))
    assert seen == pytest.approx(rates)


def test_rate_and_clipping_do_not_change_the_shape_of_the_state():
    specs = (
        {"name": "adam", "learning_rate": 1.0},
        {
            "name": "adam",
            "clip_by_global_norm": 1.0,
            "learning_rate": {
                "schedule": "cosine",
                "init_value": 1.0,
                "decay_steps": 5,
            },
        },
    )
    states = [build_optimizer(spec).init({"w": jnp.ones(2)}) for spec in specs]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "adm", "learning_rate": 1.0}, "Did you mean 'adam'.*adadelta"),
        ({"name": "adam", "learning_rate": 1.0, "beta1": 0.5}, "'beta1'.*b1"),
        ({"name": "adam"}, "learning_rate"),
        (
            {"name": "adam", "learning_rate": {"schedule": "cos", "init_value": 1.0}},
            "cosine",
        ),
        ({"name": "adam", "learning_rate": {"schedule": "cosine"}}, "init_value"),
    ],
)
def test_a_wrong_optimizer_is_an_error_that_helps(spec, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(spec)


def test_the_split_of_a_batch_changes_no_mask(raw, key):
    prepare = jax.jit(functools.partial(prepare_batch, draw_mask=masks.sampler("box")))
    whole = prepare(key, raw)
    halves = [
        prepare(key, {name: array[part] for name, array in raw.items()})
        for part in (slice(0, 4), slice(4, 8))
    ]
    for name in ("mask", "image"):
        joined = np.concatenate([half[name] for half in halves])
        np.testing.assert_array_equal(joined, whole[name])
    assert len({np.asarray(mask).tobytes() for mask in whole["mask"]}) > 1
    keys = jax.random.key_data(whole["keys"])
    assert len({tuple(k) for k in np.asarray(keys).tolist()}) == 8


def test_batches_are_floats_between_minus_one_and_one(raw, key):
    raw["image"][0, 0, 0], raw["image"][0, 0, 1] = 0, 255
    batch = prepare_batch(key, raw, draw_mask=masks.sampler("center"))
    assert batch["image"].dtype == jnp.float32
    np.testing.assert_array_equal(batch["image"][0, 0, 0], -1)
    np.testing.assert_array_equal(batch["image"][0, 0, 1], 1)


def test_masks_of_the_reader_are_taken_as_they_are(raw, key):
    raw["mask"] = np.zeros((8, 16, 16, 1), np.uint8)
    raw["mask"][:, 3:5] = 1
    batch = prepare_batch(key, raw, draw_mask=None)
    np.testing.assert_array_equal(batch["mask"], raw["mask"].astype(np.float32))


def test_a_drawn_guide_is_confined_to_the_hole(raw, key):
    batch = prepare_batch(
        key,
        raw,
        draw_mask=masks.sampler("center"),
        draw_guide=lambda image: jnp.ones_like(image[..., :1]),
    )
    np.testing.assert_array_equal(batch["guide"], batch["mask"])


def test_rows_after_the_step_of_a_resume_are_cut_off(tmp_path):
    with Writer(tmp_path, step=0) as writer:
        for step in range(1, 6):
            writer.metrics(step, {"loss": 1.0 / step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')  # what a kill may leave
    with Writer(tmp_path, step=3) as writer:
        writer.metrics(4, {"loss": float("nan")})
    rows = [json.loads(r) for r in (tmp_path / "metrics.jsonl").open()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert rows[3]["loss"] is None


def test_a_writer_that_is_not_the_first_process_writes_nothing(tmp_path):
    with Writer(tmp_path / "run", step=0, active=False) as writer:
        writer.metrics(1, {"loss": 1.0})
        writer.samples(1, np.zeros((2, 2, 3), np.uint8))
    assert not (tmp_path / "run").exists()
