"""The process and its devices: clusters, compiled programs kept, batches spread.

Nothing here acts on import, and only `launch/` changes what JAX or malloc do elsewhere:
a library does not configure its user's process. `compiled` is for its own programs.
"""

import contextlib
import contextvars
import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_plain_forms = contextvars.ContextVar("plain_forms", default=False)

_CLUSTERS = {
    "SLURM_NTASKS": "SLURM_PROCID",
    "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK",
    "JOB_PARALLELISM": "JOB_COMPLETION_INDEX",  # the first is of launch/k8s
}
"""Variables that hold the number of processes, and that set in each of them."""

_CPU_OPTIONS = {
    # No operations for YNNPACK, which leaves convolutions of few channels to one core:
    # on two, XLA's own took 0.5 to 0.95 times as long.
    "xla_cpu_experimental_ynn_fusion_type": "",
    # The CPU's own scheduler looks for work to do at once and holds its results
    # meanwhile: a step took a tenth more processor time and twice the memory.
    "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
}
"""Figures: docs/performance.md."""

_MALLOPT = {
    -8: 1,  # M_ARENA_MAX: one heap,
    -4: 0,  # M_MMAP_MAX: nothing beside it,
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: and its end is kept.
}

MOST_CPU_MEMORY = 2**33
"""Bytes of a CPU's free memory that are counted on, whatever there is."""


def join_cluster(mode: str = "auto") -> None:
    """Starts `jax.distributed` from the cluster's environment, before any device use.

    Args:
      mode: "on"; "off"; or "auto": on where Slurm (`srun`), Open MPI or a Kubernetes
        manifest of `launch/k8s` started several processes, or the machine is one of
        several hosts of a TPU slice.
    """
    if mode == "off" or (mode == "auto" and not in_cluster(os.environ)):
        return
    jax.distributed.initialize()


def in_cluster(environment: "os.PathLike | dict[str, str]") -> bool:
    """Whether these environment variables are those of one process of several."""
    for count, rank in _CLUSTERS.items():
        if rank in environment and int(environment.get(count, 1)) > 1:
            return True
    return "," in environment.get("TPU_WORKER_HOSTNAMES", "")


