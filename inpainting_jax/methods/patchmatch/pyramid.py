"""Host side: picture pyramids, lists of pixels, and what to do without any patch."""

from typing import NamedTuple

import cv2
import numpy as np

SAMPLE = 1024
"""Patches from which the principal components are taken."""

_FARTHEST = 60
"""Cap on the distance, in pixels, by which confidence falls."""


class Scale(NamedTuple):
    """One picture at one scale, before lists are padded.

    Attributes:
      features: [H, W, F] float32: colour in [0, 1], then texture; in the hole a smooth
        interpolation, the start where no coarser match is at hand.
      hole: [H, W] bool.
    """

    features: np.ndarray
    hole: np.ndarray


class Lists(NamedTuple):
    """Pixels of one scale as flat indices, int32.

    Attributes:
      targets: centres of patches inside the picture that touch the hole.
      hole: the hole's pixels.
      columns: pixels whose column of P pixels is inside and touches the hole.
      sources: centres of patches inside the picture and wholly known.
    """

    targets: np.ndarray
    hole: np.ndarray
    columns: np.ndarray
    sources: np.ndarray


def halve(features: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half the size (rounded up) by taps [1, 3, 3, 1] over known pixels only.

    `known` [H, W] bool. A coarse pixel is known if any of its 4 x 4 support is: the
    stricter "at least half" costs 0.5 to 0.9 dB.
    """
    weight = known.astype(np.float32)[..., None]
    total = _taps(_taps(features * weight, 0), 1)
    mass = _taps(_taps(weight, 0), 1)
    coarse = np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)
    return coarse, mass[..., 0] > 0


def _taps(values: np.ndarray, axis: int) -> np.ndarray:
    values = np.moveaxis(values, axis, 0)
    size = values.shape[0]
    half = (size + 1) // 2
    padded = np.pad(values, ((1, 2), *[(0, 0)] * (values.ndim - 1)))
    near = padded[1 : 1 + 2 * half : 2] + padded[2 : 2 + 2 * half : 2]
    far = padded[0 : 2 * half : 2] + padded[3 : 3 + 2 * half : 2]
    return np.moveaxis((3 * near[:half] + far[:half]) / 8, 0, axis)


def texture(colour: np.ndarray, known: np.ndarray, box: int) -> np.ndarray:
    """Mean absolute differences [H, W, 2] along x and y over a `box` x `box` window.

    Only pairs of known pixels count: the rim of a zeroed hole would be the strongest
    edge of the picture. 0 where the window holds no pair.
    """
    grey = colour.mean(axis=-1)
    channels = []
    for axis in (1, 0):
        pair = np.zeros(grey.shape, np.float32)
        edge = np.zeros(grey.shape, np.float32)
        ahead = [slice(None), slice(None)]
        here = [slice(None), slice(None)]
        ahead[axis], here[axis] = slice(1, None), slice(None, -1)
        ahead, here = tuple(ahead), tuple(here)
        pair[here] = known[ahead] & known[here]
        edge[here] = np.abs(grey[ahead] - grey[here]) * pair[here]
        total = _box(edge, box)
        number = _box(pair, box)
        mean = np.divide(total, number, out=np.zeros_like(total), where=number > 0.5)
        channels.append(mean)
    return np.stack(channels, axis=-1)


def _box(values: np.ndarray, size: int) -> np.ndarray:
    return cv2.boxFilter(
        values,
        cv2.CV_32F,
        (size, size),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )


def level_count(height: int, width: int, patch: int) -> int:
    """Scales for a picture of this size, >= 1, before any are dropped."""
    ratio = min(height, width) / max(24, 4 * patch)
    return max(int(np.floor(np.log2(ratio))) + 1, 1) if ratio > 0 else 1


def scales(
    colour: np.ndarray, hole: np.ndarray, *, levels: int, texture_weight: float
) -> list[Scale]:
    """The pyramid, finest first.

    Args:
      colour: [H, W, C] float32 in [0, 1]; 0 in the hole.
      hole: [H, W] bool.
      levels: how many scales.
      texture_weight: factor of the two texture features; 0 leaves them out.
    """
    features, known = colour, ~hole
    if texture_weight > 0:
        edges = texture(colour, known, 2 ** (levels - 1)) * np.float32(texture_weight)
        features = np.concatenate([colour, edges * known[..., None]], axis=-1)
    result = [Scale(features, hole)]
    for _ in range(levels - 1):
        features, known = halve(features, known)
        result.append(Scale(features, ~known))
    filled = smooth_fill(*result[-1])
    result[-1] = result[-1]._replace(features=filled)
    for level in reversed(range(levels - 1)):
        features, hole = result[level]
        filled = _fill_from(filled, features, hole)
        result[level] = Scale(filled, hole)
    return result


def _fill_from(
    coarse: np.ndarray, features: np.ndarray, hole: np.ndarray
) -> np.ndarray:
    """`features` [H, W, F] with the hole taken from a picture of half the size."""
    height, width = hole.shape
    larger = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    larger = larger.reshape(features.shape)  # cv2 drops a single channel
    filled = features.copy()
    filled[hole] = larger[hole]
    return filled


def pixel_lists(hole: np.ndarray, patch: int) -> Lists:
    """The lists of one scale. All are empty but `hole` if no patch fits the picture."""
    radius = patch // 2
    height, width = hole.shape
    inside = np.zeros(hole.shape, bool)
    rows = np.zeros(hole.shape, bool)
    if height >= patch and width >= patch:
        inside[radius : height - radius, radius : width - radius] = True
        rows[radius : height - radius] = True
    touched_rows = _dilate(hole, (1, patch))
    touched = _dilate(touched_rows, (patch, 1))
    return Lists(
        _flat(touched & inside),
        _flat(hole),
        _flat(touched_rows & rows),
        _flat(~touched & inside),
    )


def _dilate(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Dilation by a box of (width, height) `size`."""
    kernel = np.ones((size[1], size[0]), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def _flat(mask: np.ndarray) -> np.ndarray:
    return np.flatnonzero(mask).astype(np.int32)


def hole_depth(hole: np.ndarray) -> np.ndarray:
    """Chessboard distance [H, W] of hole pixels to the nearest known one, capped."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_C, 3)
    return np.minimum(depth, _FARTHEST)


def sample_of(sources: np.ndarray) -> np.ndarray:
    """`SAMPLE` sources, evenly spread over the list, with repeats if it is shorter."""
    spread = np.linspace(0, len(sources) - 1, SAMPLE)
    return sources[spread.astype(np.int64)]


def upsample_matches(
    match: np.ndarray, coarse: tuple[int, int], fine: tuple[int, int], targets, patch
) -> np.ndarray:
    """Matches [N] of fine `targets`: f(2y + a, 2x + b) = 2 f(y, x) + (a, b).

    `match` [H*W] holds coarse indices; sizes are (height, width). The result lies
    where a patch fits, but need not be a source.
    """
    (_, coarse_width), (height, width) = coarse, fine
    y, x = np.divmod(targets, width)
    parent = match[(y // 2) * coarse_width + x // 2]
    source_y, source_x = np.divmod(parent, coarse_width)
    radius = patch // 2
    source_y = np.clip(2 * source_y + y % 2, radius, height - 1 - radius)
    source_x = np.clip(2 * source_x + x % 2, radius, width - 1 - radius)
    return (source_y * width + source_x).astype(np.int32)


def smooth_fill(colour: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole from averages of known pixels at ever coarser scales; mid-grey if none.

    What is left to do where no patch is wholly known. `colour` [H, W, C] float32.
    """
    if hole.all():
        return np.full_like(colour, 0.5)
    if not hole.any():
        return colour
    coarse, known = halve(colour, ~hole)
    return _fill_from(smooth_fill(coarse, ~known), colour, hole)
