"""Which networks train at a step, in which order, with which loss weights.

The papers' recipes differ in this and in little else, so it is data: the config's
`schedule` names phases in order, `phases` says what each of them is.
"""

import dataclasses
import itertools
from collections.abc import Collection

from ml_collections import ConfigDict

from inpainting_jax.registry import UnknownNameError


@dataclasses.dataclass(frozen=True)
class Phase:
    """One stretch of training; hashable, so that it can select a compiled step.

    Attributes:
      order: networks, one optimiser update each; a name may come several times.
      loss_weights: (term, weight) pairs.
    """

    order: tuple[str, ...]
    loss_weights: tuple[tuple[str, float], ...] = ()


class Plan:
    """The phases of a run laid out in steps.

    Args:
      config: has `schedule` and `phases`, see `configs/base.py`.
      networks: the names that may be trained.

    Attributes:
      phases: one per name of the schedule.
      total_steps: the sum over the phases.
      networks: those that any phase trains.
    """

    def __init__(self, config: ConfigDict, networks: Collection[str]):
        phases = []
        lengths = []
        for name in config.schedule:
            if name not in config.phases:
                raise UnknownNameError("phase in schedule", name, config.phases)
            spec = config.phases[name]
            for network in spec.order:
                if network not in networks:
                    kind = f"network in the order of phase {name!r}"
                    raise UnknownNameError(kind, network, dict.fromkeys(networks))
            if spec.steps < 0 or not spec.order:
                raise ValueError(
                    f"phase {name!r} needs steps >= 0 and a non-empty order, got "
                    f"steps={spec.steps}, order={tuple(spec.order)}"
                )
            weights = tuple(sorted(spec.loss_weights.to_dict().items()))
            phases.append(Phase(tuple(spec.order), weights))
            lengths.append(spec.steps)
        self.phases = tuple(phases)
        self._ends = list(itertools.accumulate(lengths))
        self.total_steps = total_steps(config)
        trained = [name for phase in phases for name in phase.order]
        self.networks = tuple(dict.fromkeys(trained))

    def at(self, step: int) -> Phase:
        """The phase of the step after `step` finished ones; step < total_steps."""
        for phase, end in zip(self.phases, self._ends, strict=True):
            if step < end:
                return phase
        raise ValueError(f"step {step} lies beyond the last, {self.total_steps - 1}")


def total_steps(config: ConfigDict) -> int:
    """Steps of all phases of the schedule together."""
    return sum(config.phases[name].steps for name in config.schedule)