def keep_memory() -> bool:
    """Has the process keep the memory that it frees, where JAX finds CPUs only.

    A CPU's programs take their temporaries anew at every call, and malloc returns
    blocks of that size to the system at once: a step of DeepFill v2 met 244,000 page
    faults, an eighth or more of its time. Call it before JAX starts its threads.

    Returns:
      Whether it does; False with accelerators, or where malloc is not glibc's.
    """
    accelerators = importlib.metadata.entry_points(group="jax_plugins")
    if accelerators or importlib.util.find_spec("libtpu"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another system's C library
        return False
    results = [mallopt(option, value) for option, value in _MALLOPT.items()]
    return all(results)


def use_compilation_cache(where: str = "auto") -> pathlib.Path | None:
    """Keeps compiled programs on disk, so that the second run starts faster.

    Args:
      where: "off", a folder, or "auto": one of this user and this JAX version. Whoever
        can write there can run code as the user; "auto" makes it private (0700).

    Returns:
      The folder, or None.
    """
    if where == "off":
        return None
    if where == "auto":
        home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        folder = pathlib.Path(home) / "inpainting_jax" / f"jax-{jax.__version__}"
    else:
        folder = pathlib.Path(where).expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # JAX would leave out what compiles in less than a second: of 20 programs behind a
    # first picture that is 19.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


@functools.cache
def compiler_options() -> dict[str, Any] | None:
    """Options of `jax.jit` by which networks run fastest here; None = JAX's own.

    They are this library's for its own programs. Give them to a `jax.jit` around
    `method.predict` or `network.apply` of your own.
    """
    if jax.default_backend() != "cpu":
        return None
    known = {}
    for name, value in _CPU_OPTIONS.items():
        try:
            jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
        except jax.errors.JaxRuntimeError:  # another JAX, which does not know it
            continue
        known[name] = value
    return known or None


def compiled(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """`jax.jit` with `compiler_options`, which wait for the first call.

    Within a traced function it is a plain call, as JAX allows options outermost only.

    Args:
      function: pure, of arrays.
      **settings: of `jax.jit`.

    Returns:
      The function, with `clear_cache()`, which forgets its programs.
    """

    @functools.cache
    def build() -> Callable[..., Any]:
        return jax.jit(function, compiler_options=compiler_options(), **settings)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves = jax.tree.leaves((args, kwargs))
        inside = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        return (function if inside else build())(*args, **kwargs)

    call.clear_cache = lambda: build().clear_cache()
    return call


def free_memory(device: jax.Device | None = None) -> int:
    """Bytes that a device has free, rounded down to a power of two.

    Rounded, so that programs sized by it are the same from run to run. A CPU has what
    the machine has, at most `MOST_CPU_MEMORY`. Where several processes trace one
    program, they must agree: there it is half of the device, whatever is in use.

    Args:
      device: None = the first of this process.
    """
    device = device or jax.local_devices()[0]
    statistics = device.memory_stats() or {}
    if device.platform == "cpu" or "bytes_limit" not in statistics:
        free = min(_available_memory(), MOST_CPU_MEMORY)
    elif jax.process_count() > 1:
        free = statistics["bytes_limit"] // 2
    else:
        free = statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    return 1 << max(int(free), 1).bit_length() - 1


def _available_memory() -> int:
    """Bytes that this machine could hand out; `MOST_CPU_MEMORY` if it does not say."""
    try:
        text = pathlib.Path("/proc/meminfo").read_text()
    except OSError:
        return MOST_CPU_MEMORY
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else MOST_CPU_MEMORY


def space_mesh(count: int) -> Mesh:
    """The first devices of this process in a row, along the axis "space"."""
    devices = jax.local_devices()
    if not 1 <= count <= len(devices):
        raise ValueError(
            f"devices={count}, but this process has {len(devices)} x"
            f" {devices[0].device_kind}: use 1 to {len(devices)}"
        )
    return Mesh(np.array(devices[:count]), ("space",))


def split_rows(images: Any, mesh: Mesh) -> Any:
    """Arrays [B, H, W, C] with their rows shared out along "space".

    Convolutions then fetch the rows that they need from the neighbours (the compiler
    sees to it). Whole on every device where H does not divide by their number.
    """

    def put(image: Any) -> jax.Array:
        even = image.shape[1] % mesh.size == 0
        axes = PartitionSpec(None, "space") if even else PartitionSpec()
        return jax.device_put(image, NamedSharding(mesh, axes))

    return jax.tree.map(put, images)


def put_whole(tree: Any, mesh: Mesh) -> Any:
    """A tree of arrays, each whole on every device of a mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def spread(batch: Any) -> jax.Array:
    """An array on all devices of this process, split along its first axis.

    Whole on the first device where that axis does not divide by their number.
    """
    devices = jax.local_devices()
    if len(devices) == 1 or len(batch) % len(devices):
        return jax.device_put(batch, devices[0])
    mesh = Mesh(np.array(devices), ("data",))
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))


def alone_on_cpu() -> bool:
    """Whether programs run on one CPU device, where some forms of layers are faster."""
    alone = jax.default_backend() == "cpu" and jax.device_count() == 1
    return alone and not _plain_forms.get()


@contextlib.contextmanager
def plain_forms() -> Iterator[None]:
    """What is traced within takes the forms of layers that every backend has.

    Their floating-point operations are those of the layers' definitions.
    """
    token = _plain_forms.set(True)
    try:
        yield
    finally:
        _plain_forms.reset(token)


def outlined(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """A function whose results a CPU's program writes once, wherever it is traced.

    XLA computes cheap results again inside each operation that reads them: of sums of
    sums, several times the work, with an index for every number. An optimisation
    barrier does not stop that, it is gone by then; a call that may not be inlined does.

    Args:
      function: pure.
      **settings: of `jax.jit`, for its static arguments.

    Returns:
      The function; where programs do not run on one CPU device, a plain call of it.
    """
    outlined_function = jax.jit(function, **settings)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not alone_on_cpu():
            return function(*args, **kwargs)
        with set_xla_metadata(inlineable="false"):
            return outlined_function(*args, **kwargs)

    return call
