"""The two ways to run a step on several devices; no other file knows about devices.

`jit` (default): one program over a mesh with the axis "data"; the batch is split, the
state is replicated, the compiler places the sums. Statistics over the batch are over
the *global* batch. `pmap`: each device runs the step on its part; gradients, updated
collections and metrics are averaged over the axis. A test holds both equal.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from inpainting_jax import runtime
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.training.phases import Phase
from inpainting_jax.training.state import TrainState
from inpainting_jax.training.step import Step
from inpainting_jax.types import Array, Metrics

RunStep = Callable[..., tuple[TrainState, Metrics]]


@dataclasses.dataclass(frozen=True)
class Runner:
    """How a state, a batch and a step live on the devices.

    Attributes:
      mesh: all devices along "data".
      place: global state (every array replicated over `mesh`) -> the runner's form.
      gather: the runner's form -> global state.
      put: (host batch of this process, stacked?) -> device batch.
      compile: phase -> function (state, batch) -> (state, metrics); the state given in
        is donated.
    """

    mesh: Mesh
    place: Callable[[TrainState], TrainState]
    gather: Callable[[TrainState], TrainState]
    put: Callable[[Mapping[str, np.ndarray], bool], Mapping[str, Array]]
    compile: Callable[[Phase], RunStep]


def make_runner(kind: str, step: Step, devices: list[jax.Device] | None = None):
    """A `Runner` for "jit" or "pmap" over `devices` (default: all of the run)."""
    runners = {"jit": _jit_runner, "pmap": _pmap_runner}
    if kind not in runners:
        raise UnknownNameError("parallel", kind, runners)
    devices = jax.devices() if devices is None else devices
    # Auto: shardings are the compiler's, which is what linen modules assume.
    mesh = jax.make_mesh(
        (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices
    )
    return runners[kind](step, mesh)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of an array that every device of `mesh` holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def run_once(function: Callable[..., Any], mesh: Mesh, *args: Any) -> Any:
    """Calls `function` under jit, for replicated results, compiled in a hurry.

    On a CPU, optimising the random draws of a generator's first parameters takes longer
    (42 s for DeepFill v2) than everything else in a short run; unoptimised it is 6 s.
    """
    whole, options = replicated(mesh), hurried(mesh)
    return jax.jit(function, out_shardings=whole, compiler_options=options)(*args)


def hurried(mesh: Mesh) -> dict[str, Any] | None:
    """Compiler options for a program that runs once, or never.

    On a CPU its machine code is not optimised; which arrays it holds, and when, was
    settled before that.
    """
    cpu = mesh.devices.flat[0].platform == "cpu"
    return {"xla_backend_optimization_level": 0} if cpu else None


def local_copy(tree: Any) -> Any:
    """This process's own copy of replicated arrays, on one of its devices."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def check_batch_size(batch_size: int, mesh: Mesh) -> int:
    """Images per process; `ValueError` if the devices cannot share a batch evenly."""
    if batch_size <= 0 or batch_size % mesh.size:
        lower = max(batch_size // mesh.size, 1) * mesh.size
        raise ValueError(
            f"batch_size {batch_size} cannot be split over {mesh.size} devices; "
            f"use a multiple, such as --config.batch_size={lower}"
        )
    return batch_size // jax.process_count()


def _jit_runner(step: Step, mesh: Mesh) -> Runner:
    whole = replicated(mesh)

    @functools.cache
    def compile_phase(phase: Phase) -> RunStep:
        return jax.jit(
            functools.partial(step, phase=phase),
            out_shardings=(whole, whole),
            donate_argnums=0,
            compiler_options=runtime.compiler_options(),
        )

    def put(batch: Mapping[str, np.ndarray], stacked: bool) -> Mapping[str, Array]:
        axes = (None, "data") if stacked else ("data",)
        split = NamedSharding(mesh, PartitionSpec(*axes))
        return {
            name: jax.make_array_from_process_local_data(split, array)
            for name, array in batch.items()
        }

    return Runner(mesh, lambda s: s, lambda s: s, put, compile_phase)


def _pmap_runner(step: Step, mesh: Mesh) -> Runner:
    local = [d for d in mesh.devices.flat if d.process_index == jax.process_index()]
    step = dataclasses.replace(step, average=_pmean)

    @functools.cache
    def compile_phase(phase: Phase) -> RunStep:
        run = jax.pmap(
            functools.partial(step, phase=phase),
            axis_name="data",
            in_axes=(0, 1 if step.fresh_batches else 0),
            devices=list(mesh.devices.flat),
            donate_argnums=0,
        )

        def run_and_unstack(state, batch):
            state, metrics = run(state, batch)
            return state, jax.tree.map(lambda x: x.addressable_data(0)[0], metrics)

        return run_and_unstack

    def put(batch: Mapping[str, np.ndarray], stacked: bool) -> Mapping[str, Array]:
        def per_device(x: np.ndarray) -> np.ndarray:
            if stacked:
                return x.reshape(x.shape[0], len(local), -1, *x.shape[2:])
            return x.reshape(len(local), -1, *x.shape[1:])

        return {name: per_device(array) for name, array in batch.items()}

    split = NamedSharding(Mesh(np.array(local), ("data",)), PartitionSpec("data"))

    def place(state: TrainState) -> TrainState:
        def stack(x: Array) -> Array:
            return jax.device_put(jnp.stack([x] * len(local)), split)

        return jax.tree.map(stack, local_copy(state))

    def gather(state: TrainState) -> TrainState:
        first = jax.tree.map(lambda x: x.addressable_data(0)[0], state)
        return put_replicated(first, mesh)

    return Runner(mesh, place, gather, put, compile_phase)


def put_replicated(tree: Any, mesh: Mesh) -> Any:
    """Equal local arrays of every process -> global arrays replicated over `mesh`."""

    def put(x: Array) -> Array:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = put(jax.random.key_data(x))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
        return jax.make_array_from_process_local_data(replicated(mesh), np.asarray(x))

    return jax.tree.map(put, tree)


def _pmean(tree: Any) -> Any:
    """Mean over the devices, in the leaf's own dtype."""
    return jax.tree.map(lambda x: jax.lax.pmean(x, "data").astype(x.dtype), tree)
