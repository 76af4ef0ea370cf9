"""When a run ends early: a signal from outside, or updates that stay non-finite."""

import json
import os
import pathlib
import signal
import threading
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


class DivergedError(RuntimeError):
    """Too many updates in a row were not finite."""


class StopRequest:
    """Whether SIGTERM or SIGINT (Ctrl-C) asked the run to save and end.

    A context manager: the signals' former handlers come back at its end. The second
    SIGINT is not caught. With several processes, a signal to any of them reaches all,
    and all agree on the step.
    """

    def __init__(self):
        self.signal = ""
        self._steps = 0

    def __enter__(self) -> "StopRequest":
        self._former = {}
        if threading.current_thread() is not threading.main_thread():
            return self  # Python lets only the main thread handle signals
        signals = [signal.SIGINT]
        if jax.process_count() == 1:
            # With several, jax's own service listens for SIGTERM and tells the others.
            signals.append(signal.SIGTERM)
        for number in signals:
            self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def after_step(self) -> bool:
        """Whether to end now; asked by all processes once after every step."""
        if jax.process_count() == 1:
            return bool(self.signal)
        # Counted from this start: a signal that comes before the first call is answered
        # at count 1, so that a resumed run which gave its own steps would never hear.
        self._steps += 1
        if multihost_utils.reached_preemption_sync_point(self._steps):
            self.signal = self.signal or "SIGTERM"
            return True
        return False

    def _note(self, number: int, frame: Any) -> None:
        del frame
        self.signal = signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self._former[signal.SIGINT])
            if jax.process_count() > 1:
                os.kill(os.getpid(), signal.SIGTERM)


def check_finite(
    step: int,
    metrics: Mapping[str, jax.Array],
    raw: Mapping[str, np.ndarray],
    workdir: str | os.PathLike,
    *,
    limit: int,
) -> None:
    """Ends a run whose updates were skipped `limit` times in a row.

    The batch and the metrics of the last skipped update go to
    `WORKDIR/diverged_STEP.npz` and `.json`.
    """
    in_a_row = int(metrics["skipped_in_a_row"])
    if in_a_row < limit:
        return
    values = {name: float(value) for name, value in metrics.items()}
    dump = pathlib.Path(workdir) / f"diverged_{step}.npz"
    if jax.process_index() == 0:
        np.savez_compressed(dump, **raw)
        dump.with_suffix(".json").write_text(json.dumps(values, indent=2) + "\n")
    culprits = [name for name, value in values.items() if not np.isfinite(value)]
    raise DivergedError(
        f"step {step}: the last {in_a_row} updates of a network were not finite and "
        f"were skipped; not finite: {', '.join(culprits) or 'none in this step'}. The "
        f"batch is in {dump}, the metrics beside it; the last checkpoint is sound. "
        "What helps: a lower learning rate (config.optimizers.NETWORK.learning_rate), "
        "clipping (clip_by_global_norm), compute_dtype=float32, a look at the batch. "
        "--config.max_bad_updates raises the limit."
    )
