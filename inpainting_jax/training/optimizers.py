"""An optax chain per network from the config.

`{"name": "adam", "learning_rate": 1e-4, "b1": 0.5}`: the name picks the optimiser, the
rest are its own arguments by optax's names. `learning_rate` is a number or a schedule
`{"schedule": "cosine", "init_value": 1e-4, "decay_steps": 100000}`, counted in updates
of that network. `clip_by_global_norm` bounds the gradient first.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optax

from inpainting_jax.registry import UnknownNameError

OPTIMIZERS: Mapping[str, Callable[..., optax.GradientTransformation]] = {
    "adam": optax.adam,
    "adamw": optax.adamw,
    "adadelta": optax.adadelta,
    "adagrad": optax.adagrad,
    "lion": optax.lion,
    "nadam": optax.nadam,
    "optimistic_adam": optax.optimistic_adam_v2,
    "radam": optax.radam,
    "rmsprop": optax.rmsprop,
    "sgd": optax.sgd,
}


def _piecewise(
    *, init_value: float, boundaries: Sequence[int], scales: Sequence[float]
) -> optax.Schedule:
    """`init_value`, multiplied by each scale once its boundary (updates) is reached."""
    pairs = dict(zip(boundaries, scales, strict=True))
    return optax.piecewise_constant_schedule(init_value, pairs)


def _piecewise_linear(
    *, init_value: float, boundaries: Sequence[int], scales: Sequence[float]
) -> optax.Schedule:
    """As `_piecewise`, but on the way to each boundary the rate changes evenly."""
    pairs = dict(zip(boundaries, scales, strict=True))
    return optax.piecewise_interpolate_schedule("linear", init_value, pairs)


SCHEDULES: Mapping[str, Callable[..., optax.Schedule]] = {
    "constant": optax.constant_schedule,
    "cosine": optax.cosine_decay_schedule,
    "exponential": optax.exponential_decay,
    "linear": optax.linear_schedule,
    "piecewise": _piecewise,
    "piecewise_linear": _piecewise_linear,
    "warmup_cosine": optax.warmup_cosine_decay_schedule,
}


def build_optimizer(spec: Mapping[str, Any]) -> optax.GradientTransformation:
    """The optimiser of one network.

    Raises:
      ValueError: unknown optimiser, schedule or option; the message lists the known.
    """
    options = dict(spec)
    name = options.pop("name", None)
    clip = options.pop("clip_by_global_norm", None)
    if name not in OPTIMIZERS:
        raise UnknownNameError("optimizer", name, OPTIMIZERS)
    options["learning_rate"] = _build_schedule(options.get("learning_rate"))
    # Always the same chain: rate and clipping may change where a run is resumed.
    return optax.chain(
        optax.identity() if clip is None else optax.clip_by_global_norm(clip),
        _call(f"option of optimizer {name!r}", OPTIMIZERS[name], options),
    )


def _build_schedule(spec: float | Mapping[str, Any] | None) -> optax.Schedule:
    if spec is None:
        raise ValueError("an optimizer needs a learning_rate, a number or a schedule")
    if isinstance(spec, int | float):
        return optax.constant_schedule(spec)
    options = dict(spec)
    name = options.pop("schedule", None)
    if name not in SCHEDULES:
        raise UnknownNameError("learning-rate schedule", name, SCHEDULES)
    return _call(f"option of schedule {name!r}", SCHEDULES[name], options)


def _call(kind: str, function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Calls with the options by name; an unknown or missing one is a clear error."""
    parameters = inspect.signature(function).parameters
    for option in options:
        if option not in parameters:
            raise UnknownNameError(kind, option, parameters)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in options:
            raise ValueError(f"missing {kind}: {name}")
    return function(**options)
