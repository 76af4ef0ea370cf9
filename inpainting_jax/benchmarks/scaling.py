"""What a step costs per device on 1, 2, 4 and 8 devices, from the compiled program.

Weak scaling: the batch grows with the devices. The devices are virtual ones of this
machine's processor (`--xla_force_host_platform_device_count`), each count in a process
of its own; nothing is run, so nothing is timed. What must hold: each device computes
the same however many there are, and the devices exchange the gradients, the statistics
and a few scalars by all-reduce, no activations.
"""

import functools
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inpainting_jax import runtime
from inpainting_jax.benchmarks import separate, speed_report
from inpainting_jax.benchmarks.speed_report import Column
from inpainting_jax.training import dry_run, parallel, setup

DEVICES = (1, 2, 4, 8)
METHODS = ("deepfill_v2", "partial_conv")
PER_DEVICE = 2
_KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "collective-permute",
    "all-to-all",
)
_COLLECTIVE = re.compile(rf"= (.+?) ({'|'.join(_KINDS)})(?:-start)?\(")
_ARRAY = re.compile(r"\b(pred|[a-z]+\d+)\[([\d,]*)\]")
_COLUMNS = (
    Column("step", "case"),
    Column("devices", "variant"),
    Column("GFLOP a device", "gflop", "{:.3f}"),
    Column("all-reduce KiB", "all_reduce_kib", "{:.1f}"),
    Column("gradients KiB", "gradients_kib", "{:.1f}"),
    Column("statistics KiB", "statistics_kib", "{:.1f}"),
    Column("other collectives KiB", "others_kib", "{:.1f}"),
)


def collective_bytes(program: str) -> dict[str, int]:
    """Bytes of the results of each kind of collective operation in compiled HLO."""
    found = dict.fromkeys(_KINDS, 0)
    for line in program.splitlines():
        match = _COLLECTIVE.search(line)
        if match:
            found[match[2]] += sum(map(_array_bytes, _ARRAY.findall(match[1])))
    return found


def _array_bytes(array: tuple[str, str]) -> int:
    """Of ("f32", "3,4") and its like."""
    kind, sides = array
    bits = 8 if kind == "pred" else int(re.sub(r"\D*(\d+).*", r"\1", kind))
    count = int(np.prod([int(side) for side in sides.split(",") if side]))
    return count * bits // 8


def compiled_step(config: ConfigDict) -> tuple[Any, Any]:
    """The state's shapes and the compiled step of a config's last phase, not run."""
    method, plan, step, runner = setup.build_step(config)
    state = dry_run.state_shapes(config, method, step, runner.mesh)
    with runtime.plain_forms():  # those of several devices, for one too
        lowered = dry_run.lower_step(
            config, runner, state, plan.phases[-1], config.batch_size
        )
    return state, lowered.compile(compiler_options=parallel.hurried(runner.mesh))


def step_cost(method: str, per_device: int, preset: str = "tiny") -> dict[str, Any]:
    """A row: the last phase's step of a method over all devices of this process.

    Args:
      method: its name.
      per_device: images.
      preset: of its config.
    """
    config = import_module(f"inpainting_jax.configs.{method}").get_config(preset)
    config.batch_size = per_device * jax.device_count()
    state, compiled = compiled_step(config)
    trained = config.phases[config.schedule[-1]].order
    params = {name: state.variables[name]["params"] for name in set(trained)}
    statistics = {
        name: {kind: x for kind, x in collections.items() if kind != "params"}
        for name, collections in state.variables.items()
    }
    found = collective_bytes(compiled.as_text())
    all_reduce = found.pop("all-reduce")
    return {
        "case": f"{method}:{preset}, {per_device} images a device",
        "variant": str(jax.device_count()),
        "gflop": compiled.cost_analysis()["flops"] / 1e9,
        "all_reduce_kib": all_reduce / 1024,
        "gradients_kib": size_of(params) / 1024,
        "statistics_kib": size_of(statistics) / 1024,
        "others_kib": sum(found.values()) / 1024,
    }


def size_of(tree: Any) -> int:
    """Bytes of all arrays of a tree."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def on_devices(count: int, **arguments: Any) -> dict[str, Any]:
    """`step_cost` in a process with so many virtual devices."""
    flag = f"--xla_force_host_platform_device_count={count}"
    return separate.call(
        "inpainting_jax.benchmarks.scaling:step_cost",
        environment={"XLA_FLAGS": flag, "JAX_PLATFORMS": "cpu"},
        **arguments,
    )


def run(
    *, output: str, data: Sequence[str], count: int, repeats: int, baseline: str = ""
) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    Args:
      output: folder to write to.
      data: not used.
      count: not used.
      repeats: not used: programs are read, not run.
      baseline: an earlier `report.json` of this suite, or "".
    """
    del data, count, repeats
    measure = functools.partial(on_devices, per_device=PER_DEVICE)
    rows = [measure(n, method=name) for name in METHODS for n in DEVICES]
    speed_report.write(
        output,
        "scaling",
        rows,
        columns=_COLUMNS,
        compared="all_reduce_kib",
        notes=[
            "FLOPs are those of the compiled program of one device; bytes are those of "
            "the results of its collective operations."
        ],
        baseline=baseline,
    )
