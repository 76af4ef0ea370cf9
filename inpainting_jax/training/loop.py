"""The loop: data -> step -> write -> checkpoint -> evaluate; nothing else.

The host is one step ahead of the device: it reads the numbers of a step only after it
has handed over the next, so that neither waits for the other.
"""

import contextlib
import io
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from inpainting_jax.checkpoint_errors import explain_full_disk
from inpainting_jax.methods import Method
from inpainting_jax.training import setup
from inpainting_jax.training.health import Monitor
from inpainting_jax.training.lock import WorkdirLock
from inpainting_jax.training.parallel import local_copy
from inpainting_jax.training.state import TrainState, inference_variables
from inpainting_jax.training.stopping import StopRequest, check_finite
from inpainting_jax.training.validation import Validation
from inpainting_jax.training.writer import Writer


def train(
    config: ConfigDict,
    workdir: str | os.PathLike,
    *,
    init_from: str = "",
    method: Method | None = None,
) -> TrainState:
    """Trains to the end of the config's schedule, from the last checkpoint if any.

    Args:
      config: see `configs/base.py`.
      workdir: gets `config.json`, `checkpoints/`, `metrics.jsonl`, `samples/`,
        `tensorboard/`.
      init_from: weights to begin with (.safetensors or a workdir); a run that is being
        resumed has its own and ignores it.
      method: default `METHODS[config.method]` built with `config.model`.

    Returns:
      The last state, its arrays replicated over all devices.

    Raises:
      ValueError: config that does not fit the workdir's run, the devices or itself.
      WorkdirInUseError: another run holds the workdir.
      DivergedError: `config.max_bad_updates` updates in a row were not finite.
      DiskFullError: no room for what the run writes.
    """
    first = jax.process_index() == 0
    say = print if first else lambda *_, **__: None
    with contextlib.ExitStack() as closing:
        directory = pathlib.Path(workdir) / "checkpoints"
        closing.enter_context(explain_full_disk(directory))
        lock = closing.enter_context(WorkdirLock(workdir))
        run = setup.set_up(config, workdir, method)
        closing.callback(run.data.close)
        closing.callback(run.checkpoints.close)
        state, origin = setup.first_state(run, init_from)
        start, total = int(state.step), run.plan.total_steps
        say(setup.describe(run, state, origin), flush=True)
        if start >= total:
            say(
                f"{workdir} is at step {start} of {total}: nothing left to do. To go "
                f"on, raise --config.phases.{config.schedule[-1]}.steps"
            )
            return state
        setup.write_config(run)
        with Writer(workdir, step=start, active=first) as writer, StopRequest() as stop:
            state = _Loop(run, writer, stop, lock).go(state, start)
        if stop.signal:
            say(
                f"{stop.signal}: saved and stopped at step {int(state.step)} of "
                f"{total}; the same command goes on from there"
            )
        return state


