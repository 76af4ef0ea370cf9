"""Observers made of numbers: for testing the analysis, and for planning a study.

A method has a realism b in logits, the original too. Two pictures: the left one is
chosen with probability sigmoid(ability (b_left - b_right) + side_bias). One picture: it
is called real with probability sigmoid(ability (b - slope log2(exposure / 250 ms))),
for the original with + slope: more time helps to tell them apart.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from inpainting_jax.study.answers import Answer
from inpainting_jax.study.design import DAMAGED, ORIGINAL, Session, Trial

REFERENCE_MS = 250


@dataclasses.dataclass(frozen=True)
class SimulatedObserver:
    """How somebody answers.

    Attributes:
      ability: multiplies what there is to see; inf is never wrong, 0 guesses.
      side_bias: logits added to the left, or to "real".
      lapse: share of answers given at random.
      slope: logits per doubling of the exposure.
    """

    ability: float = 1.0
    side_bias: float = 0.0
    lapse: float = 0.0
    slope: float = 0.0


def simulate(
    sessions: Sequence[Session],
    observers: Sequence[SimulatedObserver],
    realism: Mapping[str, float],
    seed: int,
) -> list[Answer]:
    """The answers that observers give, each in the next of the sessions.

    Args:
      sessions: planned ones, used in turn.
      observers: who answers.
      realism: logits b of each method; "original" is 3 and "damaged" -6 unless given.
      seed: of the answers.
    """
    logits = {ORIGINAL: 3.0, DAMAGED: -6.0, **realism}
    rng = np.random.default_rng(seed)
    answers = []
    for number, observer in enumerate(observers):
        place = number % len(sessions)
        for index, trial in enumerate(sessions[place].trials):
            chance = chance_of_first(observer, trial, logits)
            first = rng.random() < chance
            timed = len(trial.shown) == 1
            choices = ("real", "generated") if timed else ("left", "right")
            answers.append(
                Answer(
                    observer=f"simulated{number:04}",
                    session=place,
                    trial=index,
                    **vars(trial),
                    choice=choices[0] if first else choices[1],
                    response_ms=round(700 * rng.lognormal(0, 0.3), 1),
                    shown_ms=float(trial.exposure_ms) if trial.exposure_ms else None,
                )
            )
    return answers


def chance_of_first(
    observer: SimulatedObserver, trial: Trial, logits: Mapping[str, float]
) -> float:
    """The probability of "real" or "left"."""
    if len(trial.shown) == 2:
        evidence = logits[trial.shown[0]] - logits[trial.shown[1]]
    else:
        role = trial.shown[0]
        more = observer.slope * math.log2(trial.exposure_ms / REFERENCE_MS)
        evidence = logits[role] + (more if role == ORIGINAL else -more)
    if math.isinf(observer.ability):
        seen = float(evidence > 0)
    else:
        total = observer.ability * evidence + observer.side_bias
        seen = 1 / (1 + math.exp(-min(max(total, -700), 700)))  # else it overflows
    return observer.lapse / 2 + (1 - observer.lapse) * seen
