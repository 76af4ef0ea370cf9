"""launch.train: flags, and several processes under a cluster's variables."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import types

import jax
import numpy as np
import pytest
from absl import app
from absl.testing import flagsaver
from PIL import Image

from inpainting_jax import checkpoints, runtime
from inpainting_jax.training import loop  # also defines grain's flags, once for all
from launch import train

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "training" / "run_tiny.py"
CONFIG = "--config=inpainting_jax/configs/deepfill_v2.py:tiny"


def slurm_variables(rank, count, job):
    return {
        "SLURM_JOB_ID": str(job),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
    }


def free_job_number():
    """jax derives the coordinator's port from the number of the Slurm job."""
    while True:
        job = random.randrange(2**12)
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", 65535 - 2**12 + 1 + job)):
                return job


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(24):
        pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return f"folder:{folder}:all"


def start(workdir, data, *settings, devices=1, cluster=None, cache=None):
    command = [sys.executable, SCRIPT, workdir, data, *settings]
    environment = {
        **{k: v for k, v in os.environ.items() if "proxy" not in k.lower()},
        "TINY_DEVICES": str(devices),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiles twice as fast
        **(cluster or {}),
    }
    return subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


@pytest.mark.parametrize(
    "parallel", ["jit", pytest.param("pmap", marks=pytest.mark.slow)]
)
def test_two_processes_under_slurm_train_as_one(pictures, tmp_path, parallel):
    settings = (
        "phases.joint.steps=4",
        "checkpoint_every=2",
        "optimizers.generator.name=sgd",
        "optimizers.discriminator.name=sgd",
        "masks=box",
        f"parallel={parallel}",
    )
    job = free_job_number()
    pair = [
        start(
            tmp_path / "two",
            pictures,
            *settings,
            cluster=slurm_variables(rank, 2, job),
            cache=tmp_path / f"cache{rank}",
        )
        for rank in range(2)
    ]
    first, second = (finish(process) for process in pair)
    assert "2 x cpu in 2 processes" in first and "batch 8 = 2 x 4" in first
    assert "2 x cpu" not in second  # one process speaks and writes
    finish(
        start(
            tmp_path / "one",
            pictures,
            *settings,
            devices=2,
            cache=tmp_path / "cache0",
        )
    )
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
        for name in ("one", "two")
    ]
    assert [row["step"] for row in rows[1]] == [1, 2, 3, 4]
    for one, two in zip(*rows, strict=True):
        assert one.keys() == two.keys()
        np.testing.assert_allclose(
            list(one.values()), list(two.values()), rtol=1e-5, atol=1e-6
        )
    (one, _), (two, _) = (
        checkpoints.load_workdir(tmp_path / name) for name in ("one", "two")
    )
    kernels = [v["generator"]["params"]["Conv_0"]["kernel"] for v in (one, two)]
    np.testing.assert_allclose(*kernels, rtol=0, atol=1e-6)
    kept = {path.name for path in (tmp_path / "two" / "checkpoints").iterdir()}
    assert kept == {"2", "4"}
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == 1


