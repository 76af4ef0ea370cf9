"""Faults put into real runs: each ends in a clear message and can be gone on from.

`python -m pytest -n0 -m slow tests/training/test_faults.py`; the table of outcomes is
in `docs/reliability.md`.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import tiny_gan
from PIL import Image

from inpainting_jax import checkpoints
from inpainting_jax.data import prepare
from inpainting_jax.training import loop

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(__file__).parent / "run_tiny.py"
PATIENCE = 300  # seconds, for a start on a busy machine
ENDLESS = "phases.joint.steps=1000000"


def start(workdir, data, *settings):
    """The toy run in a process of its own; its words go to `WORKDIR.log`."""
    command = [str(c) for c in (sys.executable, SCRIPT, workdir, data, *settings)]
    with pathlib.Path(f"{workdir}.log").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def said(workdir):
    return pathlib.Path(f"{workdir}.log").read_text()


def finish(process, workdir):
    assert process.wait(timeout=PATIENCE) == 0, said(workdir)


def fail(process, workdir):
    """The error of ours that ends a run which must fail."""
    assert process.wait(timeout=PATIENCE) == 1, said(workdir)
    lines = said(workdir).splitlines()
    return [line for line in lines if line.startswith("inpainting_jax.")][-1]


def rows_of(workdir):
    file = workdir / "metrics.jsonl"
    return file.read_text().splitlines() if file.exists() else []


def wait_for(condition, process, workdir, pause=0.1):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, said(workdir)
        assert time.monotonic() < deadline, said(workdir)
        time.sleep(pause)


def complete_steps(workdir):
    names = [p.name for p in (workdir / "checkpoints").glob("*")]
    return sorted(int(name) for name in names if name.isdigit())


def half_written(workdir):
    return list((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*"))


def assert_equals_a_run_in_one_piece(workdir, config, tmp_path):
    """Every array of the last checkpoint and every row of numbers, bit by bit."""
    loop.train(config, tmp_path / "whole", method=tiny_gan.build())
    assert rows_of(workdir) == rows_of(tmp_path / "whole")
    one, two = (
        loop.train(config, path, method=tiny_gan.build())  # finished: only restored
        for path in (tmp_path / "whole", workdir)
    )
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_twenty_kills_leave_no_trace(config, photos, tmp_path, record_property):
    """Half of them at a random moment, half as soon as a checkpoint is begun."""
    rng = random.Random(0)
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    hit = 0
    for life in range(20):
        process = start(workdir, photos, ENDLESS, "checkpoint_every=25")
        known = complete_steps(workdir)
        wait_for(lambda known=known: complete_steps(workdir) > known, process, workdir)
        if life % 2:
            wait_for(lambda: half_written(workdir), process, workdir, pause=0)
            time.sleep(rng.uniform(0, 0.1))
        else:
            time.sleep(rng.uniform(0, 2))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        hit += bool(half_written(workdir))
    last = complete_steps(workdir)[-1]
    record_property("kills during the writing of a checkpoint", hit)
    print(f"\n20 kills, {hit} of them while a checkpoint was written; at step {last}")
    assert hit >= 5

    config.phases.joint.steps = last + 30
    config.checkpoint_every = 25
    more = f"phases.joint.steps={last + 30}"
    finish(start(workdir, photos, more, "checkpoint_every=25"), workdir)
    assert f"resumed step {last}" in said(workdir)
    assert not half_written(workdir)
    assert_equals_a_run_in_one_piece(workdir, config, tmp_path)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, whose size can be set; logs lie outside."""
    folder = tmp_path / "run"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.call(mount):
        pytest.skip("mounting a small file system needs root and its permission")
    yield (
        folder,
        lambda size: subprocess.run(
            ["mount", "-o", f"remount,size={size}", str(folder)], check=True
        ),
    )
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(
    config, photos, tmp_path, small_disk
):
    workdir, resize = small_disk
    settings = ("phases.joint.steps=60", "checkpoint_every=10", "keep_every=10")
    process = start(workdir, photos, *settings)
    message = fail(process, workdir)
    for words in ("disk is full", "is intact", "give the same command again"):
        assert words in message
    last = complete_steps(workdir)[-1]
    assert f"that of step {last} is intact" in message
    print(f"\n{message}")

    resize("32m")
    finish(start(workdir, photos, *settings), workdir)
    assert f"resumed step {last}" in said(workdir)
    config.phases.joint.steps = 60
    config.checkpoint_every = 10
    config.keep_every = 10
    assert_equals_a_run_in_one_piece(workdir, config, tmp_path)


