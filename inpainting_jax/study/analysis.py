"""What a study says: fooling rates, a ranking, and checks of the observers.

Fooled: a completion was called real or, of two pictures, taken for the photograph; of
two, half is what indistinguishable ones reach.
"""

import collections
import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from inpainting_jax.study import estimates
from inpainting_jax.study.answers import Answer, exclusions
from inpainting_jax.study.design import ORIGINAL
from inpainting_jax.study.folder import Study


@dataclasses.dataclass(frozen=True)
class Rate:
    """A fooling rate with its 95 % interval.

    Attributes:
      method: label; "original" for how often originals were called real.
      exposure_ms: None for all exposures together.
      count: answers.
      fooled: of them.
      low, high: Wilson interval of one exposure; of all together, bootstrap over
        observers and images.
      d_prime: of all exposures together, where one picture was shown.
    """

    method: str
    exposure_ms: int | None
    count: int
    fooled: int
    low: float
    high: float
    d_prime: float | None = None


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Methods by Bradley-Terry strength b, best first.

    Attributes:
      methods: [M] labels.
      strengths: [M] b, mean 0; P(i beats j) = 1 / (1 + exp(b_j - b_i)).
      low, high: [M] 95 % interval, bootstrap over observers.
      places: [M, M] share of resamples in which method m takes place p.
      wins: [M, M] answers for row over column.
      triads: circles of three among the majorities.
    """

    methods: tuple[str, ...]
    strengths: np.ndarray
    low: np.ndarray
    high: np.ndarray
    places: np.ndarray
    wins: np.ndarray
    triads: int

    def fitted(self) -> np.ndarray:
        """[M, M] share in which the model lets row win over column."""
        return 1 / (1 + np.exp(self.strengths[None, :] - self.strengths[:, None]))


@dataclasses.dataclass(frozen=True)
class Checks:
    """How the answers came about.

    Attributes:
      left: pictures on the left chosen, of `pairs` pairs; None if one was shown.
      pairs: number of pairs.
      side_p: p that sides do not matter.
      quarters: per quarter of the session, the share of right answers, or None.
      exposures: per exposure asked for, answers, median shown and largest deviation.
      dropped: answers with a late or repeated exposure, which do not count.
    """

    left: int | None
    pairs: int
    side_p: float
    quarters: tuple[float, ...] | None
    exposures: dict[int, tuple[int, float, float]]
    dropped: int


@dataclasses.dataclass(frozen=True)
class Analysis:
    """All results of a study.

    Attributes:
      study: what was asked.
      answers: all of them.
      reasons: per observer, why they are left out; [] = they count.
      rates: of observers who count; None in pair_preference.
      rates_of_all: with everyone.
      ranking: as `rates`; None but in pair_preference.
      ranking_of_all: with everyone.
      checks: of observers who count.
    """

    study: Study
    answers: list[Answer]
    reasons: dict[str, list[str]]
    rates: list[Rate] | None
    rates_of_all: list[Rate] | None
    ranking: Ranking | None
    ranking_of_all: Ranking | None
    checks: Checks


def analyse(
    study: Study,
    answers: Sequence[Answer],
    *,
    seed: int = 0,
    resamples: int = estimates.RESAMPLES,
) -> Analysis:
    """The results of a study.

    Raises:
      ValueError: no main answer, or none by an observer who counts; or methods that no
        answers link.
    """
    answers = list(answers)
    reasons = exclusions(answers, study)
    everyone = [a for a in answers if a.kind == "main" and a.counts]
    kept = [a for a in everyone if not reasons[a.observer]]
    if not kept:
        raise ValueError(
            f"{len(everyone)} usable main answers, none by an observer who counts;"
            " there is nothing to analyse yet."
        )
    methods, design = study.design.methods, study.design
    options = {"seed": seed, "resamples": resamples}
    rates = ranking = rates_of_all = ranking_of_all = None
    if design.mode == "pair_preference":
        ranking = rank(kept, methods, **options)
        ranking_of_all = rank(everyone, methods, **options)
    else:
        rates = fooling_rates(kept, methods, design.exposures, **options)
        rates_of_all = fooling_rates(everyone, methods, design.exposures, **options)
    dropped = [
        a
        for a in answers
        if a.kind == "main" and not a.counts and not reasons[a.observer]
    ]
    checks = _checks(kept + dropped, study, len(dropped))
    return Analysis(
        study,
        answers,
        reasons,
        rates,
        rates_of_all,
        ranking,
        ranking_of_all,
        checks,
    )


def fooling_rates(
    answers: Sequence[Answer],
    methods: Sequence[str],
    exposures: Sequence[int],
    *,
    seed: int = 0,
    resamples: int = estimates.RESAMPLES,
) -> list[Rate]:
    """Rates per method and exposure, then of all exposures of each method.

    Where one picture was shown, the last rows tell how often originals were called
    real.
    """
    timed = bool(answers) and len(answers[0].shown) == 1
    by_role = collections.defaultdict(list)
    for answer in answers:
        by_role[answer.method or ORIGINAL].append(answer)
    reals = [_fooled(a) for a in by_role[ORIGINAL]]
    rates = []
    for role in (*methods, *([ORIGINAL] if timed else [])):
        own = by_role[role]
        for exposure in sorted(exposures) if len(exposures) > 1 else ():
            outcomes = [_fooled(a) for a in own if a.exposure_ms == exposure]
            count, fooled = len(outcomes), sum(outcomes)
            interval = estimates.wilson(fooled, count)
            rates.append(Rate(role, exposure, count, fooled, *interval))
        outcomes = [_fooled(a) for a in own]
        count, fooled = len(outcomes), sum(outcomes)
        interval = estimates.crossed_bootstrap(
            *_by_observer_and_image(own), seed, resamples=resamples
        )
        skill = None
        if timed and role != ORIGINAL:
            alarms = len(reals) - sum(reals)
            skill = estimates.d_prime(count - fooled, count, alarms, len(reals))
        rates.append(Rate(role, None, count, fooled, *interval, skill))
    return rates


def _fooled(answer: Answer) -> bool:
    """Whether what was shown passed for real."""
    if len(answer.shown) == 1:
        return bool(answer.says_real)
    return answer.says_real != ORIGINAL


def _by_observer_and_image(answers: Sequence[Answer]):
    """[O, I] fooled answers and [O, I] answers."""
    observers = {
        name: i for i, name in enumerate(sorted({a.observer for a in answers}))
    }
    images = {name: i for i, name in enumerate(sorted({a.image for a in answers}))}
    fooled, counts = np.zeros((2, len(observers), len(images)))
    for answer in answers:
        cell = observers[answer.observer], images[answer.image]
        counts[cell] += 1
        fooled[cell] += _fooled(answer)
    return fooled, counts


def rank(
    answers: Sequence[Answer],
    methods: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = estimates.RESAMPLES,
) -> Ranking:
    """The ranking that answers to pairs of methods give.

    Raises:
      ValueError: some methods are linked by no comparison; names the groups.
    """
    index = {method: i for i, method in enumerate(methods)}
    observers = {
        name: i for i, name in enumerate(sorted({a.observer for a in answers}))
    }
    wins = np.zeros((len(observers), len(methods), len(methods)))
    for answer in answers:
        left, right = (index[role] for role in answer.shown)
        winner, loser = (left, right) if answer.choice == "left" else (right, left)
        wins[observers[answer.observer], winner, loser] += 1
    total = wins.sum(0)
    estimates.check_connected(total, tuple(methods))
    strengths = estimates.bradley_terry(total)
    drawn = estimates.bradley_terry_bootstrap(wins, seed, resamples=resamples)
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    order = np.argsort(-strengths, kind="stable")
    return Ranking(
        methods=tuple(methods[i] for i in order),
        strengths=strengths[order],
        low=low[order],
        high=high[order],
        places=estimates.rank_shares(drawn[:, order]),
        wins=total[np.ix_(order, order)],
        triads=estimates.circular_triads(total),
    )


def _checks(answers: list[Answer], study: Study, dropped: int) -> Checks:
    left, pairs = None, 0
    if len(answers[0].shown) == 2:
        pairs = len(answers)
        left = sum(a.choice == "left" for a in answers)
    quarters = None
    if all(a.right is not None for a in answers):
        trials = len(study.sessions[0].trials)
        first = study.design.practice
        groups = collections.defaultdict(list)
        for answer in answers:
            quarter = 4 * (answer.trial - first) // (trials - first)
            groups[quarter].append(answer.right)
        quarters = tuple(
            float(np.mean(groups[q])) if groups[q] else np.nan for q in range(4)
        )
    exposures = {}
    limited = sorted((a for a in answers if a.exposure_ms), key=lambda a: a.exposure_ms)
    for asked, group in itertools.groupby(limited, key=lambda a: a.exposure_ms):
        shown = np.array([a.shown_ms for a in group])
        worst = float(np.abs(shown - asked).max())
        exposures[asked] = (len(shown), float(np.median(shown)), worst)
    p = estimates.side_bias(left or 0, pairs)
    return Checks(left, pairs, p, quarters, exposures, dropped)