class _Loop:
    """The steps of one run and what happens between them."""

    def __init__(
        self, run: setup.Run, writer: Writer, stop: StopRequest, lock: WorkdirLock
    ):
        self._run, self._writer, self._stop, self._lock = run, writer, stop, lock
        self._config, self._total = run.config, run.plan.total_steps
        self._validation = None
        if self._config.evaluation.every or self._config.sample_every:
            self._validation = Validation(self._config, run.method)
        self._waiting = None  # the step that the device is busy with
        self._clock, self._monitor = _Clock(), Monitor()

    def go(self, state: TrainState, start: int) -> TrainState:
        """Steps `start` to the end of the plan, or to a stop request."""
        run = self._run
        state = run.runner.place(state)
        with _progress_bar(start, self._total) as bar:
            for step in range(start, self._total):
                phase = run.plan.at(step)
                raw = self._next_batch(len(phase.order))
                batch = run.runner.put(raw, self._config.fresh_batches)
                state, metrics = run.runner.compile(phase)(state, batch)
                self._settle()
                self._waiting = (step + 1, raw, metrics)
                bar.set_postfix_str(self._clock.text, refresh=False)
                bar.update()
                stopping = self._stop.after_step()
                self._pause(step + 1, state, stopping)
                if stopping:
                    break
        run.checkpoints.wait()
        return run.runner.gather(state)

    def _next_batch(self, updates: int) -> Mapping[str, np.ndarray]:
        """What this process reads for one step; stacked, if updates have their own."""
        with self._clock.waiting():
            count = updates if self._config.fresh_batches else 1
            batches = [next(self._run.data) for _ in range(count)]
        self._clock.images += self._config.batch_size * count
        for batch in batches:
            batch["index"] = batch["index"].astype(np.uint32)  # jax has no int64
        if not self._config.fresh_batches:
            return batches[0]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *batches)

    def _settle(self) -> None:
        """Reads the numbers of the step handed over before the last one."""
        if self._waiting is None:
            return
        step, raw, metrics = self._waiting
        self._waiting = None
        limit = self._config.max_bad_updates
        check_finite(step, metrics, raw, self._run.workdir, limit=limit)
        if step % self._config.log_every == 0 or step == self._total:
            metrics = jax.device_get(metrics)
            self._writer.metrics(step, metrics)
            self._writer.warnings(step, self._monitor.look(step, metrics))
            self._writer.speed(step, self._clock.lap())

    def _pause(self, step: int, state: TrainState, stopping: bool) -> None:
        """Evaluates, draws and saves where these are due after `step`."""
        evaluation, last = self._config.evaluation, step == self._total
        evaluate = _is_due(step, evaluation.every, last) and not stopping
        draw = _is_due(step, self._config.sample_every, last) and not stopping
        save = _is_due(step, self._config.checkpoint_every, last)
        if not (evaluate or draw or save or stopping):
            return
        # The numbers of a checkpoint's step must be on disk before it is.
        self._settle()
        self._lock.check()
        state = self._run.runner.gather(state)
        variables = inference_variables(
            local_copy(state.variables), local_copy(state.ema)
        )
        scores = None
        if evaluate:
            scores, fills = self._validation.scores(variables)
            named = {f"validation/{name}": value for name, value in scores.items()}
            named |= {f"health/{name}": value for name, value in fills.items()}
            self._writer.metrics(step, named)
            self._writer.warnings(step, self._monitor.look(step, named))
        if draw:
            self._writer.samples(step, self._validation.grid(variables))
        setup.save(self._run, step, state, scores)
        self._clock.restart()


def _is_due(step: int, every: int, last: bool) -> bool:
    """At multiples of `every` (0 = never) and after the last step."""
    return every > 0 and (step % every == 0 or last)


def _progress_bar(start: int, total: int) -> tqdm:
    """Steps, elapsed and remaining time; on one process, and rarely in a log file."""
    terminal = sys.stderr.isatty()
    return tqdm(
        initial=start,
        total=total,
        unit="step",
        disable=jax.process_index() != 0,
        file=sys.stderr if terminal else _LogFile(),
        mininterval=0.5 if terminal else 30,
        dynamic_ncols=terminal,
    )


class _LogFile(io.TextIOBase):
    """The error stream where it is no terminal: a line per report, none overwritten."""

    def write(self, text: str) -> int:
        text = text.strip("\r\n")
        return sys.stderr.write(f"{text}\n" if text else "")

    def flush(self) -> None:
        sys.stderr.flush()


class _Clock:
    """Images per second and the share of time spent waiting for data."""

    def __init__(self):
        self.text = ""
        self.restart()

    def restart(self) -> None:
        """Begins a new lap without a word about the last."""
        self.images = 0
        self._begun, self._waited = time.perf_counter(), 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts what happens inside as waiting for data."""
        begun = time.perf_counter()
        yield
        self._waited += time.perf_counter() - begun

    def lap(self) -> dict[str, float]:
        """What happened since the last lap."""
        elapsed = time.perf_counter() - self._begun
        speed, share = self.images / elapsed, self._waited / elapsed
        self.text = f"{speed:.1f} images/s, {share:.0%} waiting for data"
        self.restart()
        return {"images_per_second": speed, "waiting_for_data": share}
