"""Timing on a machine that others use too: alternate, take medians, report ratios."""

import os
import pathlib
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np


class Timing(NamedTuple):
    """Seconds of one function.

    Attributes:
      first: wall time of the first call, compilation included.
      wall: median wall time of the later calls.
      processor: median processor time of the later calls, over all threads; what other
        programs do on the machine changes it least.
      walls: wall time of each later call, in the order of the rounds.
    """

    first: float
    wall: float
    processor: float
    walls: tuple[float, ...] = ()


def alternate(
    functions: Mapping[str, Callable[[], Any]], *, repeats: int
) -> dict[str, Timing]:
    """Times functions in turn: A B A B ..., so that all see the same neighbours.

    Each must return only when its work is done. The first round is not in the medians.
    """
    wall: dict[str, list[float]] = {name: [] for name in functions}
    processor: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start, used = time.perf_counter(), time.process_time()
            function()
            wall[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - used)
    return {
        name: Timing(
            wall[name][0],
            float(np.median(wall[name][1:])),
            float(np.median(processor[name][1:])),
            tuple(wall[name][1:]),
        )
        for name in functions
    }


def quartiles(values: tuple[float, ...]) -> tuple[float, float]:
    """The first and the third quartile: half of the values lie between them."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(low), float(high)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    described = platform.processor() or platform.machine()
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if "model name" in line]
        described = names[0] if names else described
    return {
        "processor": described,
        "cores": os.cpu_count(),
        "device": str(jax.devices()[0]),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
