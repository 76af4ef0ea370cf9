"""What may differ between a run and its continuation, and whose weights fit."""

import copy

import jax.numpy as jnp
import optax
import pytest

from inpainting_jax import checkpoints
from inpainting_jax.training import resume
from inpainting_jax.training.state import start_from


def changed(config, field, value):
    new = copy.deepcopy(config)
    with new.unlocked():
        new.update_from_flattened_dict({field: value})
    return resume.to_json(config), resume.to_json(new)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "deepfill_v2"),
        ("model.width", 8),
        ("seed", 1),
        ("optimizers.generator.name", "sgd"),
    ],
)
def test_a_config_of_another_run_is_an_error_that_names_the_field(config, field, value):
    old, new = changed(config, field, value)
    with pytest.raises(ValueError) as error:
        resume.check_config(old, new, "runs/a")
    for words in (field, repr(value), "runs/a", "--workdir", "--init_from=runs/a"):
        assert words in str(error.value)


def test_an_average_that_comes_or_goes_is_an_error(config):
    old, new = changed(config, "ema.discriminator", 0.9)
    for before, after in ((old, new), (new, old)):
        with pytest.raises(ValueError, match=r"ema\.discriminator"):
            resume.check_config(before, after, "runs/a")


def test_what_may_change_is_reported(config):
    old, new = changed(config, "optimizers.generator.learning_rate", 5e-5)
    lines = resume.check_config(old, new, "runs/a")
    assert lines == ["optimizers.generator.learning_rate: 0.001 -> 5e-05"]
    assert resume.check_config(old, old, "runs/a") == []


@pytest.fixture
def state(key):
    variables = {
        "generator": {"params": {"w": jnp.zeros((2, 3))}},
        "critic": {"params": {"w": jnp.zeros(4)}},
    }
    optimizers = dict.fromkeys(variables, optax.adam(1e-3))
    return start_from(key, variables, optimizers, ema=("generator",))


def test_adopted_weights_replace_those_of_the_networks_they_hold(state, tmp_path):
    path = tmp_path / "w.safetensors"
    weights = {"generator": {"params": {"w": jnp.ones((2, 3))}}}
    checkpoints.save_weights(path, weights, {"method": "toy"})
    new, said = resume.adopt_weights(state, path, "toy")
    assert new.variables["generator"]["params"]["w"].sum() == 6
    assert new.ema["generator"]["w"].sum() == 6
    assert new.variables["critic"]["params"]["w"].sum() == 0
    assert "critic from scratch" in said


@pytest.mark.parametrize(
    ("weights", "method", "message"),
    [
        (
            {"generator": {"params": {"w": jnp.ones((3, 3))}}},
            "toy",
            r"params/w.*\(2, 3\)",
        ),
        ({"generator": {"params": {"v": jnp.ones(1)}}}, "toy", "lacks.*params/w"),
        ({"generator": {"params": {"w": jnp.ones((2, 3))}}}, "other", "'other'.*'toy'"),
        ({"net": {"params": {"w": jnp.ones(1)}}}, "toy", "no network of this method"),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_says_why(
    state, tmp_path, weights, method, message
):
    path = tmp_path / "w.safetensors"
    checkpoints.save_weights(path, weights, {"method": method})
    with pytest.raises(ValueError, match=message):
        resume.adopt_weights(state, path, "toy")


def test_init_from_what_is_not_there_is_an_error_that_names_it(state, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        resume.adopt_weights(state, tmp_path / "nowhere.safetensors", "toy")
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        resume.adopt_weights(state, tmp_path, "toy")
