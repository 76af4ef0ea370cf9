"""One run at a time in a work directory: a lock file that outlives no run.

`WORKDIR/run.lock` names the process that holds it. Whether that process still runs is
looked up where it can be (same machine, same process table); elsewhere the file is
watched: its owner renews it every `BEAT` seconds, so one that stays as it is for
`PATIENCE` seconds is left over from a run that was killed. Only creation, replacement
and times of files are used, which shared file systems have in common; clocks of two
machines are never compared.

Several contenders for a left-over lock: each writes its own name over it, waits
`SETTLE` seconds and looks again; the last one holds it (Fischer's mutual exclusion).
"""

import json
import os
import pathlib
import platform
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

BEAT = 15.0
PATIENCE = 60.0
SETTLE = 1.0
"""Seconds."""

FILE = "run.lock"


class WorkdirInUseError(RuntimeError):
    """Another run holds the work directory, or took it over."""


class WorkdirLock:
    """Holds a work directory for this run, all its processes together.

    A context manager, entered by every process of the run: process 0 keeps the file,
    and all raise the same error if it cannot have it. What is renewed ends with the
    process, so a killed run leaves a file that the next one finds left over.

    Args:
      workdir: made if need be; removed again if the run leaves it empty.

    Raises:
      ValueError: `workdir` is no folder but an address.
    """

    def __init__(self, workdir: str | os.PathLike):
        if "://" in str(workdir):
            raise ValueError(
                f"workdir {workdir} is no folder; mount the bucket (gcsfuse, for one) "
                "and give the path under which every host sees it"
            )
        self._path = pathlib.Path(workdir) / FILE
        self._mine = {
            "host": platform.node(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            "place": _place(),
            "began": _began(os.getpid()),
            "token": uuid.uuid4().hex,
        }
        self._done = threading.Event()

    def __enter__(self) -> "WorkdirLock":
        refusal = ""
        if jax.process_index() == 0:
            try:
                self._acquire()
            except (OSError, WorkdirInUseError) as error:
                if jax.process_count() == 1:
                    raise
                refusal = str(error)
        if refusal := _tell_all(refusal):
            raise WorkdirInUseError(refusal)
        if jax.process_index() == 0:
            threading.Thread(target=self._renew, daemon=True).start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if jax.process_index() != 0:
            return
        self._done.set()
        if self._holds():
            self._path.unlink()
            if not any(self._path.parent.iterdir()):
                self._path.parent.rmdir()

    def check(self) -> None:
        """Asked before anything is written that another run could be writing too.

        Raises:
          WorkdirInUseError: this process stood still (a suspended machine, a stalled
            file system) for so long that another run took the directory over.
        """
        if jax.process_index() == 0 and not self._holds():
            raise WorkdirInUseError(
                f"{self._path} is no longer of this run: {_describe(_read(self._path))}"
                " took the directory over, or the file was deleted. Nothing more is "
                "written; what this run saved before is intact"
            )

    def _holds(self) -> bool:
        return _read(self._path).get("token") == self._mine["token"]

    def _acquire(self) -> None:
        """Takes the file, or raises `WorkdirInUseError`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while not self._create():
            seen = _signature(self._path)
            holder = _read(self._path)
            if self._is_alive(holder, seen):
                raise WorkdirInUseError(
                    f"{self._path.parent} is in use by {_describe(_read(self._path))}. "
                    "Wait for that run, stop it, or give another --workdir. (Are these "
                    "processes of one job? Then start them with --distributed=on.) If "
                    f"it surely runs no more, delete {self._path}"
                )
            if self._replace(seen):
                return

    def _create(self) -> bool:
        """Whether the file was not there and is ours now."""
        try:
            with self._path.open("x") as file:
                json.dump(self._mine, file)
        except FileExistsError:
            return False
        except OSError:
            self._path.unlink(missing_ok=True)  # a full disk: no empty file stays
            raise
        return True

    def _is_alive(self, holder: Mapping[str, Any], seen: Any) -> bool:
        """Whether the process named in the file still runs; may take a while."""
        if holder.get("place") == self._mine["place"]:
            return _runs(holder["pid"], holder["began"])
        print(
            f"{self._path} is of {_describe(holder)}: watching for up to {PATIENCE:.0f}"
            " s whether that run goes on",
            flush=True,
        )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            time.sleep(min(1.0, PATIENCE / 10))
            now = _signature(self._path)
            if now != seen:
                return now is not None
        return False

    def _replace(self, seen: Any) -> bool:
        """Writes our name over a left-over file; whether it then stays ours."""
        if _signature(self._path) != seen:
            return False
        draft = self._path.with_suffix(f".{self._mine['token']}")
        draft.write_text(json.dumps(self._mine))
        os.replace(draft, self._path)
        time.sleep(SETTLE)
        return self._holds()

    def _renew(self) -> None:
        """Moves the file's time on, as long as it is ours."""
        while not self._done.wait(BEAT):
            try:
                # Through an open file: one that replaced ours would not be touched.
                with self._path.open("r+") as file:
                    if json.load(file)["token"] != self._mine["token"]:
                        return
                    os.utime(file.fileno())
            except (OSError, ValueError):
                pass  # a hiccup of the file system; `check` tells if the lock is gone


def _tell_all(text: str) -> str:
    """Process 0's text, on every process."""
    if jax.process_count() == 1:
        return text
    padded = text.encode()[:2000].ljust(2000)
    numbers = np.frombuffer(padded, np.uint8)
    told = multihost_utils.broadcast_one_to_all(numbers)
    return np.asarray(told).astype(np.uint8).tobytes().decode(errors="replace").strip()


def _read(path: pathlib.Path) -> dict[str, Any]:
    """What the file says; {} if it is gone or being written."""
    try:
        return dict(json.loads(path.read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def _signature(path: pathlib.Path) -> tuple[int, int, int] | None:
    """What changes when the file is renewed or replaced; None if it is gone."""
    try:
        with path.open() as file:  # opening is what makes NFS look at the server
            status = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _describe(holder: Mapping[str, Any]) -> str:
    if not holder:
        return "a run that does not name itself"
    return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"


def _place() -> str:
    """Names the process table that a process number belongs to, boot included."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return platform.node()


def _began(pid: int) -> str:
    """When a process was started, in ticks since boot; "" where that is not known."""
    try:
        return _status(pid)[19]
    except OSError:
        return ""


def _runs(pid: int, began: str) -> bool:
    """Whether a process of this machine runs, and is the one that began then."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    try:
        status = _status(pid)
    except OSError:
        return True
    return status[0] not in "ZX" and status[19] == began


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat that follow the command's name."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()
