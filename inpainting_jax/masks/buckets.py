"""Classes of holes: six ranges of the hole ratio, with and without border contact.

The ranges are those of the test set of Liu et al. 2018. Classify after resizing:
nearest resampling moves some masks across an edge.
"""

import itertools

import numpy as np

from inpainting_jax.masks.shapes import BORDER

EDGES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Bucket k holds the ratios in (EDGES[k], EDGES[k + 1]]."""

BUCKETS = tuple(f"{low:g}-{high:g}" for low, high in itertools.pairwise(EDGES))
OTHER = "other"


def hole_bucket(mask: np.ndarray) -> str:
    """One of `BUCKETS` of one mask (any shape, 1 = hole); `OTHER` outside 0.01..0.6."""
    ratio = float(np.mean(np.asarray(mask) > 0.5))
    index = int(np.searchsorted(EDGES, ratio, side="left")) - 1
    return BUCKETS[index] if 0 <= index < len(BUCKETS) else OTHER


def touches_border(mask: np.ndarray) -> bool:
    """Whether the hole of one [H, W] or [H, W, 1] mask comes near the image's edge.

    Near is less than 50/512 of the side, the rule that the published set follows,
    rounded down: resampled to 128 pixels, its margins of 50 become 12.
    """
    hole = np.asarray(mask).reshape(np.shape(mask)[:2]) > 0.5
    rows, columns = (int(BORDER * side) for side in hole.shape)
    inner = hole[rows : hole.shape[0] - rows, columns : hole.shape[1] - columns]
    return bool(hole.sum() > inner.sum())
