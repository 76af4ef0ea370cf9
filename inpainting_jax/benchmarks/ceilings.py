"""What this machine can do at most, measured in the run that is compared with it.

Two numbers: floating-point operations a second of a large float32 matrix product, and
bytes a second, read and written, of adding 1 to an array larger than any cache. The
work of a program divided by both is its floor: no formulation of the same work beats
the larger of the two times.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.benchmarks import timing

SIDE = 3072
NUMBERS = 2**26


class Ceilings(NamedTuple):
    """Operations and bytes a second, and who reached them."""

    flops: float
    bytes: float
    by: str

    def floor(self, flops: float, moved: float) -> float:
        """Least seconds for so many operations and so many bytes."""
        return max(flops / self.flops, moved / self.bytes)


def measure(*, side: int = SIDE, numbers: int = NUMBERS, repeats: int = 5) -> Ceilings:
    """The best of XLA and, on a CPU, of NumPy.

    Args:
      side: of the square matrices.
      numbers: length of the float32 array that is copied.
      repeats: timed rounds; the fastest counts, for a ceiling is no average.
    """
    product = _fastest(_products(side), repeats)
    copy = _fastest(_copies(numbers), repeats)
    return Ceilings(
        flops=2 * side**3 / product[1],
        bytes=2 * 4 * numbers / copy[1],
        by=f"product {product[0]}, copy {copy[0]}",
    )


def _fastest(
    functions: dict[str, Callable[[], Any]], repeats: int
) -> tuple[str, float]:
    times = timing.alternate(functions, repeats=repeats)
    seconds = {name: min(time.walls) for name, time in times.items()}
    return min(seconds.items(), key=lambda item: item[1])


def _products(side: int) -> dict[str, Callable[[], Any]]:
    matrix = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    on_device = jnp.asarray(matrix)
    # The default of an accelerator may be a narrower type; float32 is meant.
    multiply = jax.jit(functools.partial(jnp.matmul, precision="highest"))
    found = {"XLA": lambda: multiply(on_device, on_device).block_until_ready()}
    if jax.default_backend() == "cpu":
        out = np.empty_like(matrix)
        found["NumPy"] = lambda: np.matmul(matrix, matrix, out=out)
    return found


def _copies(numbers: int) -> dict[str, Callable[[], Any]]:
    source = jnp.ones(numbers, jnp.float32)
    add = jax.jit(lambda x: x + 1, donate_argnums=())
    found = {"XLA": lambda: add(source).block_until_ready()}
    if jax.default_backend() == "cpu":
        host, out = np.ones(numbers, np.float32), np.empty(numbers, np.float32)
        found["NumPy"] = lambda: np.add(host, np.float32(1), out=out)
    return found
