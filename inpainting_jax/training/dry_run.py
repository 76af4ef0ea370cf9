"""What a run will cost before it is begun: from the compiled steps, nothing is run.

Peak memory is the compiler's own account of a step's program (arguments, results and
temporaries on one device), compiled without optimising the machine code: that takes
most of the time and changes none of the memory. The work is counted in the program
before the compiler sees it. Both are of the `jit` runner: `pmap` holds the same arrays.
"""

import dataclasses
import os

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from inpainting_jax.methods import Method
from inpainting_jax.training import parallel, setup
from inpainting_jax.training.phases import Phase
from inpainting_jax.training.step import Step

_MOST_TRIALS = 5  # batch sizes compiled for a step beside the config's
_HEADROOM = 0.9  # of a device's memory; the rest is the runtime's and the reader's


@dataclasses.dataclass(frozen=True)
class PhaseCost:
    """One phase's step at the config's batch size.

    Attributes:
      names: the phases that run this step.
      flops: floating-point operations of a step, over all devices.
      peak_bytes: memory per device while it runs.
      largest_batch: most images over all devices, a multiple of their number, whose
        step stays within `_HEADROOM` of a device's memory; 0 if none does.
    """

    names: tuple[str, ...]
    flops: float
    peak_bytes: int
    largest_batch: int


@dataclasses.dataclass(frozen=True)
class Estimate:
    """See `estimate`.

    Attributes:
      method: its name.
      devices: how many, and of which kind.
      batch_size: over all devices.
      parameters: `{network: count}`.
      state_bytes: parameters, optimiser states and averages, on every device.
      device_bytes: memory of one device.
      phases: one entry per different step.
    """

    method: str
    devices: str
    batch_size: int
    parameters: dict[str, int]
    state_bytes: int
    device_bytes: int
    phases: tuple[PhaseCost, ...]

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {n:,}" for name, n in self.parameters.items())
        lines = [
            f"{self.method}: {self.devices}, batch {self.batch_size}",
            f"parameters    {counts}",
            f"state         {_size(self.state_bytes)} on every device",
            f"device memory {_size(self.device_bytes)}",
        ]
        for phase in self.phases:
            largest = phase.largest_batch
            fits = f"largest batch {largest}" if largest else "no batch fits"
            lines.append(
                f"{', '.join(phase.names)}: {phase.flops / 1e9:,.1f} GFLOP a step,"
                f" peak {_size(phase.peak_bytes)} a device, {fits}"
            )
        return "\n".join(lines)


def estimate(config: ConfigDict, method: Method | None = None) -> Estimate:
    """Parameters, work, memory and the largest batch of a run; compiles, runs nothing.

    Every step that the schedule uses is compiled, at the config's batch size and at
    those that the search for the largest batch tries: minutes for a paper's preset.

    Raises:
      ValueError: what `loop.train` would say of the config.
    """
    method, plan, step, runner = setup.build_step(config, method)
    parallel.check_batch_size(config.batch_size, runner.mesh)
    runner = parallel.make_runner("jit", step)
    state = state_shapes(config, method, step, runner.mesh)
    available = device_memory(runner.mesh.devices.flat[0])
    steps: dict[Phase, list[str]] = {}
    for name, phase in zip(config.schedule, plan.phases, strict=True):
        steps.setdefault(phase, []).append(name)
    fixed = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state) if x.size > 1)
    costs, trials = [], [config.batch_size]
    for phase, names in steps.items():
        measure = _Measure(config, runner, state, phase)
        flops, peak = measure(config.batch_size)
        largest = _largest(measure, trials, fixed, runner.mesh.size, available)
        if largest > config.batch_size:
            trials = [config.batch_size, largest]  # likely that of the next one too
        costs.append(PhaseCost(tuple(names), flops, peak, largest))
    devices = runner.mesh.devices
    return Estimate(
        method=method.name,
        devices=f"{devices.size} x {devices.flat[0].device_kind}",
        batch_size=config.batch_size,
        parameters={
            name: sum(x.size for x in jax.tree.leaves(collections["params"]))
            for name, collections in state.variables.items()
        },
        state_bytes=fixed,
        device_bytes=available,
        phases=tuple(costs),
    )


