"""More devices: each computes the same, and only gradients travel."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from inpainting_jax.benchmarks import scaling


def _program(function, *shapes):
    """Compiled HLO on two devices: weights whole, the batch split."""
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    whole = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec("data"))
    arguments = [
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=where)
        for shape, where in zip(shapes, (whole, split), strict=True)
    ]
    return jax.jit(function, out_shardings=whole).lower(*arguments).compile().as_text()


def test_gradients_are_summed_and_activations_gathered_are_noticed():
    def gradient(kernel, batch):
        return jax.grad(lambda k: jnp.tanh(batch @ k).sum())(kernel)

    found = scaling.collective_bytes(_program(gradient, (16, 8), (4, 16)))
    assert found["all-reduce"] == 16 * 8 * 4
    assert sum(found.values()) == found["all-reduce"]

    def activations(kernel, batch):
        return jnp.tanh(batch @ kernel)

    found = scaling.collective_bytes(_program(activations, (16, 8), (4, 16)))
    assert found["all-gather"] == 4 * 8 * 4


def test_tuples_and_halves_are_counted():
    line = "  %a = (f32[2,3]{1,0}, bf16[5]{0}) all-reduce-start(f32[] %x), channel_id=1"
    assert scaling.collective_bytes(line)["all-reduce"] == 4 * 6 + 2 * 5
    assert not any(scaling.collective_bytes("%b = f32[9] add(%all-reduce)").values())


@pytest.mark.slow
@pytest.mark.parametrize("method", scaling.METHODS)
def test_a_step_costs_each_device_the_same_and_gathers_nothing(method):
    """FLOPs to 1 %: sums over devices are extra. A KiB of scalars: metrics, norms."""
    one, four = (
        scaling.on_devices(count, method=method, per_device=2) for count in (1, 4)
    )
    assert one["all_reduce_kib"] == one["others_kib"] == 0
    assert four["gflop"] == pytest.approx(one["gflop"], rel=0.01)
    assert four["others_kib"] == 0
    # Statistics travel as sums and sums of squares, and back as their gradients.
    excess = four["all_reduce_kib"] - four["gradients_kib"]
    assert 0 <= excess < 1 + 4 * four["statistics_kib"]
