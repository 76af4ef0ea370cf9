"""Simulated observers: what was planted is found, and who does not look is left out."""

import collections
import dataclasses

import numpy as np
import pytest

from inpainting_jax.study import analysis, estimates
from inpainting_jax.study.answers import exclusions
from inpainting_jax.study.design import ORIGINAL, Design, Trial, plan_sessions
from inpainting_jax.study.simulation import (
    SimulatedObserver,
    chance_of_first,
    simulate,
)

METHODS = ("a", "b", "c", "d")
STUDIES = 100
RESAMPLES = 400


@dataclasses.dataclass
class Planned:
    """What the analysis needs of a study."""

    design: Design
    sessions: list


def planned(mode, exposures=(0,), sessions=20, methods=METHODS):
    images = [f"image{i}" for i in range(60)]
    design = Design(mode, methods, exposures, sessions, trials=30, practice=0, catch=5)
    return Planned(design, plan_sessions(images, design))


def main(answers):
    return [answer for answer in answers if answer.kind == "main"]


def test_a_planted_ranking_and_its_strengths_are_recovered():
    """100 answers per pair, 0.4 logit between neighbours."""
    truth = dict(zip(METHODS, (0.6, 0.2, -0.2, -0.6), strict=True))
    study = planned("pair_preference")
    observers = [SimulatedObserver()] * 20
    ordered, covered = 0, collections.Counter()
    for seed in range(STUDIES):
        answers = main(simulate(study.sessions, observers, truth, seed))
        found = analysis.rank(answers, METHODS, seed=seed, resamples=RESAMPLES)
        assert found.wins.sum() == 600
        ordered += found.methods == METHODS
        for m, method in enumerate(found.methods):
            covered[method] += found.low[m] <= truth[method] <= found.high[m]
    assert ordered >= 93
    # A right interval misses 5 in 100 on average; less than 88 has a chance of 0.2 %.
    assert sum(covered.values()) >= 93 / 100 * STUDIES * 4
    assert min(covered.values()) >= 88


def test_planted_fooling_rates_lie_within_their_intervals():
    truth = dict(zip(METHODS, (1.0, 0.0, -1.0, -2.0), strict=True))
    exposures = (50, 250, 1000)
    study = planned("timed_real_fake", exposures)
    observers = [SimulatedObserver(slope=0.3)] * 25
    covered, cells = collections.Counter(), collections.Counter()
    trials = {
        (role, exposure): chance_of_first(
            observers[0],
            Trial("main", "image", (role,), exposure),
            truth | {ORIGINAL: 3.0},
        )
        for role in (*METHODS, ORIGINAL)
        for exposure in exposures
    }
    for seed in range(STUDIES):
        answers = main(simulate(study.sessions, observers, truth, seed))
        rates = analysis.fooling_rates(
            answers, METHODS, exposures, seed=seed, resamples=150
        )
        for rate in rates:
            chance = trials.get((rate.method, rate.exposure_ms))
            if chance is None:  # all exposures: the mean, for they come equally often
                chances = [trials[rate.method, exposure] for exposure in exposures]
                chance = np.mean(chances)
            kind = "all" if rate.exposure_ms is None else "one exposure"
            cells[kind] += 1
            covered[kind] += rate.low <= chance <= rate.high
    assert cells == {"all": 5 * STUDIES, "one exposure": 15 * STUDIES}
    assert covered["one exposure"] >= 0.93 * cells["one exposure"]
    assert covered["all"] >= 0.93 * cells["all"]


def test_equal_methods_are_rarely_told_apart():
    """No interval of a pair's share excludes 1/2, after Bonferroni over six pairs."""
    study = planned("pair_preference")
    observers = [SimulatedObserver()] * 20
    quiet = 0
    for seed in range(STUDIES):
        answers = main(
            simulate(study.sessions, observers, dict.fromkeys(METHODS, 0.0), seed)
        )
        found = analysis.rank(answers, METHODS, resamples=1)
        pairs = [(i, j) for i in range(4) for j in range(i)]
        chances = [
            estimates.side_bias(
                int(found.wins[i, j]), int(found.wins[i, j] + found.wins[j, i])
            )
            for i, j in pairs
        ]
        quiet += min(chances) * len(pairs) > 0.05
    assert quiet >= 93


