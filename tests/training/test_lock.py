"""One run at a time in a work directory."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
import tiny_gan

from inpainting_jax.training import lock, loop
from inpainting_jax.training.lock import WorkdirInUseError, WorkdirLock


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    for name, value in (("BEAT", 0.1), ("PATIENCE", 1.5), ("SETTLE", 0.2)):
        monkeypatch.setattr(lock, name, value)


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def left_over(workdir, **changes):
    """A lock file as a killed run leaves it."""
    holder = WorkdirLock(workdir)
    holder._acquire()
    rewrite(workdir / lock.FILE, token="another", **changes)
    return workdir / lock.FILE


def test_a_second_run_in_a_workdir_is_refused_with_the_holder_and_the_remedy(
    config, tmp_path
):
    with WorkdirLock(tmp_path):
        with pytest.raises(WorkdirInUseError) as error:
            loop.train(config, tmp_path, method=tiny_gan.build())
        assert [path.name for path in tmp_path.iterdir()] == [lock.FILE]
    for words in (str(os.getpid()), str(tmp_path), "another --workdir", "distributed"):
        assert words in str(error.value)


def test_the_lock_goes_with_the_run_and_leaves_no_empty_folder(tmp_path):
    workdir = tmp_path / "run"
    with pytest.raises(KeyError), WorkdirLock(workdir) as held:
        held.check()
        raise KeyError
    assert not workdir.exists()
    workdir.mkdir()
    (workdir / "kept").touch()
    with WorkdirLock(workdir):
        assert (workdir / lock.FILE).exists()
    assert [path.name for path in workdir.iterdir()] == ["kept"]


def test_a_lock_of_a_dead_process_of_this_machine_is_taken_at_once(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    left_over(tmp_path, pid=dead.pid)
    begun = time.monotonic()
    with WorkdirLock(tmp_path) as held:
        held.check()
    assert time.monotonic() - begun < lock.PATIENCE


def test_a_process_number_that_was_given_again_is_not_the_holder(tmp_path):
    left_over(tmp_path, began="1")
    with WorkdirLock(tmp_path) as held:
        held.check()


def test_a_zombie_holds_nothing(tmp_path):
    zombie = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left_over(tmp_path, pid=zombie.pid, began=lock._began(zombie.pid))
    with pytest.raises(WorkdirInUseError, match=f"process {zombie.pid}"):
        WorkdirLock(tmp_path).__enter__()
    zombie.stdin.close()
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet reaped
    with WorkdirLock(tmp_path) as held:
        held.check()
    zombie.wait()


def test_a_lock_of_another_machine_is_refused_while_it_is_renewed(tmp_path):
    file = left_over(tmp_path, place="elsewhere", host="node7")
    done = threading.Event()

    def renew():
        while not done.wait(0.1):
            os.utime(file)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(WorkdirInUseError, match="node7"):
            WorkdirLock(tmp_path).__enter__()
    finally:
        done.set()
        thread.join()
    with WorkdirLock(tmp_path) as held:  # it stands still: the run was killed
        held.check()


def test_the_holder_renews_its_lock(tmp_path):
    with WorkdirLock(tmp_path):
        rewrite(tmp_path / lock.FILE, place="elsewhere")  # as another machine sees it
        with pytest.raises(WorkdirInUseError):
            WorkdirLock(tmp_path).__enter__()


def test_a_run_that_lost_its_lock_saves_nothing_more(config, tmp_path, monkeypatch):
    config.phases.joint.steps = 100
    check, asked = WorkdirLock.check, []

    def lose(self):
        asked.append(self)
        if len(asked) == 2:  # the first is that of step 4
            rewrite(tmp_path / lock.FILE, token="another", pid=1, host="node7")
        check(self)

    monkeypatch.setattr(WorkdirLock, "check", lose)
    with pytest.raises(WorkdirInUseError, match="process 1 on node7"):
        loop.train(config, tmp_path, method=tiny_gan.build())
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["4"]
    assert json.loads((tmp_path / lock.FILE).read_text())["token"] == "another"


def test_of_many_that_find_a_left_over_lock_one_gets_it(tmp_path):
    left_over(tmp_path, began="1")
    outcomes = []

    def contend():
        try:
            with WorkdirLock(tmp_path):
                outcomes.append("held")
                time.sleep(1.0)
        except WorkdirInUseError:
            outcomes.append("refused")

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held"] + ["refused"] * 7


def test_a_full_disk_leaves_no_empty_lock(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lock.json, "dump", fail)
    with pytest.raises(OSError, match="No space left"):
        WorkdirLock(tmp_path).__enter__()
    assert not (tmp_path / lock.FILE).exists()
