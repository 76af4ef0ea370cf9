"""Training runs of ours as weights with a card: what `load` reads and what ships."""

import os
from collections.abc import Sequence
from typing import Any

from inpainting_jax import checkpoints
from inpainting_jax.types import Variables


def read_run(
    workdir: str | os.PathLike, *, networks: Sequence[str] = ()
) -> tuple[Variables, dict[str, Any]]:
    """A run's variables for inference (averaged where it keeps an average) and a card.

    Args:
      workdir: of `launch.train`; its best checkpoint is taken if one was rated.
      networks: the networks to keep; () keeps all.

    Raises:
      FileNotFoundError: no checkpoint in `workdir`.
      ValueError: a network that the run does not have.
    """
    variables, config = checkpoints.load_workdir(workdir)
    unknown = sorted(set(networks) - set(variables))
    if unknown:
        raise ValueError(
            f"{workdir} has no network {unknown[0]!r}, only {', '.join(variables)}"
        )
    if networks:
        variables = {name: variables[name] for name in networks}
    overrides = dict(config["model"])
    if "compute_dtype" in config:
        overrides["compute_dtype"] = config["compute_dtype"]
    card = {
        "method": config["method"],
        "overrides": overrides,
        "train_size": config["data"]["image_size"],
        "masks": config["masks"],
        "data": config["data"]["source"],
        "preset": config.get("preset", ""),
        "seed": config.get("seed", 0),
    }
    return variables, card
