"""The train step, for every method.

A step is one optimiser update per name in the phase's order. What the networks are and
what they minimise is the method's business; what an update that is not finite does
(nothing, but it is counted) is settled here.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from inpainting_jax.methods.base import Method
from inpainting_jax.training.phases import Phase
from inpainting_jax.training.remat import rematerialised
from inpainting_jax.training.state import TrainState
from inpainting_jax.types import Array, Batch, Key, Metrics

PrepareBatch = Callable[[Key, Mapping[str, Array]], Batch]


@dataclasses.dataclass(frozen=True)
class Step:
    """What stays the same over a run: `step(state, raw, phase=...) -> state, metrics`.

    Attributes:
      method: the networks and their objectives.
      optimizers: `{network: transformation}`.
      prepare: `(key, raw) -> batch`; draws the masks.
      ema: `{network: decay in (0, 1)}`.
      fresh_batches: whether `raw` holds one batch per update, stacked in front.
      remat: whether blocks are computed again in the backward pass: less memory.
      average: takes the mean over devices of a tree, where each device sees its part of
        the batch (`pmap`); does nothing where one program sees all of it (`jit`).
    """

    method: Method
    optimizers: Mapping[str, optax.GradientTransformation]
    prepare: PrepareBatch
    ema: Mapping[str, float] = dataclasses.field(default_factory=dict)
    fresh_batches: bool = False
    remat: bool = False
    average: Callable[[Any], Any] = lambda tree: tree

    def __call__(
        self, state: TrainState, raw: Mapping[str, Array], *, phase: Phase
    ) -> tuple[TrainState, Metrics]:
        """One step: an update of each network of `phase.order`, in that order."""
        step_key = jax.random.fold_in(state.key, state.step)
        batch = None if self.fresh_batches else self.prepare(step_key, raw)
        metrics = {}
        for i, name in enumerate(phase.order):
            key = jax.random.fold_in(step_key, i)
            if self.fresh_batches:
                batch = self.prepare(key, jax.tree.map(lambda x, i=i: x[i], raw))
            state, new_metrics = self.update(state, name, key, batch, phase)
            metrics |= new_metrics
        metrics["skipped"] = sum(state.skipped.values())
        worst = jnp.stack(list(state.skipped_in_a_row.values())).max()
        metrics["skipped_in_a_row"] = worst
        return state.replace(step=state.step + 1), metrics

    def update(
        self, state: TrainState, name: str, key: Key, batch: Batch, phase: Phase
    ) -> tuple[TrainState, Metrics]:
        """One optimiser update of the network `name`, left out if it is not finite."""
        params = state.variables[name]["params"]
        objective = self.method.objectives[name]
        if self.remat:
            objective = rematerialised(objective)
        objective = jax.value_and_grad(objective, has_aux=True)
        weights = dict(phase.loss_weights)
        (loss, aux), grads = self.average(
            objective(params, state.variables, key, batch, weights)
        )
        grad_norm = optax.tree.norm(grads)
        good = jnp.isfinite(loss) & jnp.isfinite(grad_norm)

        updates, opt_state = self.optimizers[name].update(
            grads, state.opt_state[name], params
        )
        changed = {name: {"params": optax.apply_updates(params, updates)}}
        for network, collections in aux.updates.items():
            changed[network] = {**changed.get(network, {}), **collections}
        new = state.replace(
            variables=_merge(state.variables, changed),
            opt_state={**state.opt_state, name: opt_state},
        )
        if name in self.ema:
            # A short run is not held back by its random start: (1 + t) / (10 + t).
            decay = jnp.minimum(self.ema[name], (1 + state.step) / (10 + state.step))
            average = optax.incremental_update(
                changed[name]["params"], state.ema[name], 1 - decay
            )
            new = new.replace(ema={**state.ema, name: average})

        bad = (~good).astype(jnp.int32)
        count = state.skipped[name] + bad
        row = jnp.where(good, 0, state.skipped_in_a_row[name] + 1)
        state = _choose(good, new, state).replace(
            skipped={**state.skipped, name: count},
            skipped_in_a_row={**state.skipped_in_a_row, name: row},
        )
        ratio = optax.tree.norm(updates) / (optax.tree.norm(params) + 1e-12)
        own = {f"{name}/loss": loss, f"{name}/grad_norm": grad_norm}
        own[f"{name}/update_ratio"] = ratio
        return state, {**own, **aux.metrics}


def _merge(variables: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """`variables` with the changed collections put in."""
    return {
        name: {**collections, **changed.get(name, {})}
        for name, collections in variables.items()
    }


def _choose(good: Array, new: TrainState, old: TrainState) -> TrainState:
    """`new` if `good`, else `old`; leaves that are the same object stay untouched."""
    return jax.tree.map(
        lambda n, o: n if n is o else jnp.where(good, n, o),
        new,
        old,
    )