def test_those_who_do_not_look_are_left_out_and_change_nothing():
    truth = dict(zip(METHODS, (0.9, 0.3, -0.3, -0.9), strict=True))
    study = planned("pair_preference")
    careful = [SimulatedObserver(lapse=0.02)] * 20
    careless = [SimulatedObserver(side_bias=50.0)] * 4
    careless += [SimulatedObserver(lapse=1.0)] * 4
    answers = simulate(study.sessions, careful + careless, truth, 3)
    reasons = exclusions(answers, study)
    out = [int(name[-2:]) for name, why in reasons.items() if why]
    assert set(range(20, 24)) <= set(out)  # the pressers, by both rules
    # A clicker gets 4 of 5 obvious ones right in 6 of 32 cases.
    assert len(set(range(24, 28)) & set(out)) >= 3
    assert len(set(range(20)) & set(out)) <= 1
    found = analysis.analyse(study, answers, resamples=RESAMPLES)
    assert found.ranking.methods == METHODS
    lone = [a for a in answers if int(a.observer[-2:]) < 20]
    without = analysis.analyse(study, lone, resamples=RESAMPLES)
    assert (np.abs(found.ranking.strengths - without.ranking.strengths) < 0.15).all()
    spread = np.ptp(found.ranking.strengths) - np.ptp(found.ranking_of_all.strengths)
    assert spread > 0  # random answers pull methods together


@pytest.mark.parametrize("mode", ["timed_real_fake", "pair_real_fake"])
def test_perfect_observers_are_never_fooled_and_catch_everything(mode):
    exposures = (50, 1000) if mode == "timed_real_fake" else (0,)
    study = planned(mode, exposures, sessions=4)
    truth = dict.fromkeys(METHODS, -1.0)
    observers = [SimulatedObserver(ability=np.inf)] * 4
    answers = simulate(study.sessions, observers, truth, 0)
    assert all(answer.right for answer in answers)
    found = analysis.analyse(study, answers, resamples=50)
    assert not any(found.reasons.values())
    for rate in found.rates:
        assert rate.fooled == (rate.count if rate.method == ORIGINAL else 0)
    assert found.checks.quarters == (1, 1, 1, 1)
    if mode == "timed_real_fake":
        assert min(r.d_prime for r in found.rates if r.d_prime is not None) > 3
        assert set(found.checks.exposures) == {50, 1000}
    else:
        assert found.checks.side_p > 0.1


def test_a_planted_curve_falls_with_exposure():
    exposures = (50, 100, 250, 1000, 2000)
    study = planned("timed_real_fake", exposures, methods=("a",))
    observers = [SimulatedObserver(slope=0.6)] * 40
    answers = main(simulate(study.sessions, observers, {"a": 0.0}, 0))
    rates = analysis.fooling_rates(answers, ("a",), exposures, resamples=50)
    curve = [r.fooled / r.count for r in rates if r.method == "a"][:5]
    assert np.polyfit(np.log2(exposures), curve, 1)[0] < -0.08
    assert curve[0] > 0.7 and curve[-1] < 0.3


def change(answers, **fields):
    return [dataclasses.replace(answer, **fields) for answer in answers]


def test_each_rule_of_exclusion_names_its_reason():
    study = planned("pair_preference")
    observers = [SimulatedObserver()]
    truth = dict.fromkeys(METHODS, 0.0)
    answers = simulate(study.sessions, observers, truth, 0)

    def reason(changed):
        return "; ".join(exclusions(changed, study)["simulated0000"])

    assert reason(answers) == ""
    assert reason(change(answers, response_ms=200.0)) == "median response 200 ms"
    assert "100% of the pictures late" in reason(change(answers, late=True))
    catch = [a for a in answers if a.kind == "catch"]
    few = main(answers)[:14] + catch
    assert reason(few) == "14 of 30 main trials answered"
    sided = change(main(answers), choice="right") + catch
    assert reason(sided) == "right in 30 of 30 answers"
    wrong = [
        dataclasses.replace(a, choice="left" if a.choice == "right" else "right")
        for a in catch
    ]
    assert reason(main(answers) + wrong) == "0 of 5 catch trials right"


def test_late_and_repeated_exposures_do_not_count():
    study = planned("timed_real_fake", (50, 250), sessions=2)
    truth = dict.fromkeys(METHODS, 0.0)
    answers = simulate(study.sessions, [SimulatedObserver()] * 2, truth, 0)
    first, second = [i for i, a in enumerate(answers) if a.kind == "main"][:2]
    answers[first] = dataclasses.replace(answers[first], late=True)
    answers[second] = dataclasses.replace(answers[second], showings=2)
    found = analysis.analyse(study, answers, resamples=50)
    assert found.checks.dropped == 2
    assert sum(r.count for r in found.rates if r.exposure_ms is None) == 58


def test_nothing_usable_is_an_error():
    study = planned("pair_preference")
    with pytest.raises(ValueError, match="nothing to analyse yet"):
        analysis.analyse(study, [])
