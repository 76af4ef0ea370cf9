"""Balance, order and repeatability of planned trials."""

import collections
import itertools

import numpy as np
import pytest

from inpainting_jax.study.design import DAMAGED, ORIGINAL, Design, plan_sessions
from inpainting_jax.study.sides import directed

METHODS = ("alpha", "beta", "gamma")
IMAGES = [f"image{i}" for i in range(37)]
MODES = {
    "timed_real_fake": (50, 250, 1000),
    "pair_real_fake": (0, 1000),
    "pair_preference": (0,),
}


def planned(mode, sessions=50, images=IMAGES, **options):
    chosen = {"trials": 20, "practice": 6, "catch": 4} | options
    return plan_sessions(images, Design(mode, METHODS, MODES[mode], sessions, **chosen))


def main_trials(session):
    return [trial for trial in session.trials if trial.kind == "main"]


def spread(counts):
    return max(counts) - min(counts)


@pytest.mark.parametrize("mode", MODES)
def test_nobody_sees_an_image_twice(mode):
    for session in planned(mode):
        images = [trial.image for trial in session.trials]
        assert len(images) == len(set(images)) == 30


@pytest.mark.parametrize("mode", MODES)
def test_every_image_meets_every_condition_equally_often(mode):
    counts = collections.Counter()
    for trial in itertools.chain(*map(main_trials, planned(mode))):
        counts[trial.image, frozenset(trial.shown)] += 1
    conditions = {shown for _, shown in counts}
    images = {image for image, _ in counts}
    assert len(images) == 27  # the others serve practice and catch trials
    fakes = [c for c in conditions if c != {ORIGINAL}]
    assert len(fakes) == 3
    assert spread([counts[i, c] for i in images for c in fakes]) <= 1
    if mode == "timed_real_fake":
        assert spread([counts[i, frozenset([ORIGINAL])] for i in images]) <= 1


@pytest.mark.parametrize("mode", MODES)
def test_every_method_meets_every_exposure_equally_often(mode):
    counts = collections.Counter()
    for trial in itertools.chain(*map(main_trials, planned(mode))):
        counts[frozenset(trial.shown), trial.exposure_ms] += 1
    for shown in {shown for shown, _ in counts}:
        assert spread([counts[shown, e] for e in MODES[mode]]) <= 1


@pytest.mark.parametrize("mode", ["pair_real_fake", "pair_preference"])
def test_every_method_is_on_both_sides_equally_often_in_a_session(mode):
    for session in planned(mode):
        sides = collections.Counter()
        for trial in main_trials(session):
            sides[trial.shown[0]] += 1
            sides[trial.shown[1]] -= 1
        assert max(map(abs, sides.values())) <= 1


def test_half_of_the_timed_pictures_are_originals():
    for session in planned("timed_real_fake"):
        real = sum(trial.shown == (ORIGINAL,) for trial in main_trials(session))
        assert abs(real - 10) <= 1


@pytest.mark.parametrize("mode", MODES)
def test_no_answer_is_right_five_times_running_and_no_catch_comes_first(mode):
    for session in planned(mode):
        body = [trial for trial in session.trials if trial.kind != "practice"]
        assert body[0].kind == "main"
        runs = itertools.groupby(trial.answer for trial in body)
        assert all(len(list(run)) <= 4 for answer, run in runs if answer)


@pytest.mark.parametrize("mode", MODES)
def test_practice_comes_first_with_right_answers_and_catch_trials_are_obvious(mode):
    for session in planned(mode, sessions=4):
        kinds = [trial.kind for trial in session.trials]
        assert kinds[:6] == ["practice"] * 6 and "practice" not in kinds[6:]
        assert all(trial.answer for trial in session.trials[:6])
        caught = [trial for trial in session.trials if trial.kind == "catch"]
        assert len(caught) == 4
        assert all(DAMAGED in trial.shown and trial.answer for trial in caught)


def test_the_same_seed_gives_the_same_sessions_and_another_gives_others():
    first, again = (planned("pair_preference", seed=3) for _ in range(2))
    assert first == again
    assert first != planned("pair_preference", seed=4)
    longer = planned("pair_preference", sessions=60, seed=3)
    assert [s.swapped for s in longer[:50]] == [s.swapped for s in first]


def test_buttons_change_places_in_half_of_the_sessions():
    assert sum(session.swapped for session in planned("timed_real_fake")) == 25


def test_closed_walks_direct_a_path_and_a_star_evenly():
    rng = np.random.default_rng(0)
    for edges in ([("a", "b"), ("b", "c")], [("a", "b"), ("a", "c"), ("a", "d")]):
        result = directed(edges, rng)
        assert {frozenset(e) for e in result} == {frozenset(e) for e in edges}
        for node in "abcd":
            out = sum(left == node for left, _ in result)
            into = sum(right == node for _, right in result)
            assert abs(out - into) <= 1


def test_counts_adapt_to_the_number_of_images():
    session = plan_sessions(IMAGES, Design("pair_preference", METHODS))[0]
    kinds = collections.Counter(trial.kind for trial in session.trials)
    assert kinds == {"practice": 10, "catch": 4, "main": 23}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "beauty"}, "known: timed_real_fake"),
        ({"methods": ("alpha",)}, "needs 2 method"),
        ({"methods": ("alpha", "alpha")}, "used twice"),
        ({"methods": ("alpha", "original")}, "'original'"),
        ({"exposures": (-1,)}, "0 to 60000"),
        ({"exposures": (50, 50)}, "given twice"),
        ({"mode": "timed_real_fake"}, "above 0 ms"),
        ({"mode": "pair_real_fake", "reference": "original"}, "only pair_preference"),
        ({"reference": "sketch"}, "unknown reference"),
        ({"sessions": 0}, "at least one session"),
        ({"trials": 24}, "37 images are too few"),
    ],
)
def test_a_wrong_design_is_an_error_that_says_why(change, message):
    values = {"mode": "pair_preference", "methods": METHODS} | change
    with pytest.raises(ValueError, match=message):
        plan_sessions(IMAGES, Design(**values))
