"""How long a person waits before anything happens: import, `--help`, first picture.

Every row is a process of its own, in rounds: `import inpainting_jax`, `--help` of every
command, and the first completed picture with the compilation cache empty, then filled.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from inpainting_jax.benchmarks import separate, speed_report, timing
from inpainting_jax.benchmarks.speed_report import OURS, Column

METHOD = "deepfill_v2"
SIDE = 256
_COLUMNS = (
    Column("what", "case"),
    Column("variant", "variant"),
    Column("median s", "seconds", "{:.2f}"),
    Column("from", "low", "{:.2f}"),
    Column("to", "high", "{:.2f}"),
    Column("compiled programs", "compiled"),
    Column("taken from the cache", "cached"),
)


def first_picture(cache: str) -> dict[str, Any]:
    """Seconds from import to a completed picture; programs compiled and found.

    For a process of its own.

    Args:
      cache: folder of the compilation cache.
    """
    start = time.perf_counter()
    import jax

    import inpainting_jax as ij
    from inpainting_jax import runtime

    counts = {"requests": 0, "hits": 0}

    def count(event: str, **_: Any) -> None:
        counts["requests"] += event.endswith("compile_requests_use_cache")
        counts["hits"] += event.endswith("/cache_hits")

    jax.monitoring.register_event_listener(count)
    runtime.use_compilation_cache(cache)
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[SIDE // 4 : SIDE // 2, SIDE // 4 : SIDE // 2] = 255
    ij.inpaint(image, mask, method=METHOD)
    return {
        "seconds": time.perf_counter() - start,
        "compiled": counts["requests"] - counts["hits"],
        "cached": counts["hits"],
    }


def commands() -> list[str]:
    """Names of the commands in `launch/`, where the checkout is at hand."""
    found = importlib.util.find_spec("launch")
    if found is None:
        return []
    files = sorted(pathlib.Path(next(iter(found.submodule_search_locations))).glob("*"))
    return [
        file.stem
        for file in files
        if file.suffix == ".py" and "\nif __name__ ==" in file.read_text()
    ]


def processes() -> dict[str, Callable[[], Any]]:
    """What is timed from outside, by name."""
    found = {
        "an empty process": _process("-c", "pass"),
        "import jax": _process("-c", "import jax"),
        "import inpainting_jax": _process("-c", "import inpainting_jax"),
    }
    for name in commands():
        found[f"launch.{name} --help"] = _process("-m", f"launch.{name}", "--help")
    return found


def _process(*arguments: str) -> Callable[[], Any]:
    found = importlib.util.find_spec("launch")
    where = pathlib.Path(found.origin).parents[1] if found and found.origin else None

    def call() -> None:
        # absl ends with 1 after --help; anything else has failed.
        done = subprocess.run(
            [sys.executable, *arguments], cwd=where, capture_output=True, text=True
        )
        if done.returncode not in (0, 1) or "Traceback" in done.stderr:
            raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr[-2000:]}")

    return call


def pictures(repeats: int) -> list[dict[str, Any]]:
    """Rows of the first picture: cache empty, and filled by the process before."""
    found: Mapping[str, list[dict[str, Any]]] = {"cache empty": [], "cache filled": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            for rounds in found.values():
                target = "inpainting_jax.benchmarks.startup:first_picture"
                rounds.append(
                    separate.call(
                        target,
                        environment={"JAX_COMPILATION_CACHE_DIR": folder},
                        cache=os.path.join(folder, "cache"),
                    )
                )
    rows = []
    for variant, rounds in found.items():
        seconds = tuple(one["seconds"] for one in rounds)
        row = _row(f"first picture, {METHOD} {SIDE}x{SIDE}", variant, seconds)
        last = rounds[-1]
        rows.append({**row, "compiled": last["compiled"], "cached": last["cached"]})
    return rows


def _row(case: str, variant: str, seconds: tuple[float, ...]) -> dict[str, Any]:
    low, high = timing.quartiles(seconds)
    median = float(np.median(seconds))
    return {
        "case": case,
        "variant": variant,
        "seconds": median,
        "low": low,
        "high": high,
    }


def run(
    *, output: str, data: Sequence[str], count: int, repeats: int, baseline: str = ""
) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    Args:
      output: folder to write to.
      data: not used.
      count: not used.
      repeats: timed rounds.
      baseline: an earlier `report.json` of this suite, or "".
    """
    del data, count
    times = timing.alternate(processes(), repeats=repeats)
    rows = [_row(name, OURS, time.walls) for name, time in times.items()]
    rows += pictures(min(repeats, 3))
    speed_report.write(
        output,
        "startup",
        rows,
        columns=_COLUMNS,
        notes=["Files are in the system's cache: a round before the first is dropped."],
        baseline=baseline,
    )
