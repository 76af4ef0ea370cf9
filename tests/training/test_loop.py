"""The loop on the toy GAN: what it leaves behind; interruptions that leave no trace."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_gan
from PIL import Image
from tensorboardX.proto import event_pb2

from inpainting_jax import checkpoints
from inpainting_jax.training import loop, stopping, writer

HERE = pathlib.Path(__file__).parent


def rows_of(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def assert_same(a, b):
    def data(x):
        is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if is_key else x)

    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(data(x), data(y))


def start(workdir, config, *settings, devices=4, **environment):
    """The toy run in a process of its own."""
    command = [sys.executable, HERE / "run_tiny.py", workdir, config.data.source]
    environment = {**os.environ, "TINY_DEVICES": str(devices), **environment}
    return subprocess.Popen([*map(str, command), *settings], env=environment)


def test_a_run_killed_and_resumed_equals_one_in_a_piece(config, tmp_path):
    config.phases.joint.steps = 40
    config.checkpoint_every = 20
    config.masks = "box"
    whole = loop.train(config, tmp_path / "whole", method=tiny_gan.build())

    settings = ("phases.joint.steps=40", "checkpoint_every=20", "masks=box")
    killed = start(tmp_path / "parts", config, *settings, "kill_at=27", "kill_after=20")
    assert killed.wait(timeout=300) == -signal.SIGKILL
    assert [row["step"] for row in rows_of(tmp_path / "parts")][-1] == 27
    parts = loop.train(config, tmp_path / "parts", method=tiny_gan.build())
    assert_same(parts, whole)
    first, second = (
        (tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")
    )
    assert first == second
    assert [row["step"] for row in rows_of(tmp_path / "parts")] == list(range(1, 41))


def test_a_run_leaves_config_metrics_events_samples_and_the_best(
    config, tmp_path, capsys
):
    config.evaluation.every = 2
    config.evaluation.images = 10  # not a multiple of the batch
    config.sample_every = 4
    config.log_every = 3
    state = loop.train(config, tmp_path, method=tiny_gan.build())
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    for words in ("4 x cpu", "batch 8 = 4 x 2", "generator 515", "fresh run"):
        assert words in said[0]

    assert json.loads((tmp_path / "config.json").read_text())["batch_size"] == 8
    rows = rows_of(tmp_path)
    logged = [row["step"] for row in rows if "generator/loss" in row]
    assert logged == [3, 6, 8]
    scores = {r["step"]: r for r in rows if "validation/l1_hole" in r}
    assert list(scores) == [2, 4, 6, 8]
    assert {"validation/psnr_image", "validation/ssim_hole"} < set(scores[2])

    grid = np.asarray(Image.open(tmp_path / "samples" / "step_00000004.png"))
    assert grid.shape == (6 * 18, 4 * 18, 3)  # masked, raw, completed, truth
    events = b"".join(p.read_bytes() for p in (tmp_path / "tensorboard").iterdir())
    assert b"generator/loss" in events and b"validation/l1_hole" in events

    best = min(scores, key=lambda step: scores[step]["validation/l1_hole"])
    kept = {int(p.name) for p in (tmp_path / "checkpoints").iterdir()}
    assert kept == {best, 6, 8}
    variables, saved = checkpoints.load_workdir(tmp_path, best=False)
    assert saved["method"] == "tiny_gan"
    assert_same(variables["generator"]["params"], state.ema["generator"])


def test_a_finished_run_says_so_and_can_be_extended(config, tmp_path, capsys):
    loop.train(config, tmp_path, method=tiny_gan.build())
    capsys.readouterr()
    loop.train(config, tmp_path, method=tiny_gan.build())
    said = capsys.readouterr().out
    assert "resumed step 8" in said
    assert "nothing left to do" in said and "--config.phases.joint.steps" in said
    config.phases.joint.steps = 10
    state = loop.train(config, tmp_path, method=tiny_gan.build())
    assert int(state.step) == 10
    assert "phases.joint.steps: 8 -> 10" in capsys.readouterr().out
    assert logged_in_events(tmp_path) == list(range(1, 11))
    config.seed = 1
    with pytest.raises(ValueError, match=r"seed=0.*seed=1.*another --workdir"):
        loop.train(config, tmp_path, method=tiny_gan.build())


def test_a_bucket_is_no_workdir(config):
    with pytest.raises(ValueError, match="mount the bucket"):
        loop.train(config, "gs://bucket/run", method=tiny_gan.build())


def test_a_batch_that_the_devices_cannot_share_is_an_error_that_names_one(
    config, tmp_path
):
    config.batch_size = 6
    with pytest.raises(ValueError, match=r"6 cannot be split over 4.*batch_size=4"):
        loop.train(config, tmp_path, method=tiny_gan.build())


def test_a_method_without_objectives_cannot_be_trained(config, tmp_path):
    method = dataclasses.replace(tiny_gan.build(), objectives={})
    with pytest.raises(ValueError, match="nothing to train"):
        loop.train(config, tmp_path, method=method)


def test_a_network_without_an_optimizer_is_an_error_that_names_it(config, tmp_path):
    del config.optimizers.discriminator
    with pytest.raises(ValueError, match="optimizer of network 'discriminator'"):
        loop.train(config, tmp_path, method=tiny_gan.build())


def logged_in_events(workdir):
    """Steps that TensorBoard shows: records of length, crc, protobuf, crc."""
    steps = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if any(v.tag == "generator/loss" for v in event.summary.value):
                steps.append(event.step)
    return steps


def test_a_signal_saves_and_ends_the_run(config, tmp_path, capsys, monkeypatch):
    config.phases.joint.steps = 1000
    config.checkpoint_every = 500
    write = writer.Writer.metrics

    def write_and_signal(self, step, values):
        write(self, step, values)
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(writer.Writer, "metrics", write_and_signal)
    state = loop.train(config, tmp_path, method=tiny_gan.build())
    stopped = int(state.step)
    assert 5 <= stopped <= 7
    assert "SIGTERM: saved and stopped" in capsys.readouterr().out
    assert (tmp_path / "checkpoints" / str(stopped)).is_dir()
    assert rows_of(tmp_path)[-1]["step"] == stopped


def test_updates_that_stay_bad_end_the_run_with_a_dump(config, tmp_path):
    config.max_bad_updates = 3
    config.phases.joint.loss_weights.l1 = 2.0
    with pytest.raises(stopping.DivergedError) as error:
        loop.train(config, tmp_path, method=tiny_gan.build(poison=True))
    for words in ("step 3", "generator/loss", "learning_rate", "clip_by_global_norm"):
        assert words in str(error.value)
    with np.load(tmp_path / "diverged_3.npz") as dump:
        assert dump["image"].shape == (8, 16, 16, 3)
    assert "generator/loss" in json.loads((tmp_path / "diverged_3.json").read_text())


def test_weights_of_another_run_start_a_new_one(config, tmp_path, capsys):
    old = loop.train(config, tmp_path / "old", method=tiny_gan.build())
    path = tmp_path / "w.safetensors"
    generator = {"generator": old.variables["generator"]}
    checkpoints.save_weights(path, generator, {"method": "tiny_gan"})
    config.phases.joint.steps = 0  # to look at what it would have begun with
    capsys.readouterr()
    options = {"init_from": path, "method": tiny_gan.build()}
    new = loop.train(config, tmp_path / "new", **options)
    said = capsys.readouterr().out
    assert f"generator from {path}; discriminator from scratch" in said
    assert int(new.step) == 0
    assert_same(new.variables["generator"], old.variables["generator"])
    assert_same(new.ema["generator"], old.variables["generator"]["params"])