def state_shapes(config: ConfigDict, method: Method, step: Step, mesh: Mesh):
    """Shapes of a run's `TrainState`, whole on every device; nothing is allocated."""
    whole = parallel.replicated(mesh)
    create = setup.state_builder(config, method, step)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole),
        jax.eval_shape(create, jax.random.key(0)),
    )


def lower_step(config: ConfigDict, runner: parallel.Runner, state, phase: Phase, count):
    """A phase's step on `count` images over all devices, traced; nothing is run."""
    stacked = config.fresh_batches
    axes = PartitionSpec(*([None, "data"] if stacked else ["data"]))
    split = NamedSharding(runner.mesh, axes)
    front = (len(phase.order),) if stacked else ()
    raw = {
        name: jax.ShapeDtypeStruct((*front, *x.shape), x.dtype, sharding=split)
        for name, x in setup.raw_shapes(config, count=count).items()
    }
    return runner.compile(phase).lower(state, raw)


def peak_bytes(compiled: jax.stages.Compiled) -> int:
    """Memory of one device while a program runs, by the compiler's account."""
    memory = compiled.memory_analysis()
    return int(
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )


def device_memory(device: jax.Device) -> int:
    """Bytes a device may use; a CPU device has its share of the machine's memory."""
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        return int(statistics["bytes_limit"])
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total // jax.local_device_count()


class _Measure:
    """Batch size -> (floating-point operations, peak bytes per device) of a step."""

    def __init__(self, config: ConfigDict, runner, state, phase: Phase):
        self._config, self._runner = config, runner
        self._state, self._phase = state, phase
        self._known: dict[int, tuple[float, int]] = {}

    def __call__(self, count: int) -> tuple[float, int]:
        if count not in self._known:
            self._known[count] = self._compile(count)
        return self._known[count]

    def _compile(self, count: int) -> tuple[float, int]:
        lowered = lower_step(
            self._config, self._runner, self._state, self._phase, count
        )
        work = lowered.cost_analysis() or {}
        compiled = lowered.compile(parallel.hurried(self._runner.mesh))
        return float(work.get("flops", float("nan"))), peak_bytes(compiled)


def _largest(
    measure: _Measure, trials: list[int], fixed: int, step: int, available: int
) -> int:
    """The largest multiple of `step` that fits.

    Args:
      measure: of a step.
      trials: batch sizes to begin with.
      fixed: bytes that no batch takes, at least.
      step: number of devices.
      available: bytes of a device.
    """
    limit = _HEADROOM * available
    peaks = {0: fixed} | {count: measure(count)[1] for count in trials}
    for _ in range(_MOST_TRIALS):
        # A line through the two sizes that come nearest: it bends where the compiler
        # makes another program of a large batch.
        low, high = sorted(sorted(peaks, key=lambda n: abs(peaks[n] - limit))[:2])
        slope = max((peaks[high] - peaks[low]) / (high - low), 1.0)
        guess = int((limit - peaks[low]) / slope + low) // step * step
        too_large = [count for count, peak in peaks.items() if peak > limit]
        guess = min([guess, *(count - step for count in too_large)])
        if guess <= _fitting(peaks, limit):
            break
        peaks[guess] = measure(guess)[1]
    return _fitting(peaks, limit)


def _fitting(peaks: dict[int, int], limit: float) -> int:
    return max((count for count, peak in peaks.items() if peak <= limit), default=0)


def _size(count: float) -> str:
    """Bytes in MiB, or GiB from 1 on."""
    mebi = count / 2**20
    return f"{mebi / 1024:.2f} GiB" if mebi >= 1024 else f"{mebi:.1f} MiB"
