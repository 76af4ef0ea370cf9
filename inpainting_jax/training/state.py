"""Everything a run must remember to go on exactly where it stopped.

One record for every method: each field that belongs to networks is a dict keyed by the
network's name, so the step and the checkpoints never ask which paper is being trained.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from inpainting_jax.types import Array, Key, Variables


@flax.struct.dataclass
class TrainState:
    """The state of a run between two steps.

    Attributes:
      step: int32, steps finished.
      key: the run's key; never changes, steps derive theirs from it and `step`.
      variables: `{network: {"params": ..., other collections}}`.
      opt_state: `{network: optax state}`.
      ema: `{network: averaged params}`, for the networks that keep an average.
      skipped: `{network: int32}`, updates left out because they were not finite.
      skipped_in_a_row: the same, since the network's last good update.
    """

    step: Array
    key: Key
    variables: Variables
    opt_state: Mapping[str, Any]
    ema: Mapping[str, Any]
    skipped: Mapping[str, Array]
    skipped_in_a_row: Mapping[str, Array]


def create_state(
    key: Key,
    init: Callable[[Key], Variables],
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Iterable[str] = (),
) -> TrainState:
    """A fresh state at step 0.

    Args:
      key: decides the initial parameters and every later draw.
      init: key -> variables of all networks.
      optimizers: `{network: transformation}`, for the networks that are trained.
      ema: names of the networks whose parameters are averaged.
    """
    init_key, run_key = jax.random.split(key)
    return start_from(run_key, init(init_key), optimizers, ema=ema)


def start_from(
    key: Key,
    variables: Variables,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    ema: Iterable[str] = (),
) -> TrainState:
    """A state at step 0 that holds the given variables."""
    params = {name: variables[name]["params"] for name in variables}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        variables=variables,
        opt_state={name: optimizers[name].init(params[name]) for name in optimizers},
        # Copies: a buffer that appears twice in the state cannot be donated.
        ema={name: jax.tree.map(jnp.copy, params[name]) for name in ema},
        skipped={name: jnp.zeros((), jnp.int32) for name in optimizers},
        skipped_in_a_row={name: jnp.zeros((), jnp.int32) for name in optimizers},
    )


def inference_variables(variables: Variables, ema: Mapping[str, Any]) -> Variables:
    """`variables` with averaged parameters in place of the last ones, where kept."""
    return {
        name: {**collections, "params": ema.get(name, collections["params"])}
        for name, collections in variables.items()
    }