@pytest.mark.parametrize("how", ["half", "empty", "gone"])
@pytest.mark.parametrize("file", ["*/manifest.ocdbt", "variables/d/*", "run/metadata"])
def test_a_damaged_checkpoint_is_named_with_the_one_before(config, tmp_path, file, how):
    workdir = tmp_path / "run"
    loop.train(config, workdir, method=tiny_gan.build())
    whole = rows_of(workdir)
    newest = workdir / "checkpoints" / "8"
    for path in newest.glob(file):
        data = path.read_bytes()
        path.unlink()
        if how != "gone":
            path.write_bytes(data[: len(data) // 2] if how == "half" else b"")
    with pytest.raises(checkpoints.DamagedCheckpointError) as error:
        loop.train(config, workdir, method=tiny_gan.build())
    for words in (str(newest), "is damaged", "step 4, the one before", "same command"):
        assert words in str(error.value)
    shutil.rmtree(newest)
    loop.train(config, workdir, method=tiny_gan.build())
    assert rows_of(workdir) == whole


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_stops_the_run_with_its_name(config, tmp_path, workers):
    folder = tmp_path / "photos"
    folder.mkdir()
    make_photos(folder, 24)
    broken = folder / "7.png"
    broken.write_bytes(broken.read_bytes()[:100])
    workdir = tmp_path / "run"
    settings = (f"data.workers={workers}", "data.prefetch=1", "checkpoint_every=1")
    message = fail(start(workdir, f"folder:{folder}:all", *settings), workdir)
    assert "7.png" in message and "launch.prepare" in message
    make_photos(folder, 24)
    finish(start(workdir, f"folder:{folder}:all", *settings), workdir)
    config.data.source = f"folder:{folder}:all"
    config.checkpoint_every = 1
    assert_equals_a_run_in_one_piece(workdir, config, tmp_path)


def make_photos(folder, count):
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def test_a_corrupt_record_stops_the_run_with_its_number(tmp_path):
    (tmp_path / "photos").mkdir()
    make_photos(tmp_path / "photos", 24)
    prepare.prepare_dataset(tmp_path / "photos", tmp_path / "data")
    (shard,) = (tmp_path / "data").rglob("*train*array_record*")
    data = bytearray(shard.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    shard.write_bytes(data)
    workdir = tmp_path / "run"
    process = start(workdir, f"tfds_dir:{tmp_path / 'data'}", ENDLESS)
    message = fail(process, workdir)
    assert "BadImageError: record" in message and "launch.prepare" in message


def test_a_killed_reader_process_ends_the_run_with_a_hint(config, photos, tmp_path):
    workdir = tmp_path / "run"
    process = start(workdir, photos, ENDLESS, "data.workers=1")
    wait_for(lambda: len(complete_steps(workdir)) > 0, process, workdir)
    tasks = pathlib.Path(f"/proc/{process.pid}/task")  # each thread has its children
    children = " ".join(file.read_text() for file in tasks.glob("*/children")).split()
    for child in children:
        if b"spawn_main" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
    message = fail(process, workdir)
    for words in ("DataWorkerError", "-9", "config.data.workers", "same command"):
        assert words in message
    last = complete_steps(workdir)[-1]
    config.phases.joint.steps = last + 8
    settings = (f"phases.joint.steps={last + 8}", "data.workers=1")
    finish(start(workdir, photos, *settings), workdir)
    assert_equals_a_run_in_one_piece(workdir, config, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_run_goes_on(config, photos, tmp_path, number):
    workdir = tmp_path / "run"
    settings = ("checkpoint_every=100000", "data.threads=2")
    process = start(workdir, photos, ENDLESS, *settings)
    wait_for(lambda: len(rows_of(workdir)) > 20, process, workdir)
    process.send_signal(number)
    finish(process, workdir)
    (step,) = complete_steps(workdir)
    assert f"{number.name}: saved and stopped at step {step}" in said(workdir)
    assert json.loads(rows_of(workdir)[-1])["step"] == step
    config.phases.joint.steps = step + 5
    finish(start(workdir, photos, f"phases.joint.steps={step + 5}"), workdir)
    assert_equals_a_run_in_one_piece(workdir, config, tmp_path)


def test_a_second_run_in_the_workdir_is_refused_and_the_first_goes_on(photos, tmp_path):
    workdir = tmp_path / "run"
    first = start(workdir, photos, ENDLESS, "checkpoint_every=100000")
    wait_for(lambda: len(rows_of(workdir)) > 5, first, workdir)
    command = [sys.executable, SCRIPT, workdir, photos]
    second = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=PATIENCE
    )
    assert second.returncode == 1
    last = second.stderr.strip().splitlines()[-1]
    assert f"in use by process {first.pid}" in last and "--workdir" in last
    before = len(rows_of(workdir))
    wait_for(lambda: len(rows_of(workdir)) > before, first, workdir)
    first.terminate()
    finish(first, workdir)
    assert [json.loads(row)["step"] for row in rows_of(workdir)] == list(
        range(1, len(rows_of(workdir)) + 1)
    )