@pytest.mark.slow
def test_the_number_of_processes_may_change_at_every_restart(pictures, tmp_path):
    """Two processes, then one, then two: the same images, masks and numbers as one."""
    names = ("generator", "discriminator")
    settings = ["checkpoint_every=100", "masks=box"]
    settings += [f"optimizers.{name}.name=sgd" for name in names]
    for steps, count in ((4, 2), (8, 1), (12, 2)):
        job = free_job_number()
        processes = [
            start(
                tmp_path / "parts",
                pictures,
                *settings,
                f"phases.joint.steps={steps}",
                devices=2 // count,
                cluster=slurm_variables(rank, count, job) if count > 1 else None,
                cache=tmp_path / f"cache{rank}",
            )
            for rank in range(count)
        ]
        said = finish(processes[0])
        assert all(finish(process) is not None for process in processes[1:])
        assert steps == 4 or f"resumed step {steps - 4}" in said
    whole = [*settings, "phases.joint.steps=12"]
    finish(start(tmp_path / "whole", pictures, *whole, devices=2, cache=tmp_path))
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
        for name in ("parts", "whole")
    ]
    assert len(rows[0]) == 12
    for one, two in zip(*rows, strict=True):
        # Sums over two processes are added in another order.
        np.testing.assert_allclose(
            list(one.values()), list(two.values()), rtol=1e-5, atol=1e-6
        )


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_and_one_alone_can_go_on(pictures, tmp_path):
    settings = ("phases.joint.steps=100000", "checkpoint_every=100000")
    job = free_job_number()
    pair = [
        start(
            tmp_path,
            pictures,
            *settings,
            cluster=slurm_variables(rank, 2, job),
            cache=tmp_path / f"cache{rank}",
        )
        for rank in range(2)
    ]
    metrics = tmp_path / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 20):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in pair)
        time.sleep(0.2)
    pair[1].send_signal(signal.SIGTERM)
    said, _ = (finish(process) for process in pair)
    assert "SIGTERM: saved and stopped at step" in said
    (step,) = (int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert json.loads(metrics.read_text().splitlines()[-1])["step"] == step
    more = f"phases.joint.steps={step + 3}"
    said = finish(start(tmp_path, pictures, more, cache=tmp_path / "cache0"))
    assert f"resumed step {step}" in said
    assert json.loads(metrics.read_text().splitlines()[-1])["step"] == step + 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config.batchsize=4"], r"batchsize.*Did you mean \"batch_size\""),
        (["--config.model.wdth=4"], r"wdth.*Did you mean \"width\""),
        (["--config.batch_size=many"], "batch_size=many"),
        (["--config.optimizers.generator.name=adm"], "Did you mean 'adam'"),
        (["--config.masks=strokez"], "Did you mean 'strokes'"),
        (["--config.data.source=folder:/nowhere/at/all"], "/nowhere/at/all"),
        (["--config.evaluation.best=psnr"], "psnr_hole"),
        (["--config.schedule=('warm_up',)"], "warm_up"),
        (["--distributed=maybe"], "auto"),
        (["surplus"], "surplus"),
    ],
)
def test_wrong_flags_end_in_a_message_that_helps(
    tmp_path, flags, message, capsys, monkeypatch
):
    # In this process: a new one would take seconds for each case.
    argv = ["train", CONFIG, f"--workdir={tmp_path}", "--compilation_cache=off"]
    argv += flags
    monkeypatch.setattr(sys, "argv", argv)  # where ml_collections looks for fields
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as stop:
        app.run(train.main, argv=argv, flags_parser=train.parse_flags)
    assert stop.value.code != 0
    said = capsys.readouterr()
    assert re.search(message, said.err + said.out)
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(("steps", "status"), [(7, os.EX_TEMPFAIL), (8, 0)])
def test_the_exit_status_tells_a_run_that_was_stopped_from_a_finished_one(
    tmp_path, monkeypatch, steps, status
):
    stopped = types.SimpleNamespace(step=np.int32(steps))
    monkeypatch.setattr(loop, "train", lambda *args, **kwargs: stopped)
    argv = ["train", CONFIG, f"--workdir={tmp_path}", "--compilation_cache=off"]
    argv += ["--config.schedule=('joint',)", "--config.phases.joint.steps=8"]
    monkeypatch.setattr(sys, "argv", argv)
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as stop:
        app.run(train.main, argv=argv, flags_parser=train.parse_flags)
    assert (stop.value.code or 0) == status


def test_several_processes_are_recognised_by_the_variables_of_the_cluster():
    assert runtime.in_cluster(slurm_variables(1, 2, 7))
    assert runtime.in_cluster(
        {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}
    )
    assert runtime.in_cluster({"TPU_WORKER_HOSTNAMES": "a,b"})
    assert not runtime.in_cluster({"TPU_WORKER_HOSTNAMES": "a"})
    assert not runtime.in_cluster(slurm_variables(0, 1, 7))  # srun of a single task
    assert not runtime.in_cluster({"SLURM_NTASKS": "8"})  # salloc or sbatch, no srun
    assert not runtime.in_cluster({})


def test_the_compilation_cache_is_private_and_can_be_switched_off(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    former = jax.config.jax_compilation_cache_dir
    try:
        assert runtime.use_compilation_cache("off") is None
        assert jax.config.jax_compilation_cache_dir == former
        folder = runtime.use_compilation_cache("auto")
        assert folder.parent == tmp_path / "inpainting_jax"
        assert folder.name == f"jax-{jax.__version__}"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert jax.config.jax_compilation_cache_dir == str(folder)
        assert runtime.use_compilation_cache(str(tmp_path / "mine")).is_dir()
    finally:
        jax.config.update("jax_compilation_cache_dir", former)


@pytest.mark.parametrize("script", ["slurm/train.sbatch", "tpu/train_pod.sh"])
def test_the_cluster_scripts_are_clean(script):
    checker = shutil.which("shellcheck")
    if checker is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run([checker, ROOT / "launch" / script], check=True)


@pytest.mark.slow
def test_deepfill_killed_and_resumed_equals_a_run_in_one_piece(tmp_path):
    command = [sys.executable, "-m", "launch.train", CONFIG]
    command += [f"--compilation_cache={tmp_path / 'cache'}"]
    command += ["--config.model.width=2", "--config.model.discriminator_width=4"]
    command += ["--config.data.image_size=32", "--config.batch_size=4"]
    command += ["--config.phases.joint.steps=40", "--config.checkpoint_every=20"]
    command += ["--config.evaluation.every=20", "--config.evaluation.images=4"]
    command += ["--config.log_every=1"]
    whole, parts = ([*command, f"--workdir={tmp_path / name}"] for name in "ab")
    subprocess.run(whole, cwd=ROOT, check=True)
    killed = subprocess.Popen(parts, cwd=ROOT)
    metrics = tmp_path / "b" / "metrics.jsonl"
    complete = tmp_path / "b" / "checkpoints" / "20"
    while not complete.is_dir() or '"step": 22' not in metrics.read_text():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    resumed = subprocess.run(parts, cwd=ROOT, check=True, capture_output=True)
    assert b"resumed step 20" in resumed.stdout
    assert metrics.read_text() == (tmp_path / "a" / "metrics.jsonl").read_text()
    (one, _), (two, _) = (checkpoints.load_workdir(tmp_path / name) for name in "ab")
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(x, y)
