"""What a run leaves to read: JSON lines, TensorBoard events, image grids.

`metrics.jsonl` holds only what follows from the config and the step, so that a run and
its interrupted twin write the same file; how fast it went is in `speed.jsonl`. On a
resume, rows after the restored step are cut off: they will be written again.
"""

import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np
from PIL import Image
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tqdm import tqdm


class Writer:
    """Writes into `workdir`; a closed or inactive one does nothing.

    Args:
      workdir: of the run; made if need be.
      step: the step that the run starts after; later rows are removed.
      active: False on all processes but one.
    """

    def __init__(self, workdir: str | os.PathLike, *, step: int, active: bool = True):
        self._active = active
        if not active:
            return
        self.workdir = pathlib.Path(workdir)
        (self.workdir / "samples").mkdir(parents=True, exist_ok=True)
        self._metrics = _open_after(self.workdir / "metrics.jsonl", step)
        self._speed = _open_after(self.workdir / "speed.jsonl", step)
        self._health = _open_after(self.workdir / "health.jsonl", step)
        self._events = _Events(self.workdir / "tensorboard", step)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars of a step: losses, gradient norms, validation scores."""
        self._scalars("_metrics", step, values)

    def speed(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars that depend on the machine."""
        self._scalars("_speed", step, values)

    def warnings(self, step: int, texts: Sequence[str]) -> None:
        """What `health.Monitor` had to say, to `health.jsonl` and the terminal."""
        for text in texts if self._active else ():
            self._health.write(json.dumps({"step": step, "warning": text}) + "\n")
            self._health.flush()
            tqdm.write(f"health: {text}", file=sys.stderr)

    def samples(self, step: int, grid: np.ndarray) -> None:
        """A grid of images, [H, W, 3] uint8, to `samples/STEP.png`."""
        if self._active:
            path = self.workdir / "samples" / f"step_{step:08d}.png"
            Image.fromarray(grid).save(path)
            self._events.image("samples", grid, step)

    def close(self) -> None:
        """Flushes everything to disk."""
        if self._active:
            self._metrics.close()
            self._speed.close()
            self._health.close()
            self._events.close()
            self._active = False

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _scalars(self, file: str, step: int, values: Mapping[str, float]) -> None:
        if not self._active:
            return
        # JSON knows neither NaN nor infinity.
        row = {k: float(v) if math.isfinite(v) else None for k, v in values.items()}
        lines: TextIO = getattr(self, file)
        lines.write(json.dumps({"step": step, **row}) + "\n")
        lines.flush()
        for name, value in values.items():
            self._events.scalar(name, value, step)


class _Events:
    """TensorBoard's file of a run that starts after `step`, written as we go.

    `SummaryWriter` would write in a thread of its own; where that ends, on a full disk,
    the run waits for it for ever.
    """

    def __init__(self, folder: pathlib.Path, step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(str(folder / "events"))
        # Rows of these steps in older files are not shown any more.
        start = SessionLog(status=SessionLog.START)
        self._write(step + 1, file_version="brain.Event:2")
        self._write(step + 1, session_log=start)

    def scalar(self, name: str, value: float, step: int) -> None:
        self._write(step, summary=summary.scalar(name, value))

    def image(self, name: str, grid: np.ndarray, step: int) -> None:
        self._write(step, summary=summary.image(name, grid, dataformats="HWC"))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, **content: Any) -> None:
        self._file.write_event(Event(wall_time=time.time(), step=step, **content))


def _open_after(path: pathlib.Path, step: int) -> TextIO:
    """The file, open to append, with the complete rows up to `step` only."""
    rows = path.read_text().splitlines() if path.exists() else []
    kept = [row for row in rows if _step_of(row) <= step]
    if len(kept) < len(rows):
        partial = path.with_suffix(".partial")
        partial.write_text("".join(row + "\n" for row in kept))
        os.replace(partial, path)
    return path.open("a")


def _step_of(row: str) -> float:
    """A row's step; infinite for one that a kill cut in half."""
    try:
        return json.loads(row)["step"]
    except (json.JSONDecodeError, KeyError):
        return math.inf
