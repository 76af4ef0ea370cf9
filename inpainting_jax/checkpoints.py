"""Saving, restoring and choosing checkpoints of a run (orbax), and its weights.

A checkpoint is a dict of trees of arrays, each its own item so that inference can read
the weights without the optimisers, and one JSON record (`run`: config, data position).
Written asynchronously; a checkpoint exists once its directory has its final name, so a
killed or failed save leaves the previous ones as they were.
"""

import functools
import math
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from inpainting_jax.checkpoint_errors import (
    DamagedCheckpointError,
    DiskFullError,
    explain_damage,
    explain_full_disk,
    full_disk,
)
from inpainting_jax.types import Variables
from inpainting_jax.weight_files import check_tensors, load_weights, save_weights

__all__ = [
    "Checkpoints",
    "DamagedCheckpointError",
    "DiskFullError",
    "check_tensors",
    "load_weights",
    "load_workdir",
    "save_weights",
]


_REMEDY = (
    "the checkpoint is of another network; give the config it was trained with, or "
    "another --workdir (with --init_from=OLD_WORKDIR to start from its weights)"
)


TREES = ("variables", "ema", "progress")
"""The items of a checkpoint that hold arrays."""


class Checkpoints:
    """The checkpoints of one work directory, in `WORKDIR/checkpoints/STEP`.

    Args:
      workdir: of the run.
      keep_latest: how many recent ones stay, >= 1.
      keep_every: those whose step is a multiple stay for good; 0 = none.
      best: the metric by which one best checkpoint stays as well; "" = none.
      best_mode: "min" or "max".
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        *,
        keep_latest: int = 2,
        keep_every: int = 0,
        best: str = "",
        best_mode: str = "min",
    ):
        self.directory = pathlib.Path(workdir).absolute() / "checkpoints"
        keep = [policies.LatestN(keep_latest)]
        if keep_every:
            keep.append(policies.EveryNSteps(keep_every))
        worst = math.inf if best_mode == "min" else -math.inf
        best_fn = functools.partial(_metric, best, worst) if best else None
        if best_fn is not None:
            keep.append(
                policies.BestN(
                    get_metric_fn=best_fn,
                    reverse=best_mode == "min",
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(keep),
            best_fn=best_fn,  # orbax stores metrics only where this is given
            best_mode=best_mode,
            cleanup_tmp_directories=True,
        )
        self._manager = _open(self.directory, options)

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(
        self,
        step: int,
        items: Mapping[str, Any],
        run: Mapping[str, Any],
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Starts writing a checkpoint; returns when the arrays may change again.

        Args:
          step: steps finished.
          items: trees of arrays, by names of `TREES`.
          run: anything JSON can hold.
          metrics: of an evaluation at this step, to choose the best.

        Raises:
          DiskFullError: no room for this checkpoint, or for the one before.
        """
        self._check_room(items)
        trees = {
            name: ocp.args.StandardSave(tree)
            for name, tree in items.items()
            if jax.tree.leaves(tree)
        }
        args = ocp.args.Composite(run=ocp.args.JsonSave(dict(run)), **trees)
        with explain_full_disk(self.directory):
            self._manager.save(step, args=args, metrics=metrics, force=True)

    def restore(
        self, abstract: Mapping[str, Any], step: int | None = None
    ) -> dict[str, Any]:
        """The `items` of a checkpoint, placed as `abstract` says.

        Args:
          abstract: trees of `jax.ShapeDtypeStruct` that carry our shardings, so that
            the number of devices may differ from that of the run that saved.
          step: default the latest.

        Raises:
          ValueError: the checkpoint has other arrays than `abstract`.
          DamagedCheckpointError: it cannot be read; names it and the one before.
        """
        step = self.latest_step() if step is None else step
        with explain_damage(self.directory, step):
            return self._restore(step, abstract)

    def _restore(self, step: int, abstract: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {
            name: tree for name, tree in abstract.items() if jax.tree.leaves(tree)
        }
        self._check_shapes(step, wanted)
        args = {name: ocp.args.StandardRestore(tree) for name, tree in wanted.items()}
        restored = self._manager.restore(step, args=ocp.args.Composite(**args))
        return {name: restored.get(name, {}) for name in abstract}

    def read_run(self, step: int | None = None) -> dict[str, Any]:
        """The `run` record of a checkpoint (default: the latest)."""
        step = self.latest_step() if step is None else step
        args = ocp.args.Composite(run=ocp.args.JsonRestore())
        with explain_damage(self.directory, step):
            return self._manager.restore(step, args=args)["run"]

    def wait(self) -> None:
        """Blocks until what was saved is on disk; raises what went wrong there."""
        with explain_full_disk(self.directory):
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def close(self) -> None:
        """Waits and lets go of the directory."""
        with explain_full_disk(self.directory):
            self._manager.close()

    def _check_room(self, items: Mapping[str, Any]) -> None:
        """Better no checkpoint than half of one: asks the disk before writing."""
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(items))
        free = shutil.disk_usage(self.directory).free
        if jax.process_index() == 0 and free < needed * 1.1:
            what = f"a checkpoint needs {needed >> 20} MiB, {free >> 20} MiB are free"
            raise full_disk(self.directory, what)

    def _check_shapes(self, step: int, wanted: Mapping[str, Any]) -> None:
        """Names the array that does not fit, which orbax's own message does not."""
        where = self.directory / str(step)
        for item, tree in wanted.items():
            stored = self._manager.item_metadata(step)[item]
            if stored is None:
                raise ValueError(f"checkpoint {where} has no {item!r}; {_REMEDY}")
            shapes = {
                leaf.name: tuple(leaf.shape) for leaf in jax.tree.leaves(stored.tree)
            }
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                name = jax.tree_util.keystr(path, simple=True, separator=".")
                if name not in shapes:
                    raise ValueError(f"{where} lacks {item}.{name}; {_REMEDY}")
                is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
                if not is_key and shapes.pop(name) != tuple(leaf.shape):
                    raise ValueError(
                        f"{where}: {item}.{name} has another shape than this config "
                        f"gives it, {tuple(leaf.shape)}; {_REMEDY}"
                    )


