"""A sick run's numbers raise the alarm that names it; a sound one's raise none."""

import functools

import jax
import numpy as np
import pytest

from inpainting_jax.training.health import RULES, Monitor, fill_statistics
from inpainting_jax.training.writer import Writer

RNG = np.random.default_rng(0)


@pytest.fixture
def pictures():
    """Six smooth random images with texture, and a hole each."""
    coarse = RNG.uniform(-1, 1, (6, 4, 4, 3)).repeat(8, 1).repeat(8, 2)
    truth = np.clip(coarse + 0.2 * RNG.standard_normal((6, 32, 32, 3)), -1, 1)
    holes = np.zeros((6, 32, 32), np.uint8)
    for index, corner in enumerate(RNG.integers(2, 12, (6, 2))):
        holes[index, corner[0] : corner[0] + 16, corner[1] : corner[1] + 16] = 1
    return truth.astype(np.float32), holes


def warned(values, *, step=0):
    return [w.split(":")[1].split()[0] for w in Monitor().look(step, values)]


def test_the_originals_themselves_are_in_perfect_health(pictures):
    truth, holes = pictures
    found = fill_statistics(truth, truth, holes)
    assert found == pytest.approx(
        {"fill_std_ratio": 1, "fill_hf_ratio": 1, "fill_diversity": 1}
    )
    assert not warned({f"health/{name}": value for name, value in found.items()})


def test_one_fill_for_all_raises_diversity_and_variance_alarms(pictures):
    truth, holes = pictures
    constant = np.where(holes[..., None] > 0, np.float32(0.1), truth)
    found = fill_statistics(constant, truth, holes)
    assert found["fill_diversity"] < 0.01 and found["fill_std_ratio"] < 0.01
    alarms = warned({f"health/{name}": value for name, value in found.items()})
    assert {"fill_diversity", "fill_std_ratio", "fill_hf_ratio"} <= set(alarms)


def test_noise_is_told_from_blur(pictures):
    truth, holes = pictures
    noise = RNG.uniform(-1, 1, truth.shape) * 3
    loud = fill_statistics(np.where(holes[..., None] > 0, noise, truth), truth, holes)
    assert loud["fill_std_ratio"] > 1.5 and loud["fill_hf_ratio"] > 2
    found = {"health/fill_std_ratio": loud["fill_std_ratio"]}
    (text,) = Monitor().look(1, found)
    assert "above 1.5" in text and "noise" in text


def test_images_without_a_hole_and_single_images_are_no_alarm(pictures):
    truth, holes = pictures
    holes[1:] = 0
    found = fill_statistics(truth, truth, holes)
    assert found["fill_std_ratio"] == pytest.approx(1)
    assert np.isnan(found["fill_diversity"])
    assert not warned({"health/fill_diversity": found["fill_diversity"]})


def test_an_alarm_waits_is_told_once_and_comes_back_after_recovery():
    monitor = Monitor()
    winning = {"discriminator/real_logits": 3.0, "discriminator/fake_logits": -3.0}
    fair = {"discriminator/real_logits": 0.5, "discriminator/fake_logits": -0.5}
    assert not monitor.look(0, winning)
    assert not monitor.look(900, winning)
    (text,) = monitor.look(1000, winning)
    assert text.startswith("step 1000: discriminator: discriminator_wins 6, above 4")
    assert not monitor.look(2000, winning)
    assert not monitor.look(2100, fair)
    assert not monitor.look(2200, winning)
    assert monitor.look(3200, winning)


def test_a_dead_discriminator_is_one_that_says_nothing():
    monitor = Monitor()
    silent = {"d/global_real_logits": 0.0, "d/global_fake_logits": 0.0}
    monitor.look(0, silent)
    (text,) = monitor.look(1000, silent)
    assert "d/global: discriminator_dead 0, below 0.02" in text
    lively = {"d/global_real_logits": 1.0, "d/global_fake_logits": 1.0}
    monitor = Monitor()
    assert not monitor.look(0, lively) and not monitor.look(5000, lively)


@pytest.mark.parametrize(
    ("ratio", "limit"), [(1e-7, "below 1e-05"), (0.5, "above 0.1")]
)
def test_updates_too_small_or_too_large_name_their_network(ratio, limit):
    monitor = Monitor()
    monitor.look(0, {"generator/update_ratio": ratio})
    (text,) = monitor.look(1000, {"generator/update_ratio": ratio})
    assert "generator: update_ratio" in text and limit in text


def test_every_rule_has_advice_and_an_order_of_limits():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.low < rule.high and len(rule.advice) > 20 for rule in RULES)


def test_warnings_are_kept_up_to_the_restored_step(tmp_path, capsys):
    with Writer(tmp_path, step=0) as writer:
        writer.warnings(5, ["early"])
        writer.warnings(9, ["late"])
    with Writer(tmp_path, step=7) as writer:
        writer.warnings(8, [])
    assert (tmp_path / "health.jsonl").read_text().count("warning") == 1
    assert "health: late" in capsys.readouterr().err


def test_the_update_ratio_is_that_of_the_update(raw, key):
    import tiny_gan

    from inpainting_jax.training import setup
    from inpainting_jax.training.state import create_state

    config = tiny_gan.get_config()
    method, plan, step, _ = setup.build_step(config, tiny_gan.build())
    hurried = {"compiler_options": {"xla_backend_optimization_level": 0}}

    def one_update(key):
        batch = step.prepare(key, raw)
        init = functools.partial(method.init, batch=batch)
        state = create_state(key, init, step.optimizers, ema=("generator",))
        return state, step.update(state, "generator", key, batch, plan.at(0))

    state, (new, metrics) = jax.jit(one_update, **hurried)(key)
    before = jax.tree.leaves(state.variables["generator"]["params"])
    after = jax.tree.leaves(new.variables["generator"]["params"])

    def norm(leaves):
        return np.sqrt(sum(float((np.asarray(x) ** 2).sum()) for x in leaves))

    moved = norm([a - b for a, b in zip(after, before, strict=True)])
    assert float(metrics["generator/update_ratio"]) == pytest.approx(
        moved / norm(before), rel=1e-3
    )
