"""What a run shares with the one it goes on from, and where its first state comes from.

Resuming (same workdir) brings back everything and wants the same networks, optimisers
and data; `init_from` (another run's weights) starts a new run at step 0.
"""

import fnmatch
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from flax import traverse_util
from ml_collections import ConfigDict

from inpainting_jax import checkpoints
from inpainting_jax.training.state import TrainState

FIXED = ("method", "model.*", "seed", "optimizers.*.name")
"""Fields that a resumed run must share with its checkpoint; others may change."""

_ABSENT = "(absent)"


def to_json(config: ConfigDict) -> dict[str, Any]:
    """The config as plain JSON values (tuples become lists)."""
    return json.loads(json.dumps(config.to_dict()))


def check_config(
    old: Mapping[str, Any], new: Mapping[str, Any], workdir: str | os.PathLike
) -> list[str]:
    """Lines that say what changed since the checkpoint; error if it must not have.

    Raises:
      ValueError: a field of `FIXED`, or which networks are averaged, differs; names
        it, both values and the remedy.
    """
    changes = []
    for field, before, after in _differences(old, new):
        if _is_fixed(field, before, after):
            raise ValueError(
                f"{workdir} holds a run with {field}={before!r}, but this config has "
                f"{field}={after!r}. To continue that run, give its value; to start "
                f"another, give another --workdir (and --init_from={workdir} to start "
                "from its weights)."
            )
        changes.append(f"{field}: {before!r} -> {after!r}")
    return changes


def _is_fixed(field: str, before: Any, after: Any) -> bool:
    if field.startswith("ema.") and _ABSENT in (before, after):
        return True
    return any(fnmatch.fnmatch(field, pattern) for pattern in FIXED)


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    flat = [
        traverse_util.flatten_dict(dict(config), sep=".", keep_empty_nodes=False)
        for config in (old, new)
    ]
    for field in sorted(set(flat[0]) | set(flat[1])):
        before, after = (side.get(field, _ABSENT) for side in flat)
        if before != after:
            yield field, before, after


def adopt_weights(
    state: TrainState, path: str | os.PathLike, method: str
) -> tuple[TrainState, str]:
    """A fresh state with weights of another run in it, and a line that says which.

    Args:
      state: fresh; optimisers, step and networks absent from the weights stay so.
      path: a .safetensors file, or a workdir (its best checkpoint).
      method: the name that the weights must be of.

    Raises:
      ValueError: weights of another method, or a tensor that does not fit, by name.
    """
    if pathlib.Path(path).suffix == ".safetensors":
        variables, card = checkpoints.load_weights(path)
    else:
        variables, card = checkpoints.load_workdir(path)
    if card.get("method", method) != method:
        raise ValueError(
            f"{path} holds weights of {card['method']!r}, this run trains {method!r}; "
            "give weights of the same method to --init_from"
        )
    taken = {name: variables[name] for name in state.variables if name in variables}
    if not taken:
        raise ValueError(
            f"{path} holds no network of this method ({', '.join(state.variables)}), "
            f"only {', '.join(variables)}"
        )
    expected = {name: state.variables[name] for name in taken}
    flat = traverse_util.flatten_dict(jax.device_get(taken), sep="/")
    checkpoints.check_tensors(flat, expected, where=str(path))
    fresh = [name for name in state.variables if name not in taken]
    line = f"weights of {', '.join(taken)} from {path}" + (
        f"; {', '.join(fresh)} from scratch" if fresh else ""
    )
    ema = {
        name: taken[name]["params"] if name in taken else average
        for name, average in state.ema.items()
    }
    merged = {**state.variables, **taken}
    return state.replace(variables=merged, ema=ema), line
