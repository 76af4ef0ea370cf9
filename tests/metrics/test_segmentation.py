"""Accuracy and mean IoU of label maps, by hand."""

import numpy as np
import pytest

from inpainting_jax.metrics import confusion, mean_iou, pixel_accuracy

TRUTH = np.array([[0, 0, 1], [1, 2, 255]])
FOUND = np.array([[0, 1, 1], [1, 0, 0]])


def test_counts_by_hand():
    """255 is no class; intersections 1, 2, 0 of unions 3, 3, 1."""
    counts = confusion(TRUTH, FOUND, 3)
    assert counts.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert pixel_accuracy(counts) == pytest.approx(3 / 5)
    assert mean_iou(counts) == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)


def test_void_does_not_count():
    counts = confusion(TRUTH, FOUND, 3)
    assert pixel_accuracy(counts, ignore=(2,)) == pytest.approx(3 / 4)
    assert mean_iou(counts, ignore=(2,)) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_masks_choose_pixels_and_counts_add_up():
    mask = np.array([[1, 1, 0], [0, 1, 1]], np.uint8)
    inside, outside = (confusion(TRUTH, FOUND, 3, mask=m) for m in (mask, 1 - mask))
    assert inside.sum() == 3
    np.testing.assert_array_equal(inside + outside, confusion(TRUTH, FOUND, 3))


def test_absent_classes_do_not_lower_the_mean():
    assert mean_iou(confusion(np.zeros(4), np.zeros(4), 7)) == 1
    empty = confusion(np.full(4, 255), np.zeros(4), 7)
    assert np.isnan(mean_iou(empty)) and np.isnan(pixel_accuracy(empty))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="one shape"):
        confusion(TRUTH, FOUND[:1], 3)
    with pytest.raises(ValueError, match="predicted class 3 is none of the 3"):
        confusion(TRUTH, FOUND + 3, 3)
    with pytest.raises(ValueError, match="square"):
        mean_iou(np.zeros((2, 3)))