def _open(
    directory: pathlib.Path, options: ocp.CheckpointManagerOptions
) -> ocp.CheckpointManager:
    """The manager, told how each item is stored: it can only guess for new ones."""
    handlers = {name: ocp.StandardCheckpointHandler() for name in TREES}
    handlers["run"] = ocp.JsonCheckpointHandler()
    return ocp.CheckpointManager(directory, options=options, item_handlers=handlers)


def load_workdir(
    workdir: str | os.PathLike, *, best: bool = True
) -> tuple[Variables, dict[str, Any]]:
    """A run's variables for inference, averaged where an average is kept, and config.

    Args:
      workdir: of `launch.train`.
      best: the best checkpoint if one was rated, else (and without) the latest.

    Raises:
      FileNotFoundError: no checkpoint in `workdir`.
    """
    directory = pathlib.Path(workdir).absolute() / "checkpoints"
    steps = ocp.utils.checkpoint_steps(directory) if directory.is_dir() else []
    if not steps:
        raise FileNotFoundError(
            f"{workdir} holds no checkpoint; is it the --workdir of a training run "
            "that got as far as its first checkpoint?"
        )
    options = ocp.CheckpointManagerOptions(create=False)
    with _open(directory, options) as reader:
        step = _best_step(reader, steps) if best else max(steps)
        with explain_damage(directory, step):
            restored = _read_for_inference(reader, step)
    averages = restored.get("ema") or {}
    variables = {
        name: {**collections, "params": averages.get(name, collections["params"])}
        for name, collections in restored["variables"].items()
    }
    return variables, restored["run"]["config"]


def _read_for_inference(reader: ocp.CheckpointManager, step: int) -> Mapping[str, Any]:
    """The items `variables`, `ema` (if any) and `run`, on one device of ours."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    stored = reader.item_metadata(step)
    args = {"run": ocp.args.JsonRestore()}
    for item in ("variables", "ema"):
        if stored.get(item) is not None:
            tree = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
                stored[item].tree,
            )
            args[item] = ocp.args.StandardRestore(tree)
    return reader.restore(step, args=ocp.args.Composite(**args))


def _best_step(reader: ocp.CheckpointManager, steps: list[int]) -> int:
    """The step rated best by the metric that its run chose by; the latest if none."""
    args = ocp.args.Composite(run=ocp.args.JsonRestore())
    best = reader.restore(max(steps), args=args)["run"].get("best") or {}
    rated = {}
    for step in steps:
        value = (reader.metrics(step) or {}).get(best.get("metric"), math.nan)
        if not math.isnan(value):
            rated[step] = value
    if not rated:
        return max(steps)
    choose = max if best["mode"] == "max" else min
    return choose(rated, key=rated.get)


def _metric(name: str, worst: float, metrics: Mapping[str, float]) -> float:
    """The metric, or the worst there is where it was not measured or is no number."""
    value = metrics.get(name, worst)
    return worst if math.isnan(value) else value
