"""Windows of an image: cut out, brought to a working size, and put together again.

Sides are in pixels; a box is (top, left, height, width).
"""

import dataclasses
import math

import cv2
import numpy as np

from inpainting_jax.types import UNKNOWN_LABEL

Box = tuple[int, int, int, int]
"""Top, left, height, width."""


@dataclasses.dataclass(frozen=True)
class Window:
    """One call of the method.

    Attributes:
      box: what the method sees.
      core: the part of `box` where its result is used.
      work: height and width at which it works.
    """

    box: Box
    core: Box
    work: tuple[int, int]


def part_of(array: np.ndarray, box: Box) -> np.ndarray:
    """The view of a box in [H, W, ...]."""
    top, left, height, width = box
    return array[top : top + height, left : left + width]


def cut(
    image: np.ndarray, hole: np.ndarray, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    """A window's image [h, w, C] and hole [h, w, 1] float32 at its working size.

    Scaled down, a pixel is the mean of its known pixels, and hole if any of them is;
    by majority instead where that would leave less than a quarter known.
    """
    image, hole = part_of(image, window.box), part_of(hole, window.box)
    if window.work == window.box[2:]:
        return image, hole.astype(np.float32)[..., None]
    known = resize((~hole).astype(np.float32)[..., None], *window.work, area=True)
    known = np.clip(known, 0, 1)
    pixels = np.where(hole[..., None], np.float32(0), image)
    pixels = resize(pixels, *window.work, area=True)
    pixels = np.where(known > 0, pixels / np.maximum(known, 1e-6), 0)
    small = known < 1 - 1e-4
    if small.mean() > 0.75:
        small = known < 0.5
    return pixels.astype(np.float32), small.astype(np.float32)


def cut_guide(guide: np.ndarray, window: Window) -> np.ndarray:
    """A window's guide [h, w, G] at its working size; lines stay lines when shrunk."""
    guide = part_of(guide, window.box)
    if window.work == window.box[2:]:
        return guide
    # A line one pixel wide is still there at a quarter of the size.
    return (resize(guide, *window.work, area=True) >= 0.2).astype(np.float32)


def cut_labels(labels: np.ndarray, window: Window) -> np.ndarray:
    """A window's label map [h, w, 1] at its working size, by the nearest pixel."""
    return resize_labels(part_of(labels, window.box), *window.work)


def resize_labels(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """[H, W, 1] class numbers at another size; no number is invented."""
    if labels.shape[:2] == (height, width):
        return labels
    resized = cv2.resize(
        np.ascontiguousarray(labels[..., 0]),
        (width, height),
        interpolation=cv2.INTER_NEAREST_EXACT,
    )
    return resized[..., None]


def resize(
    image: np.ndarray, height: int, width: int, *, area: bool = False
) -> np.ndarray:
    """[H, W, C] float32 at another size: box means downwards, cubic upwards.

    `area`: linear upwards, which stays within the range of its pixels.
    """
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    rule = cv2.INTER_LINEAR if area else cv2.INTER_CUBIC
    rule = cv2.INTER_AREA if shrinks else rule
    planes = [
        cv2.resize(np.ascontiguousarray(plane), (width, height), interpolation=rule)
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(planes, axis=-1)


def merge(
    windows: list[Window], results: list[np.ndarray], shape: tuple[int, int]
) -> np.ndarray:
    """The [H, W, C] prediction from those of the windows [h, w, C], at working size.

    Where cores overlap, weights fall off linearly towards their edges, and with the
    area of a pixel at working size: sharp before blurred. Pixels outside every core
    are 0.
    """
    channels = results[0].shape[-1]
    total = np.zeros((*shape, channels), np.float32)
    weights = np.zeros((*shape, 1), np.float32)
    for window, result in zip(windows, results, strict=True):
        top, left, height, width = window.core
        inner = (top - window.box[0], left - window.box[1], height, width)
        result = part_of(resize(result, *window.box[2:]), inner)
        weight = np.ones((height, width, 1), np.float32)
        if len(windows) > 1:
            weight *= np.minimum(_ramp(height)[:, None], _ramp(width))[..., None]
            weight *= math.prod(window.work) / math.prod(window.box[2:])
        part_of(total, window.core)[:] += weight * result
        part_of(weights, window.core)[:] += weight
    return total / np.maximum(weights, np.finfo(np.float32).tiny)


def merge_labels(
    windows: list[Window], results: list[np.ndarray], shape: tuple[int, int]
) -> np.ndarray:
    """The [H, W] uint8 label map from those of the windows [h, w, 1].

    Later windows win; pixels outside every core are `UNKNOWN_LABEL`, and so are those
    of an empty result.
    """
    total = np.full(shape, UNKNOWN_LABEL, np.uint8)
    for window, result in zip(windows, results, strict=True):
        if not result.size:
            continue
        top, left, height, width = window.core
        inner = (top - window.box[0], left - window.box[1], height, width)
        result = part_of(resize_labels(result, *window.box[2:]), inner)
        part_of(total, window.core)[:] = result[..., 0]
    return total


def _ramp(length: int) -> np.ndarray:
    """1 at both ends, rising by 1 a pixel to the middle."""
    steps = np.arange(length, dtype=np.float32)
    return np.minimum(steps, steps[::-1]) + 1
