"""Metrics of label maps: pixel accuracy and mean intersection over union.

Both follow from a confusion matrix, which adds up over images: mean IoU is that of the
whole set, not a mean over images, as in the benchmarks of the field. On the host, in
whole numbers.
"""

from collections.abc import Sequence

import numpy as np


def confusion(
    truth: np.ndarray,
    predicted: np.ndarray,
    classes: int,
    *,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Counts [C, C] of pixels by true (row) and predicted class (column).

    Args:
      truth: class numbers, any shape; those outside 0..C-1 (255, unknown) do not count.
      predicted: the same shape, 0..C-1.
      classes: C.
      mask: the same shape, > 0.5 where pixels count; None: everywhere.

    Raises:
      ValueError: shapes that differ, or a predicted number that is no class where a
        pixel counts.
    """
    truth, predicted = (np.asarray(a).astype(np.int64) for a in (truth, predicted))
    if mask is None:
        mask = np.ones(truth.shape)
    if not truth.shape == predicted.shape == np.shape(mask):
        raise ValueError(
            f"true labels {truth.shape}, predicted {predicted.shape} and mask "
            f"{np.shape(mask)} must have one shape"
        )
    counted = (np.asarray(mask) > 0.5) & (truth >= 0) & (truth < classes)
    truth, predicted = truth[counted], predicted[counted]
    wrong = predicted[(predicted < 0) | (predicted >= classes)]
    if wrong.size:
        raise ValueError(f"predicted class {wrong[0]} is none of the {classes} classes")
    counts = np.bincount(truth * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def pixel_accuracy(matrix: np.ndarray, *, ignore: Sequence[int] = ()) -> float:
    """Share of pixels with the right class, of a `confusion`; NaN without pixels.

    Args:
      matrix: [C, C].
      ignore: true classes that do not count (void).
    """
    matrix = _kept(matrix, ignore)
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


def mean_iou(matrix: np.ndarray, *, ignore: Sequence[int] = ()) -> float:
    """Intersection over union, averaged over the classes that occur; NaN if none does.

    A class occurs if it is true or predicted somewhere.

    Args:
      matrix: [C, C].
      ignore: true classes that do not count (void); predicting one is an error of the
        true class, and it has no value of its own.
    """
    kept = _kept(matrix, ignore)
    right = np.diag(kept)
    union = kept.sum(axis=0) + kept.sum(axis=1) - right
    chosen = union > 0
    chosen[list(ignore)] = False
    return float((right[chosen] / union[chosen]).mean()) if chosen.any() else np.nan


def _kept(matrix: np.ndarray, ignore: Sequence[int]) -> np.ndarray:
    """The matrix without the pixels whose true class is ignored."""
    matrix = np.array(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a confusion matrix is square, got {matrix.shape}")
    matrix[list(ignore)] = 0
    return matrix
