"""P-IDS and U-IDS: the SVM is scikit-learn's, the traps are known and shown."""

import numpy as np
import pytest

from inpainting_jax.metrics import cross_validated, identity_null, identity_scores
from inpainting_jax.metrics.discriminability import linear_svm


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(120, 12))
    return real, real + 0.4 * rng.normal(size=real.shape) + 0.15


@pytest.mark.parametrize("width", [12, 300])
def test_the_svm_is_that_of_scikit_learn(width):
    svm = pytest.importorskip("sklearn.svm")
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(100, width)), rng.normal(size=(100, width)) + 0.2
    both = np.concatenate([real, fake])
    labels = np.repeat([1.0, -1.0], 100)
    weights = linear_svm(both, labels)
    theirs = svm.LinearSVC(dual=False, tol=1e-10, max_iter=10000).fit(both, labels)
    np.testing.assert_allclose(weights[:-1], theirs.coef_[0], atol=1e-5)
    np.testing.assert_allclose(weights[-1], theirs.intercept_[0], atol=1e-5)
    p_ids, u_ids = identity_scores(real, fake)
    assert u_ids == pytest.approx(1 - theirs.score(both, labels), abs=1e-3)
    decided = theirs.decision_function(both)
    assert p_ids == pytest.approx(np.mean(decided[100:] > decided[:100]), abs=1e-3)


def test_far_sets_are_told_apart_and_equal_sets_not(pairs):
    real, _ = pairs
    assert identity_scores(real, real + 6) == (0.0, 0.0)
    p_ids, u_ids = identity_scores(real, real)
    assert u_ids == 0.5
    assert p_ids == 0  # ties do not count in the recipe
    wide = np.random.default_rng(1).normal(size=(40, 200))
    assert identity_scores(wide, wide) == (0.0, 0.5)  # where rows are fewer, too
    assert cross_validated(real, real) == (0.5, 0.5)  # here they do, by half


def test_the_null_shows_that_few_images_on_many_features_say_nothing():
    rng = np.random.default_rng(2)
    real, fake = rng.normal(size=(2, 60, 100))
    assert identity_scores(real, fake)[1] == 0  # two equal distributions
    assert identity_null(real, fake, rounds=3)[1] == 0  # and so is the null
    many = rng.normal(size=(2, 2000, 5))
    assert identity_null(*many, rounds=3)[1] > 0.45


def test_cross_validation_is_near_one_half_on_equal_distributions():
    rng = np.random.default_rng(3)
    real, fake = rng.normal(size=(2, 400, 100))
    p_ids, u_ids = cross_validated(real, fake)
    assert 0.4 < p_ids < 0.6
    assert 0.4 < u_ids < 0.6
    assert max(cross_validated(real, real + 1)) < 0.05
    assert cross_validated(real, fake, seed=0) == cross_validated(real, fake, seed=0)


def test_pairs_must_be_pairs(pairs):
    real, fake = pairs
    with pytest.raises(ValueError, match="120 and 119"):
        identity_scores(real, fake[1:])
    with pytest.raises(ValueError, match="5 folds"):
        cross_validated(real[:3], fake[:3])
