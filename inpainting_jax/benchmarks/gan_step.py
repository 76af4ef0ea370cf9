"""The training step of DeepFill v2 at 256 x 256, batch 2, ours and PyTorch's.

Discriminator, then generator, by hinge and L1 with the authors' Adam, both on one batch
whose holes are given: what a step takes without reading images and drawing masks. Ours
is the training loop's own step, with its checks for numbers that are not finite, on one
device; XLA finds by itself that both updates paint the same image, the yardstick paints
it once. Steps go on while they are timed; the losses of the first two must agree.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from inpainting_jax import runtime
from inpainting_jax.benchmarks import forward, speed_cases
from inpainting_jax.benchmarks.speed_cases import Case, Variant
from inpainting_jax.benchmarks.speed_report import OURS
from inpainting_jax.configs import deepfill_v2
from inpainting_jax.methods import METHODS, Method
from inpainting_jax.training import parallel, phases
from inpainting_jax.training.optimizers import build_optimizer
from inpainting_jax.training.state import start_from
from inpainting_jax.training.step import Step

SIDE, BATCH = 256, 2
LOSSES = ("discriminator/hinge", "generator/l1", "generator/adversarial")


def our_step(
    method: Method, variables: Mapping[str, Any], batch: Mapping[str, Any]
) -> tuple[Callable[[], np.ndarray], float, float]:
    """A call that makes one more step and returns its losses; FLOPs and bytes.

    Args:
      method: DeepFill v2.
      variables: where the steps start; copied.
      batch: `image` and `mask`, the same in every step.
    """
    config = deepfill_v2.get_config("paper")
    step = Step(
        method,
        {name: build_optimizer(spec) for name, spec in config.optimizers.items()},
        prepare=lambda key, raw: dict(raw),
    )
    runner = parallel.make_runner("jit", step, jax.devices()[:1])
    copied = jax.tree.map(jax.numpy.array, dict(variables))
    state = start_from(jax.random.key(0), copied, step.optimizers)
    held = [runner.place(parallel.put_replicated(state, runner.mesh))]
    raw = runner.put(batch, False)
    phase = phases.Plan(config, method.objectives).phases[0]
    compiled = runner.compile(phase).lower(held[0], raw).compile()
    with runtime.plain_forms():
        again = parallel.make_runner("jit", step, jax.devices()[:1])
        plain = again.compile(phase).lower(held[0], raw)

    def call() -> np.ndarray:
        held[0], metrics = compiled(held[0], raw)
        jax.block_until_ready(held[0])
        return np.array([metrics[name] for name in LOSSES])

    flops = float((plain.cost_analysis() or {}).get("flops", float("nan")))
    moved = (compiled.cost_analysis() or {}).get("bytes accessed", float("nan"))
    return call, flops, float(moved)


def torch_step(
    variables: Mapping[str, Any],
    batch: Mapping[str, np.ndarray],
    *,
    width: int = 24,
    discriminator_width: int = 64,
    last: bool = False,
    compiled: bool = False,
) -> Callable[[], np.ndarray]:
    """The yardstick's step: a call that makes one more and returns its losses.

    Args:
      variables: where the steps start.
      batch: `image` and `mask`.
      width: of the generator.
      discriminator_width: of the discriminator.
      last: channels last in memory.
      compiled: both networks by `torch.compile`.
    """
    import torch

    from inpainting_jax.benchmarks import torch_deepfill_v2 as yard

    networks = [
        yard.Generator(width, form="product"),
        yard.Discriminator(discriminator_width),
    ]
    inputs = [yard.to_planes(batch[name]) for name in ("image", "mask")]
    for network, name in zip(networks, ("generator", "discriminator"), strict=True):
        yard.load(network, variables[name])
    if last:
        layout = torch.channels_last
        networks = [network.to(memory_format=layout) for network in networks]
        inputs = [planes.to(memory_format=layout) for planes in inputs]
    if compiled:
        networks = [torch.compile(network, dynamic=False) for network in networks]
    step = yard.GanStep(*networks)
    return lambda: step(*inputs)


def twice(call: Callable[[], np.ndarray]) -> Callable[[Any], np.ndarray]:
    """For `Variant.read`: losses of the step that was made, and of the next one."""
    return lambda first: np.concatenate([first, call()])


def cases() -> Iterator[Case]:
    """The one case."""
    config = deepfill_v2.get_config("paper")
    method = METHODS["deepfill_v2"](**config.model)
    variables = forward.fresh_variables(method, SIDE)
    batch = forward.pictures(BATCH, SIDE)
    ours, flops, moved = our_step(method, variables, batch)
    calls = {OURS: ours}
    if speed_cases.has_torch():
        for name, compiled in (("torch eager", False), ("torch compiled", True)):
            name = f"{name}, channels last"
            calls[name] = torch_step(variables, batch, last=True, compiled=compiled)
    variants = {name: Variant(call, twice(call)) for name, call in calls.items()}
    # The second losses follow an update by Adam, which magnifies rounding.
    name = f"deepfill_v2 step {SIDE}x{SIDE} batch {BATCH}"
    yield Case(name, variants, flops, moved, tolerance=1e-2)


def run(
    *, output: str, data: Sequence[str], count: int, repeats: int, baseline: str = ""
) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    The process keeps its memory, as `launch.train` has it do; PyTorch does in any case.

    Args:
      output: folder to write to.
      data: not used: noise serves.
      count: not used.
      repeats: timed rounds.
      baseline: an earlier `report.json` of this suite, or "".
    """
    del data, count
    runtime.keep_memory()
    speed_cases.run("step", cases(), output, repeats, baseline)
