"""Answers on disk: one JSON object a line, appended, flushed and fsynced.

What has been acknowledged survives a killed server. Nothing tells who the observer is:
a random code, the class of the screen, choices and times. A line is one of

    start      code, session, design_sha256, screen
    shown      code, trial                     a timed picture went up
    answer     code, trial, choice, response_ms, shown_ms, frame_ms, ...
    duplicate  as answer, of a trial answered before: kept, never counted
    delete     code                            leave this observer out of everything

and has `time`, of the server, in UTC.
"""

import collections
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import secrets
import threading
from typing import Any

from inpainting_jax.study.folder import Study

try:
    import fcntl
except ImportError:  # Windows has no such locks: one server is up to the user
    fcntl = None

FILE = "answers.jsonl"


@dataclasses.dataclass
class Observer:
    """What is known of one observer.

    Attributes:
      code: random, given at consent.
      session: which of the study's sessions they work through.
      screen: what the page said of it.
      answers: fields of the first answer, by trial.
      shown: how often a timed trial went up.
    """

    code: str
    session: int
    screen: dict[str, Any]
    answers: dict[int, dict[str, Any]] = dataclasses.field(default_factory=dict)
    shown: collections.Counter = dataclasses.field(default_factory=collections.Counter)


def read(path: str | os.PathLike, study: Study) -> dict[str, Observer]:
    """The observers in a file of answers, by code; deleted ones are left out.

    A last line without an end was never acknowledged, and is ignored.

    Raises:
      ValueError: a line is damaged, of another study, or starts an observer twice.
    """
    return _replay(pathlib.Path(path), study)[0]


def delete(study: Study, code: str) -> None:
    """Leaves an observer out of all that is read from now on.

    Raises:
      ValueError: nobody has this code.
    """
    path = study.path / FILE
    if code not in read(path, study):
        raise ValueError(f"nobody in {path} has the code {code!r}.")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        _append(descriptor, {"event": "delete", "code": code})
    finally:
        os.close(descriptor)


class Store:
    """The answers of a study while it is served; safe to use from several threads.

    Raises:
      ValueError: the file is damaged, or another server writes to it.
    """

    def __init__(self, study: Study):
        self._study = study
        self._path = study.path / FILE
        self._mutex = threading.Lock()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        self._file = os.open(self._path, flags, 0o600)
        try:
            self._lock()
            self._observers, end = _replay(self._path, study)
            os.ftruncate(self._file, end)  # drops a torn line, else the next joins it
            os.fsync(self._file)
            folder = os.open(study.path, os.O_RDONLY)
            os.fsync(folder)  # else the new file's name may be lost
            os.close(folder)
        except BaseException:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Lets another server take over."""
        os.close(self._file)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def start(self, screen: dict[str, Any], code: str | None = None) -> Observer:
        """A new observer, in the session that fewest have worked through.

        Raises:
          ValueError: `code` is given and taken.
        """
        with self._mutex:
            code = code or secrets.token_hex(8)
            if code in self._observers:
                raise ValueError(f"an observer with the code {code!r} exists.")
            used = collections.Counter(o.session for o in self._observers.values())
            sessions = range(len(self._study.sessions))
            session = min(sessions, key=lambda number: used[number])
            event = {
                "event": "start",
                "code": code,
                "session": session,
                "design_sha256": self._study.design_sha256,
                "screen": screen,
            }
            _append(self._file, event)
            self._observers[code] = Observer(code, session, screen)
            return self._observers[code]

    def observer(self, code: str) -> Observer | None:
        """Who has this code, if anybody."""
        return self._observers.get(code)

    def pending(self, code: str) -> list[int]:
        """The trials without an answer, in the order in which they come next.

        A timed trial that went up before, and was interrupted, comes last of its part.
        """
        with self._mutex:
            observer = self._observers[code]
            trials = self._study.sessions[observer.session].trials
            left = [t for t in range(len(trials)) if t not in observer.answers]
            main = {t: trials[t].kind != "practice" for t in left}
            return sorted(left, key=lambda t: (main[t], observer.shown[t], t))

    def shown(self, code: str, trial: int) -> None:
        """Notes that a timed picture went up."""
        with self._mutex:
            event = {"event": "shown", "code": code, "trial": trial}
            _append(self._file, event)
            self._observers[code].shown[trial] += 1

    def answer(self, code: str, trial: int, fields: dict[str, Any]) -> bool:
        """Keeps an answer; False if the trial had one, which then stands."""
        with self._mutex:
            observer = self._observers[code]
            first = trial not in observer.answers
            event = {"code": code, "trial": trial, **fields}
            event["event"] = "answer" if first else "duplicate"
            _append(self._file, event)
            if first:
                observer.answers[trial] = fields
            return first

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"another server writes to {self._path}.") from error


def _append(descriptor: int, event: dict[str, Any]) -> None:
    """Writes one line in full and durably, or nothing."""
    event["time"] = datetime.datetime.now(datetime.UTC).isoformat()
    line = (json.dumps(event, sort_keys=True) + "\n").encode()
    before = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError("the disk took only a part of an answer")
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _replay(path: pathlib.Path, study: Study) -> tuple[dict[str, Observer], int]:
    """The observers in a file, and where its last whole line ends."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    end = data.rfind(b"\n") + 1
    observers: dict[str, Observer] = {}
    deleted = set()
    for number, line in enumerate(data[:end].splitlines(), 1):
        try:
            event = json.loads(line)
            if event["event"] == "delete":
                deleted.add(event["code"])
            else:
                _apply(event, observers, study)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{path}, line {number}: {error}.") from error
    return {c: o for c, o in observers.items() if c not in deleted}, end


def _apply(event: dict[str, Any], observers: dict[str, Observer], study: Study) -> None:
    kind, code = event["event"], event["code"]
    if kind == "start":
        if code in observers:
            raise ValueError(f"the observer {code!r} starts twice")
        if event["design_sha256"] != study.design_sha256:
            raise ValueError(f"answers to another study than {study.path}")
        study.sessions[event["session"]]  # an IndexError if there is none
        observers[code] = Observer(code, event["session"], event["screen"])
    elif kind == "shown":
        observers[code].shown[event["trial"]] += 1
    elif kind == "answer":
        trial = event["trial"]
        study.sessions[observers[code].session].trials[trial]
        observers[code].answers.setdefault(trial, event)
    elif kind != "duplicate":
        raise ValueError(f"an unknown event {kind!r}")
