"""Distances of sets: stored values of other libraries, closed forms, refusals."""

import numpy as np
import pytest

from inpainting_jax.metrics import (
    SET_METRICS,
    distribution,
    frechet_distance,
    kernel_distance,
    precision_recall,
)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(60, 8))


def test_stored_values_of_two_libraries_are_met(golden):
    data = golden("fid_features")
    for i in range(3):
        value = frechet_distance(data[f"f{i}/x"], data[f"f{i}/y"])
        np.testing.assert_allclose(value, data[f"f{i}/fid_f64"], rtol=1e-6)
        np.testing.assert_allclose(value, data[f"f{i}/fid_torchmetrics_f64"], rtol=1e-4)


def test_both_forms_of_the_root_agree_where_covariances_are_singular(features):
    few = features[:5]  # 5 samples in 8 dimensions
    other = np.random.default_rng(1).normal(size=(9, 8)) + 0.5
    root = distribution._root_trace
    x, y = ((f - f.mean(0)) / np.sqrt(len(f) - 1) for f in (few, other))
    empty = np.zeros((2, 8))  # change the form: 14 rows < 16 columns
    padded = root(np.concatenate([x, empty]), y)
    np.testing.assert_allclose(root(x, y), padded, rtol=1e-7)


def test_closed_forms_of_the_frechet_distance(features):
    shift = np.arange(8) / 4
    assert frechet_distance(features, features) < 1e-8
    np.testing.assert_allclose(
        frechet_distance(features, features + shift), shift @ shift, rtol=1e-6
    )
    size = features.mean(0) @ features.mean(0) + np.trace(np.cov(features.T))
    np.testing.assert_allclose(
        frechet_distance(features, 3 * features), 4 * size, rtol=1e-6
    )
    other = np.random.default_rng(2).normal(size=(40, 8)) * 2
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(8, 8)))
    value = frechet_distance(features, other)
    np.testing.assert_allclose(frechet_distance(other, features), value, rtol=1e-8)
    np.testing.assert_allclose(
        frechet_distance(features @ turn, other @ turn), value, rtol=1e-8
    )


def test_kernel_distance_of_two_points_each_by_hand():
    a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 0.0]])
    within_a = (0 / 2 + 1) ** 3  # of (a0, a1), the only pair
    within_b = (2 / 2 + 1) ** 3
    between = np.mean([(p @ q / 2 + 1) ** 3 for p in a for q in b])
    value, spread = kernel_distance(a, b)
    assert value == pytest.approx(within_a + within_b - 2 * between)
    assert spread == 0


def test_kernel_distance_of_subsets_is_unbiased_and_seeded():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300, 8))
    value, spread = kernel_distance(a, b, size=100, subsets=20, seed=1)
    assert abs(value) < 3 * spread / np.sqrt(20) + 0.05
    assert (value, spread) == kernel_distance(a, b, size=100, subsets=20, seed=1)
    far, _ = kernel_distance(a, b + 1, size=100, subsets=20)
    assert far > 1


def test_precision_and_recall_fall_with_quality_and_with_coverage(features):
    assert precision_recall(features, features) == (1.0, 1.0)
    assert precision_recall(features, features + 100) == (0.0, 0.0)
    collapsed = np.repeat(features[:1], len(features), axis=0)
    collapsed = collapsed + 1e-3 * np.random.default_rng(1).normal(size=features.shape)
    precision, recall = precision_recall(features, collapsed)
    assert precision == 1.0
    assert recall < 0.1


def test_precision_is_what_a_loop_counts(features):
    fake = features[:60] + np.random.default_rng(4).normal(size=features.shape)
    inside = 0
    for f in fake:
        reach = [
            np.sort(np.linalg.norm(features - r, axis=1))[3] for r in features
        ]  # 0 is itself
        inside += any(
            np.linalg.norm(f - r) <= d for r, d in zip(features, reach, strict=True)
        )
    assert precision_recall(features, fake)[0] == pytest.approx(inside / 60)


def test_too_few_or_bad_features_are_refused(features):
    with pytest.raises(ValueError, match="at least 2 images a side, got 1 and 60"):
        frechet_distance(features[:1], features)
    with pytest.raises(ValueError, match=r"one D, got \(60, 8\) and \(60, 7\)"):
        kernel_distance(features, features[:, :7])
    with pytest.raises(ValueError, match="no finite numbers"):
        frechet_distance(features, features * np.nan)
    with pytest.raises(ValueError, match="as many fakes as reals"):
        precision_recall(features, features[:20])


def test_only_fids_own_network_gives_a_metric_of_that_name():
    named = {name: m.network for name, m in SET_METRICS.items() if "fid" in name}
    assert named == {f"fid_{r}": f"inception_{r}" for r in ("torch", "clean", "tf")}
    assert SET_METRICS["fd_efflite0"].network == "efflite0"
    assert all(metric.least >= 200 for metric in SET_METRICS.values())
