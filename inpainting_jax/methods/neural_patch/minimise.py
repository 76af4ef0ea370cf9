"""Descent on the pixels of one image: L-BFGS or Adam, the best iterate wins."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from inpainting_jax.types import Array

_SEARCH_STEPS = 10  # trials of a line search, at most


def build_optimizer(
    optimizer: str, *, learning_rate: float, memory: int, line_search: bool
) -> optax.GradientTransformationExtraArgs:
    """The chain that `minimise` runs; see there."""
    if optimizer == "adam":
        return optax.with_extra_args_support(optax.adam(learning_rate))
    if line_search:
        search = optax.scale_by_zoom_linesearch(
            max_linesearch_steps=_SEARCH_STEPS, initial_guess_strategy="one"
        )
        return optax.lbfgs(memory_size=memory, linesearch=search)
    return optax.lbfgs(1.0, memory_size=memory, linesearch=None)


def minimise(
    objective: Callable[[Array], Array],
    start: Array,
    *,
    steps: int,
    optimizer: str = "lbfgs",
    learning_rate: float = 0.02,
    memory: int = 25,
    line_search: bool = True,
) -> Array:
    """The best point that some steps of descent reach; never worse than the start.

    Stops early where the gradient is 0 or anything is not finite.

    Args:
      objective: array to scalar.
      start: any shape.
      steps: updates, at most.
      optimizer: "lbfgs" or "adam".
      learning_rate: of Adam.
      memory: pairs that L-BFGS remembers.
      line_search: of L-BFGS; without it steps have length 1.
    """
    chain = build_optimizer(
        optimizer, learning_rate=learning_rate, memory=memory, line_search=line_search
    )
    # A line search has the next point's value and gradient in its state already.
    keeps = optimizer == "lbfgs" and line_search
    evaluate = (
        optax.value_and_grad_from_state(objective)
        if keeps
        else lambda point, state: jax.value_and_grad(objective)(point)
    )

    def running(carry: tuple[Array, Any, Array, Array, Array, Array]) -> Array:
        _, _, step, _, _, alive = carry
        return (step < steps) & alive

    def update(carry):
        point, state, step, best, best_value, _ = carry
        value, gradient = evaluate(point, state=state)
        better = value < best_value
        best = jnp.where(better, point, best)
        best_value = jnp.where(better, value, best_value)
        change, state = chain.update(
            gradient, state, point, value=value, grad=gradient, value_fn=objective
        )
        alive = jnp.isfinite(value) & jnp.isfinite(change).all() & (change != 0).any()
        point = jnp.where(alive, point + change, point)
        return point, state, step + 1, best, best_value, alive

    first = (start, chain.init(start), 0, start, jnp.inf, jnp.bool_(True))
    point, _, _, best, best_value, _ = jax.lax.while_loop(running, update, first)
    return jnp.where(objective(point) < best_value, point, best)
