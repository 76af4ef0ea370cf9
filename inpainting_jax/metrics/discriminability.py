"""P-IDS and U-IDS: how well a linear classifier tells completed images from originals.

Zhao et al. 2021 (Co-Mod-GAN), https://arxiv.org/abs/2103.10428. A linear SVM is fitted
to the features of n originals and of the n images completed from them, in the same
order. U-IDS is its error, P-IDS the share of pairs whose completed image it takes for
the more real. Higher is better; 0.5 = not separable.

Traps: the recipe scores the SVM on the images that it was fitted to, so that with fewer
images than features it separates anything, two halves of one set included; the null of
`identity_null` shows that. Identical sets give U-IDS 0.5 but P-IDS 0, since ties do not
count. `cross_validated` has neither fault.
"""

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from inpainting_jax.metrics.distribution import as_features

FOLDS = 5
UNINFORMATIVE = 0.4
"""A null U-IDS below this: the recipe would separate two halves of one set."""

_MAX_STEPS = 100


def linear_svm(
    features: np.ndarray, labels: np.ndarray, *, cost: float = 1.0
) -> np.ndarray:
    """[D + 1] weights and bias of a linear SVM of squared hinge, by Newton's method.

    Minimises |w|^2 / 2 + cost * sum max(0, 1 - y f(x))^2, the bias penalised like a
    weight: what liblinear and scikit-learn's `LinearSVC(dual=False)` solve.

    Args:
      features: [N, D] float64.
      labels: [N], 1 or -1.
      cost: C.
    """
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    weights = _newton(span := _span(rows), labels, cost)
    if span is rows:
        return weights
    slack = np.maximum(1 - labels * (span @ weights), 0)
    return 2 * cost * (labels * slack) @ rows  # where the gradient is 0


def _span(rows: np.ndarray) -> np.ndarray:
    """Rows of equal inner products in fewer columns, if there are more than rows.

    The solution lies in the span of the rows, and the problem knows their inner
    products alone.
    """
    if rows.shape[0] >= rows.shape[1]:
        return rows
    values, vectors = scipy.linalg.eigh(rows @ rows.T)
    return vectors * np.sqrt(np.maximum(values, 0))


def _newton(rows: np.ndarray, labels: np.ndarray, cost: float) -> np.ndarray:
    """[K] minimiser; exact once the set of rows with slack stays the same."""
    weights = np.zeros(rows.shape[1])

    def objective(w):
        slack = np.maximum(1 - labels * (rows @ w), 0)
        return w @ w / 2 + cost * slack @ slack

    value = objective(weights)
    for _ in range(_MAX_STEPS):
        slack = 1 - labels * (rows @ weights)
        active = rows[slack > 0]
        pull = (labels * slack)[slack > 0]
        gradient = weights - 2 * cost * pull @ active
        if np.linalg.norm(gradient) <= 1e-9 * max(1.0, np.linalg.norm(weights)):
            break
        curvature = np.eye(len(weights)) + 2 * cost * active.T @ active
        step = scipy.linalg.cho_solve(scipy.linalg.cho_factor(curvature), gradient)
        length = 1.0
        while (new := objective(weights - length * step)) > value and length > 1e-10:
            length /= 2
        if new >= value:
            break  # no descent left but rounding
        weights, value = weights - length * step, new
    return weights


def identity_scores(real: ArrayLike, fake: ArrayLike) -> tuple[float, float]:
    """(P-IDS, U-IDS) by the published recipe.

    Args:
      real: [N, D] features of originals.
      fake: [N, D] features of the images completed from them, in their order.

    Raises:
      ValueError: the sets differ in size.
    """
    real, fake = _pairs(real, fake)
    return _recipe(_both(real, fake), np.zeros(len(real), bool))


def identity_null(
    real: ArrayLike, fake: ArrayLike, *, rounds: int = 20, seed: int = 0
) -> tuple[float, float]:
    """Mean (P-IDS, U-IDS) if real and fake are exchanged in a random half of the pairs.

    What the recipe gives where there is nothing to tell apart: if U-IDS is below
    `UNINFORMATIVE` here, the value itself says little.
    """
    real, fake = _pairs(real, fake)
    rows = _both(real, fake)
    rng = np.random.default_rng(seed)
    scores = [_recipe(rows, rng.random(len(real)) < 0.5) for _ in range(rounds)]
    return tuple(float(x) for x in np.mean(scores, axis=0))


def cross_validated(
    real: ArrayLike, fake: ArrayLike, *, folds: int = FOLDS, seed: int = 0
) -> tuple[float, float]:
    """(P-IDS, U-IDS) of pairs that the SVM has not seen; ties count half.

    With fewer pairs than four times the features these are reduced to 32 principal
    components, 64 from 500 pairs on, so that the SVM can learn.

    Args:
      real: [N, D] features of originals.
      fake: [N, D] features of the images completed from them, in their order.
      folds: parts of the pairs; a pair is never split.
      seed: of the parts.
    """
    real, fake = _pairs(real, fake)
    count, width = real.shape
    if count < folds:
        raise ValueError(f"{folds} folds need as many pairs, got {count}.")
    if count < 4 * width:
        both = np.concatenate([real, fake])
        centred = both - both.mean(0)
        keep = min(32 if count < 500 else 64, width)
        _, vectors = scipy.linalg.eigh(centred.T @ centred)
        centred = centred @ vectors[:, -keep:]
        real, fake = centred[:count], centred[count:]
    part = np.random.default_rng(seed).permutation(count) % folds
    better, wrong = 0.0, 0.0
    for fold in range(folds):
        train, held = part != fold, part == fold
        both = np.concatenate([real[train], fake[train]])
        weights = linear_svm(both, np.repeat([1.0, -1.0], train.sum()))
        reals, fakes = (_decide(f[held], weights) for f in (real, fake))
        better += np.sum(fakes > reals) + np.sum(fakes == reals) / 2
        wrong += np.sum(reals < 0) + np.sum(reals == 0) / 2
        wrong += np.sum(fakes > 0) + np.sum(fakes == 0) / 2
    return float(better / count), float(wrong / (2 * count))


def _both(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """[2 N, K] rows of originals, then completed images, a bias column among them."""
    both = np.concatenate([real, fake])
    return _span(np.concatenate([both, np.ones((len(both), 1))], axis=1))


def _recipe(rows: np.ndarray, swap: np.ndarray) -> tuple[float, float]:
    """Scores on the rows fitted to; pairs of `swap` [N] have changed sides."""
    labels = np.where(swap, -1.0, 1.0)
    labels = np.concatenate([labels, -labels])
    scores = np.round(rows @ _newton(rows, labels, 1.0), 9)  # equal rows tie
    first, second = np.split(scores, 2)
    reals, fakes = np.where(swap, second, first), np.where(swap, first, second)
    right = np.sum(reals > 0) + np.sum(fakes <= 0)
    return float(np.mean(fakes > reals)), float(1 - right / len(rows))


def _decide(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return features @ weights[:-1] + weights[-1]


def _pairs(real: ArrayLike, fake: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    real, fake = as_features(real, fake, 2)
    if len(real) != len(fake):
        raise ValueError(
            f"P-IDS pairs every original with its completed image, got {len(real)} and "
            f"{len(fake)}."
        )
    return real, fake
