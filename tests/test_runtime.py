"""How this library compiles its own programs, and what a process may be told."""

import ctypes
import importlib.metadata
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import runtime
from inpainting_jax.layers.conv import convolve


@pytest.fixture
def fresh_options():
    runtime.compiler_options.cache_clear()
    yield
    runtime.compiler_options.cache_clear()


def test_convolutions_stay_with_xla_on_a_cpu():
    image, kernel = jnp.ones((1, 32, 32, 48)), jnp.ones((3, 3, 48, 48))
    lowered = jax.jit(convolve).lower(image, kernel)
    assert "ynn_fusion" in lowered.compile().as_text()
    options = runtime.compiler_options()
    assert "ynn_fusion" not in lowered.compile(compiler_options=options).as_text()


def test_options_that_this_jax_does_not_know_are_left_out(monkeypatch, fresh_options):
    known = runtime.compiler_options()
    options = {"xla_cpu_no_such_option": "", **known}
    monkeypatch.setattr(runtime, "_CPU_OPTIONS", options)
    runtime.compiler_options.cache_clear()
    assert runtime.compiler_options() == known
    monkeypatch.setattr(runtime, "_CPU_OPTIONS", {"xla_cpu_no_such_option": ""})
    runtime.compiler_options.cache_clear()
    assert runtime.compiler_options() is None
    assert runtime.compiled(jnp.negative)(2.0) == -2


def test_another_backend_keeps_its_own_options(monkeypatch, fresh_options):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert runtime.compiler_options() is None


def test_a_compiled_function_traces_once_a_shape_and_nests():
    traced = []

    @runtime.compiled
    def double(x):
        traced.append(x.shape)
        return 2 * x

    np.testing.assert_array_equal(double(np.ones(3)), 2 * np.ones(3))
    double(np.zeros(3))
    assert traced == [(3,)]
    assert double.__name__ == "double"
    # JAX refuses options inside of a traced function; gradients and jit go through.
    assert jax.jit(jax.grad(lambda x: double(x) * x))(3.0) == 12
    double.clear_cache()
    double(np.zeros(3))
    assert traced.count((3,)) == 2


def test_static_arguments_are_passed_on():
    repeat = runtime.compiled(lambda x, n: jnp.tile(x, n), static_argnames="n")
    assert repeat(jnp.ones(2), n=3).shape == (6,)


def test_an_outlined_result_is_written_once(monkeypatch, one_device):
    double = runtime.outlined(lambda x, factor: x * factor, static_argnums=1)

    def both(x):
        y = double(x, 2)
        return y[1:] + y[:-1]

    def compiled():
        return jax.jit(lambda x: both(x)).lower(jnp.ones(8)).compile()

    assert "call(" in compiled().as_text()
    np.testing.assert_array_equal(compiled()(jnp.ones(8)), 4)
    slopes = jax.grad(lambda x: both(x).sum())(jnp.ones(3))
    np.testing.assert_array_equal(slopes, (2, 4, 2))
    np.testing.assert_array_equal(double(jnp.ones(2), 3), 3)
    monkeypatch.setattr(runtime, "alone_on_cpu", lambda: False)
    assert "call(" not in compiled().as_text()


def test_plain_forms_end_with_the_block(monkeypatch, one_device):
    assert runtime.alone_on_cpu()
    with pytest.raises(KeyError), runtime.plain_forms():
        assert not runtime.alone_on_cpu()
        raise KeyError
    assert runtime.alone_on_cpu()
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert not runtime.alone_on_cpu()


_TAKES_AND_FREES = """
import resource, sys
from inpainting_jax import runtime

if sys.argv[1] == "keep":
    assert runtime.keep_memory()
n = 128  # MiB; not folded into a constant
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * (n << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_freed_memory_is_kept_on_request():
    faults = [
        int(subprocess.check_output([sys.executable, "-c", _TAKES_AND_FREES, mode]))
        for mode in ("keep", "")
    ]
    assert faults[0] < 1000 < 20000 < faults[1]


def test_memory_is_not_kept_beside_accelerators(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", None)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ["cuda"])
    assert not runtime.keep_memory()


def test_another_systems_malloc_is_left_alone(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [])
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not runtime.keep_memory()
