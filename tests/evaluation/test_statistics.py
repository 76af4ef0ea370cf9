"""Intervals and tests on simulated data, where the truth is known."""

import numpy as np
import pytest

from inpainting_jax.evaluation import statistics


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, (60, 1000))  # 1000 experiments of 60 images
    low, high = statistics.interval(
        statistics.bootstrap_means(values, 1, resamples=1000)
    )
    assert 0.92 < np.mean((low <= 3) & (high >= 3)) < 0.97


def test_resampled_means_are_of_whole_rows_and_seeded():
    values = np.stack([np.arange(5.0), 10 * np.arange(5.0)], axis=1)
    means = statistics.bootstrap_means(values, 7, resamples=300)
    np.testing.assert_allclose(means[:, 1], 10 * means[:, 0])
    np.testing.assert_array_equal(
        means, statistics.bootstrap_means(values, 7, resamples=300)
    )
    assert means.std(0)[0] == pytest.approx(np.arange(5).std() / np.sqrt(5), rel=0.15)


def test_missing_values_drop_out():
    values = np.array([[1.0, np.nan], [1.0, np.nan], [1.0, 5.0]] * 10)
    low, high = statistics.interval(
        statistics.bootstrap_means(values, 0, resamples=200)
    )
    np.testing.assert_allclose([low[1], high[1]], 5)
    row = statistics.summarise(values, np.array([np.nan, 5.0]), 0)[1]
    assert row["n"] == 10
    assert row["n_empty"] == 20
    assert row["n_capped"] == 10
    assert row["mean"] == row["median"] == 5
    empty = statistics.summarise(np.full((30, 1), np.nan), np.array([np.nan]), 0)[0]
    assert empty["n"] == 0
    assert np.isnan([empty["mean"], empty["lo"]]).all()


def test_few_images_get_no_interval():
    row = statistics.summarise(np.ones((19, 1)), np.array([np.nan]), 0)[0]
    assert np.isnan(row["lo"])
    assert row["mean"] == 1


def test_chances_are_uniform_where_nothing_differs():
    differences = np.random.default_rng(2).normal(0, 1, (50, 800))
    chances = statistics.sign_flip_test(differences, 3, flips=999)
    assert chances.min() > 0
    for share in (0.05, 0.25, 0.5):
        assert np.mean(chances <= share) == pytest.approx(share, abs=0.05)


def test_two_equal_differences_prove_nothing():
    chance = statistics.sign_flip_test(np.full((2, 1), 0.1), 0, flips=4000)
    assert chance[0] == pytest.approx(0.5, abs=0.04)  # (+, +) and (-, -) of four


def test_a_planted_gain_of_a_third_of_a_decibel_is_found():
    rng = np.random.default_rng(4)
    base = rng.normal(25, 3, 300)
    tables = {
        "a": base[:, None] + rng.normal(0.3, 1, (300, 1)),
        "b": base[:, None],
        "c": base[:, None],
    }
    pairs = statistics.compare_pairs(tables, ("psnr_hole",), {"psnr_hole": True}, 0)
    ab, ac, bc = pairs
    assert (ab["a"], ab["b"]) == ("a", "b")
    assert ab["lo"] > 0
    assert ab["p_holm"] < 0.01
    assert ab["wins"] > 0.5
    assert ac["difference"] == ab["difference"]
    assert bc["p"] == 1
    assert bc["wins"] == 0.5


def test_holm_by_hand():
    np.testing.assert_allclose(
        statistics.holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06]
    )
