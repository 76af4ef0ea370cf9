"""Measurements in a process of their own: peak memory, start-up, more devices."""

import importlib
import json
import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

_CHILD = (
    "import sys; from inpainting_jax.benchmarks import separate; separate.answer(sys)"
)


def call(
    target: str, *, environment: Mapping[str, str] | None = None, **arguments: Any
) -> Any:
    """What a function returns in a fresh process.

    Args:
      target: "module:function"; its result must be JSON.
      environment: variables to set there.
      **arguments: JSON too.

    Raises:
      RuntimeError: the process failed; with the end of its messages.
    """
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, target, json.dumps(arguments)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{target} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(system: Any) -> None:
    """The child's side of `call`: prints the result of `argv[1]` on its last line."""
    module, name = system.argv[1].split(":")
    function = getattr(importlib.import_module(module), name)
    result = function(**json.loads(system.argv[2]))
    print("\n" + json.dumps(result))


def resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not tell."""
    return _status("VmRSS")


def reset_peak() -> None:
    """Forgets the peak so far, where Linux lets us; else the peak stays the process's.

    What was resident then counts for the new peak, so compilation no longer does.
    """
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes() -> int:
    """Most memory held at a time since the start or the last `reset_peak`."""
    unit = 1 if sys.platform == "darwin" else 1024
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return _status("VmHWM") or whole


def _status(field: str) -> int:
    """A field of /proc/self/status in bytes, or 0."""
    path = pathlib.Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(found[0]) * 1024 if found else 0
