"""Cases of a speed suite: equal work in several variants, checked, timed in turn.

A case is one piece of work in several variants, ours first, that compute the same
numbers; what differs is not timed. "Of ceiling" is the floor of the work, the larger of
FLOPs and bytes over the machine's ceilings, divided by the median time.
"""

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from inpainting_jax import runtime
from inpainting_jax.benchmarks import ceilings, speed_report, timing
from inpainting_jax.benchmarks.ceilings import Ceilings

COUNTING = (
    "FLOPs are counted by XLA in our program before optimisation, bytes in the "
    "optimised one: what its operations read and write, cached or not. All variants of "
    "a case are given the same count."
)


class Variant(NamedTuple):
    """One way to do a case's work.

    Attributes:
      call: does it, and returns only when it is done.
      read: the result of `call` -> array that all variants must agree on; None where
        there is nothing to compare.
    """

    call: Callable[[], Any]
    read: Callable[[Any], np.ndarray] | None = np.asarray


class Case(NamedTuple):
    """A piece of work.

    Attributes:
      name: unique in its suite.
      variants: by name; `speed_report.OURS` is what the others are compared with.
      flops: floating-point operations of the work, `nan` if unknown.
      bytes: read and written, likewise.
      tolerance: largest difference between variants, over the deviation of ours.
    """

    name: str
    variants: Mapping[str, Variant]
    flops: float = float("nan")
    bytes: float = float("nan")
    tolerance: float = 1e-3


def work(
    function: Callable[..., Any], *arguments: Any
) -> tuple[Callable[[], Any], float, float]:
    """Compiles; returns a call that waits, its FLOPs and its bytes.

    FLOPs are counted in the program of the layers' plain forms (`runtime.plain_forms`)
    before optimisation, for library calls of the optimised one hide theirs; bytes in
    the optimised one, as its operations read and write them, cached or not.
    """
    options = runtime.compiler_options()
    compiled = jax.jit(function, compiler_options=options).lower(*arguments).compile()
    with runtime.plain_forms():
        # A function of its own, or JAX would find what it traced before.
        plain = jax.jit(lambda *arrays: function(*arrays)).lower(*arguments)
    flops = (plain.cost_analysis() or {}).get("flops", float("nan"))
    moved = (compiled.cost_analysis() or {}).get("bytes accessed", float("nan"))

    def call() -> Any:
        return jax.block_until_ready(compiled(*arguments))

    return call, float(flops), float(moved)


def compare_variants(case: Case) -> float:
    """The largest difference of a variant from ours, over the deviation of ours.

    Raises:
      ValueError: it is above the case's tolerance: these are not the same work.
    """
    expected, worst = None, 0.0
    for name, variant in case.variants.items():
        if variant.read is None:
            continue
        found = np.asarray(variant.read(variant.call()), np.float32)
        if expected is None:
            expected = found
            continue
        scale = max(float(expected.std()), float(np.abs(expected).max()) * 1e-3, 1e-30)
        error = float(np.abs(found - expected).max()) / scale
        if not error <= case.tolerance:
            raise ValueError(
                f"{case.name}: {name} differs from ours by {error:.1e} deviations, more"
                f" than {case.tolerance:.0e}: unequal work is not timed"
            )
        worst = max(worst, error)
    return worst


def measure(case: Case, limits: Ceilings, *, repeats: int) -> list[dict[str, Any]]:
    """A row per variant of a case, checked first."""
    error = compare_variants(case)
    calls = {name: variant.call for name, variant in case.variants.items()}
    times = timing.alternate(calls, repeats=repeats)
    floor = limits.floor(case.flops, case.bytes)
    rows = []
    for name, time in times.items():
        low, high = timing.quartiles(time.walls)
        ours = times.get(speed_report.OURS, time)
        rows.append(
            {
                "case": case.name,
                "variant": name,
                "seconds": time.wall,
                "low": low,
                "high": high,
                "processor": time.processor,
                "flops": case.flops,
                "bytes": case.bytes,
                "gflops": case.flops / time.wall / 1e9,
                "gigabytes": case.bytes / time.wall / 1e9,
                "floor": floor,
                "of_ceiling": floor / time.wall,
                "over_ours": time.wall / ours.wall,
                "processor_over_ours": time.processor / max(ours.processor, 1e-9),
                "difference": error,
            }
        )
    return rows


def torch_notes() -> list[str]:
    """Which PyTorch the yardstick ran on; without it, that ours ran alone."""
    if not has_torch():
        return ["PyTorch is not installed (pip install -e '.[bench]'): no yardstick."]
    import torch

    return [
        f"Yardstick: PyTorch {torch.__version__}, {torch.get_num_threads()} threads, "
        "the same weights and inputs."
    ]


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def run(
    suite: str,
    cases: Iterable[Case],
    output: str,
    repeats: int,
    baseline: str,
    *,
    columns: Sequence[speed_report.Column] = speed_report.SPEED,
    finish: Callable[[list[dict[str, Any]]], None] = lambda rows: None,
    notes: Sequence[str] = (),
) -> None:
    """Measures the ceilings and all cases, compares, writes: a whole speed suite.

    Args:
      suite: name of the suite.
      cases: made one at a time, so that each may free its memory before the next.
      output: folder to write to.
      repeats: timed rounds.
      baseline: an earlier `report.json` of the suite, or "".
      columns: of the table.
      finish: adds to the rows what was not timed.
      notes: sentences under the table, before those that say how things were counted.
    """
    if baseline:
        speed_report.read_baseline(baseline, suite)  # a wrong file is told early
    limits = ceilings.measure()
    rows: list[dict[str, Any]] = []

    def save() -> None:
        compared = len({row["variant"] for row in rows}) > 1
        speed_report.write(
            output,
            suite,
            rows,
            columns=columns,
            limits=limits,
            notes=[
                *speed_report.fastest(rows),
                *notes,
                *(torch_notes() if compared or not has_torch() else []),
                COUNTING,
            ],
            baseline=baseline,
        )

    for case in cases:
        rows += measure(case, limits, repeats=repeats)
        save()  # what was measured outlasts a run that is cut off
    finish(rows)
    save()
