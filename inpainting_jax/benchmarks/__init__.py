"""Reproducible measurements behind the tables in `docs/`; one module per suite.

A suite is a function `run(*, output, data, count, repeats)` that writes `report.json`
and `table.md` into the folder `output`; one that measures trained weights also takes
`weights`, a sequence of paths, one that measures speed or memory `baseline`, the path
of an earlier report.
"""

from inpainting_jax.registry import Registry

SUITES = Registry(
    "benchmark suite",
    {
        "attention": "inpainting_jax.benchmarks.attention:run",
        "convolutions": "inpainting_jax.benchmarks.convolutions:run",
        "forward": "inpainting_jax.benchmarks.forward:run",
        "input": "inpainting_jax.benchmarks.reading:run",
        "layers": "inpainting_jax.benchmarks.layer_speed:run",
        "memory": "inpainting_jax.benchmarks.memory:run",
        "metrics": "inpainting_jax.benchmarks.metric_speed:run",
        "neural_patch": "inpainting_jax.benchmarks.neural_patch:run",
        "patchmatch": "inpainting_jax.benchmarks.patchmatch:run",
        "scaling": "inpainting_jax.benchmarks.scaling:run",
        "spg_net": "inpainting_jax.benchmarks.spg_net:run",
        "startup": "inpainting_jax.benchmarks.startup:run",
        "step": "inpainting_jax.benchmarks.gan_step:run",
    },
)

__all__ = ["SUITES"]
