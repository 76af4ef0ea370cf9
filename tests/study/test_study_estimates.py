"""Intervals, rankings and sample sizes against known values and other formulas."""

import numpy as np
import pytest
from scipy import optimize, stats

from inpainting_jax.study import estimates


@pytest.mark.parametrize(
    ("won", "count", "low", "high"),
    [
        (0, 10, 0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1),
        (40, 100, 0.3094, 0.4980),
    ],
)
def test_wilson_gives_the_known_intervals(won, count, low, high):
    assert estimates.wilson(won, count) == pytest.approx((low, high), abs=5e-5)


def test_nothing_answered_is_no_interval():
    assert np.isnan(estimates.wilson(0, 0)).all()
    nothing = np.zeros((2, 3))
    assert np.isnan(estimates.crossed_bootstrap(nothing, nothing, 0)).all()
    assert np.isnan(estimates.side_bias(0, 0))


def test_crossed_bootstrap_is_wider_where_people_differ():
    rng = np.random.default_rng(0)
    counts = np.ones((20, 30))
    alike = (rng.random((20, 30)) < 0.5) * 1.0
    people = np.repeat(np.arange(20)[:, None] % 2, 30, axis=1) * 1.0
    low, high = estimates.crossed_bootstrap(alike, counts, 1)
    assert low < alike.mean() < high and high - low < 0.15
    wide = np.subtract(*reversed(estimates.crossed_bootstrap(people, counts, 1)))
    # Twenty people who always or never say so: sqrt(.25 / 20) * 2 * 1.96 = 0.44.
    assert wide == pytest.approx(0.44, abs=0.06)
    by_image = np.subtract(
        *reversed(estimates.crossed_bootstrap(people.T, counts.T, 1))
    )
    assert by_image == pytest.approx(wide, abs=0.02)


def test_d_prime_is_zero_without_skill_and_finite_at_the_ends():
    assert estimates.d_prime(10, 20, 10, 20) == 0
    assert estimates.d_prime(20, 20, 0, 20) == pytest.approx(2 * 1.981, abs=1e-2)
    assert estimates.d_prime(5, 20, 15, 20) < 0


def test_two_methods_differ_by_the_log_odds():
    wins = np.array([[0, 30.0], [10, 0]])
    strengths = estimates.bradley_terry(wins)
    expected = np.log(30.5 / 10.5) / 2
    np.testing.assert_allclose(strengths, [expected, -expected], atol=1e-9)


def test_bradley_terry_maximises_the_likelihood():
    rng = np.random.default_rng(0)
    wins = rng.integers(0, 20, (4, 4)) * (1 - np.eye(4))
    padded = (wins + 0.5) * (1 - np.eye(4))

    def loss(free):
        b = np.append(free, -free.sum())
        return np.sum(padded * np.logaddexp(0, b[None, :] - b[:, None]))

    best = optimize.minimize(loss, np.zeros(3), tol=1e-12).x
    # 1e-5: what the general minimiser reaches
    np.testing.assert_allclose(estimates.bradley_terry(wins)[:3], best, atol=1e-5)
    batch = estimates.bradley_terry(np.stack([wins, wins.T]))
    np.testing.assert_allclose(batch[0], estimates.bradley_terry(wins), atol=1e-9)
    np.testing.assert_allclose(batch[1], -batch[0], atol=1e-9)


def test_total_wins_stay_finite_and_unlinked_methods_are_named():
    wins = np.array([[0, 9.0, 0], [0, 0, 0], [0, 0, 0]])
    assert np.isfinite(estimates.bradley_terry(wins)).all()
    with pytest.raises(ValueError, match=r"alpha, beta \| gamma"):
        estimates.check_connected(wins, ("alpha", "beta", "gamma"))
    wins[2, 1] = 1
    estimates.check_connected(wins, ("alpha", "beta", "gamma"))


def test_ranks_count_places_and_triads_count_circles():
    strengths = np.array([[3.0, 1, 2], [3, 2, 1]])
    expected = [[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]
    np.testing.assert_array_equal(estimates.rank_shares(strengths), expected)
    circle = np.array([[0, 2, 1], [1, 0, 2], [2, 1, 0]])
    assert estimates.circular_triads(circle) == 1
    assert estimates.circular_triads(circle.T) == 1
    assert estimates.circular_triads(np.triu(np.ones((4, 4)), 1)) == 0


def test_sample_sizes_are_those_of_the_textbook_formulas():
    preference = [estimates.answers_for_preference(p) for p in (0.55, 0.6, 0.65, 0.7)]
    assert preference == [783, 194, 85, 47]
    pairs = [(0.2, 0.25), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5)]
    rates = [estimates.answers_for_two_rates(*pair) for pair in pairs]
    assert rates == [1094, 294, 356, 388]
    widths = [estimates.answers_for_half_width(w) for w in (0.05, 0.1)]
    assert widths == [385, 97]
    assert estimates.design_effect(40) == pytest.approx(2.95)


def test_a_sided_observer_is_noticed():
    assert estimates.side_bias(50, 100) == 1
    for left in (0, 3, 9, 17):
        expected = stats.binomtest(left, 17).pvalue
        assert estimates.side_bias(left, 17) == pytest.approx(expected, rel=1e-9)
    assert estimates.side_bias(70, 100) < 1e-4
