"""launch/slurm/train.sbatch on a cluster of one node, made of Debian's Slurm.

apt-get install slurmctld slurmd slurm-client munge; run as root, `-n0 -m slow`. Nothing
of the machine's own configuration is read or changed.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
PATIENCE = 600  # seconds, for the start of a run on a busy machine
STEPS = 40

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}
SlurmctldPort={port}
SlurmdPort={other_port}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
SwitchType=switch/none
TaskPlugin=task/none
ReturnToService=2
KillWait=60
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName={host} CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(condition, what, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.5)
    return value


class Cluster:
    """Commands of Slurm with the environment of one configuration."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": PATH,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        }

    def run(self, *command):
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, workdir):
        """The example of docs/clusters.md, with a network of a few thousand weights."""
        values = ["model.width=4", "model.discriminator_width=4", "batch_size=2"]
        values += ["phases.warmup.steps=0", f"phases.joint.steps={STEPS}"]
        values += ["data.source=procedural", "evaluation.every=0", "sample_every=0"]
        values += ["checkpoint_every=5", "log_every=1"]
        said = self.run(
            "sbatch",
            "--gpus-per-node=0",
            "--ntasks-per-node=2",
            "--cpus-per-task=1",
            f"--output={self.folder}/%j.log",
            "launch/slurm/train.sbatch",
            "--config=inpainting_jax/configs/pggan.py:tiny",
            f"--workdir={workdir}",
            *(f"--config.{value}" for value in values),
        )
        return re.search(r"\d+", said)[0]

    def job(self, number):
        fields = self.run("scontrol", "--oneliner", "show", "job", number).split()
        return dict(field.split("=", 1) for field in fields if "=" in field)

    def log(self, number):
        file = self.folder / f"{number}.log"
        return file.read_text() if file.exists() else ""

    def wait_until_requeued(self, number, restarts):
        wait_for(
            lambda: (
                self.job(number)["Restarts"] == str(restarts)
                and self.job(number)["JobState"] == "PENDING"
            ),
            lambda: f"{self.job(number)}\n{self.log(number)}",
        )
        # Slurm would wait two minutes, so that credentials of the former start, which
        # it revokes by their second, cannot be taken for those of the next.
        self.run("scontrol", "update", f"JobId={number}", "StartTime=now+10")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    programs = ("munged", "slurmctld", "slurmd", "sbatch")
    missing = [name for name in programs if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid():
        pytest.skip("slurmd and munged of one's own need root")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge" / "key").write_bytes(os.urandom(1024))
    (folder / "munge" / "key").chmod(0o600)
    port, other_port = free_ports(2)
    host = socket.gethostname().partition(".")[0]
    values = {"host": host, "port": port, "other_port": other_port, "folder": folder}
    text = CONFIGURATION.format(**values, cpus=max(2, os.cpu_count()))
    (folder / "slurm.conf").write_text(text)

    made = Cluster(folder)
    places = {"key-file": "key", "socket": "socket", "pid-file": "pid"}
    places |= {"log-file": "log", "seed-file": "seed"}
    options = [f"--{name}={folder}/munge/{place}" for name, place in places.items()]
    commands = [["munged", "--foreground", "--force", *options]]
    commands += [["slurmctld", "-D"], ["slurmd", "-D"]]
    daemons = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("w") as out:
                daemons.append(
                    subprocess.Popen(
                        command, env=made.environment, stdout=out, stderr=out
                    )
                )
            if command[0] == "munged":
                there = (folder / "munge" / "socket").exists
                wait_for(there, lambda: "munged does not start", 30)
        wait_for(
            lambda: (
                "idle"
                in subprocess.getoutput(
                    f"SLURM_CONF={folder}/slurm.conf sinfo --noheader --format=%T"
                )
            ),
            lambda: (folder / "slurmctld.log").read_text(),
            120,
        )
        yield made
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(timeout=60)


def task_of(workdir, rank):
    """The process number of a task."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = words[1:3] == [b"-m", b"launch.train"]
        ours = ours and f"--workdir={workdir}".encode() in words
        if ours and f"SLURM_PROCID={rank}".encode() in variables:
            return int(folder.name)
    raise AssertionError(f"task {rank} does not run")


def last_step(workdir):
    """The last step whose numbers are written; 0 before the first."""
    file = workdir / "metrics.jsonl"
    rows = file.read_text().splitlines() if file.exists() else []
    return json.loads(rows[-1])["step"] if rows else 0


def test_a_job_of_two_tasks_survives_a_kill_and_a_preemption(cluster, tmp_path):
    workdir = tmp_path / "run"
    number = cluster.submit(workdir)

    def reach(step, start):
        """Waits for a step of the job's n-th start."""
        said = "2 x cpu in 2 processes"
        wait_for(
            lambda: (
                cluster.log(number).count(said) == start and last_step(workdir) >= step
            ),
            lambda: cluster.log(number),
        )

    reach(8, start=1)
    os.kill(task_of(workdir, 1), signal.SIGKILL)
    cluster.wait_until_requeued(number, 1)
    assert re.search(
        r"status 1\d\d after 0 restarts: queued again", cluster.log(number)
    )

    # What the tasks get before the time limit, and when the job is preempted: here it
    # may come while the second start still compiles its first step.
    reach(0, start=2)
    cluster.run("scancel", "--signal=TERM", number)
    cluster.wait_until_requeued(number, 2)
    said = cluster.log(number)
    assert "status 75 after 1 restarts: queued again" in said
    stopped = int(re.search(r"saved and stopped at step (\d+)", said)[1])

    wait_for(
        lambda: cluster.job(number)["JobState"] == "COMPLETED",
        lambda: cluster.log(number),
    )
    said = cluster.log(number)
    assert said.count("2 x cpu in 2 processes") == 3
    assert re.findall(r"resumed step (\d+)", said)[1] == str(stopped)
    steps = [json.loads(row)["step"] for row in (workdir / "metrics.jsonl").open()]
    assert steps == list(range(1, STEPS + 1))
    assert not (workdir / "run.lock").exists()


def test_a_cancelled_job_saves_and_is_not_queued_again(cluster, tmp_path):
    workdir = tmp_path / "run"
    number = cluster.submit(workdir)
    wait_for(lambda: last_step(workdir) >= 3, lambda: cluster.log(number))
    cluster.run("scancel", number)
    wait_for(
        lambda: "saved and stopped" in cluster.log(number),
        lambda: cluster.log(number),
    )
    time.sleep(5)
    assert cluster.job(number)["JobState"] == "CANCELLED"
    assert cluster.job(number)["Restarts"] == "0"
    assert "queued again" not in cluster.log(number)
