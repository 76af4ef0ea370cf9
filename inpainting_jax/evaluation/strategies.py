"""Which windows of an image a method gets to see, and at which size.

A strategy turns the hole of one image into windows; the method completes each, and
`windows.merge` puts the results together. Sides are in pixels. "Context" is the known
surrounding of a hole.

`auto` chooses so: an untrained method sees the whole image up to `MAX_PIXELS_UNTRAINED`
pixels. A learned one (and an untrained one beyond that) sees crops around the hole when
these cover at most a quarter of the image, else the whole image; a method that is not
`full_size` sees crops whenever they are smaller. Each window is then scaled down until
it has at most `MAX_PIXELS` pixels, and for learned methods until its hole is no wider
than the training images; a method that is not `full_size` gets its training size.
"""

import dataclasses
import math
from collections.abc import Iterator

import cv2
import numpy as np

from inpainting_jax import images
from inpainting_jax.evaluation.windows import Box, Window, part_of

STRATEGIES = ("auto", "full", "resize", "crop", "tile")
MAX_PIXELS = 2**20
"""A learned method's window is scaled down to this many pixels by `auto`."""
MAX_PIXELS_UNTRAINED = 2**24
DEFAULT_SIZE = 512
"""Working side where neither the caller nor the training images give one."""

_MIN_CONTEXT = 32  # pixels of surrounding on each side of a cropped hole, at least
_MAX_TILE_HOLE = 0.5  # a tile with a larger share of hole looks at a wider window


@dataclasses.dataclass(frozen=True)
class Traits:
    """What a strategy must know of a method.

    Attributes:
      learned: whether it has networks.
      full_size: whether any size is natural to it.
      train_size: side of its training images, if known.
      multiple: sides are padded to a multiple of this.
    """

    learned: bool = True
    full_size: bool = True
    train_size: int | None = None
    multiple: int = 1


def plan(
    hole: np.ndarray, *, strategy: str, traits: Traits, size: int | None = None
) -> tuple[str, list[Window]]:
    """The strategy in fact used and its windows, for one image.

    Args:
      hole: [H, W] bool; nowhere set gives no windows.
      strategy: one of `STRATEGIES`; "auto" see above. "full": the whole image as it is.
        "resize": the whole image with its longer side at `size`. "crop": each hole with
        a context of half its side. "tile": overlapping squares of `size`, and of more,
        scaled down to it, where the hole is wider than half of that.
      traits: of the method.
      size: "resize": the longer side; "tile": the side of a tile; "crop": the least
        side of a crop; "auto": the longest side at which the method works. None: the
        training size, or `DEFAULT_SIZE` where there is none (crop: 64, auto: no limit).

    Raises:
      ValueError: unknown strategy, or `size` below 1.
    """
    if strategy not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise ValueError(f"unknown strategy {strategy!r}; known: {known}")
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    if not hole.any():
        return strategy, []
    if strategy == "full":
        return strategy, [_whole(hole.shape)]
    if strategy == "resize":
        target = size or traits.train_size or DEFAULT_SIZE
        ratio = target / max(hole.shape)
        ratio = ratio if size else min(1.0, ratio)
        return strategy, [_scaled(_whole(hole.shape), ratio)]
    if strategy == "crop":
        return strategy, _crops(hole, size or traits.train_size or 64, traits)
    if strategy == "tile":
        return strategy, _tiles(hole, size or traits.train_size or DEFAULT_SIZE)
    return _choose(hole, traits, size)


def _choose(
    hole: np.ndarray, traits: Traits, size: int | None
) -> tuple[str, list[Window]]:
    """The rule of "auto", see the head of this file."""
    whole = [_whole(hole.shape)]
    limit = MAX_PIXELS if traits.learned else MAX_PIXELS_UNTRAINED
    if not traits.learned and hole.size <= limit:
        name, windows = "full", whole
    else:
        crops = _crops(hole, traits.train_size or 64, traits)
        area = sum(window.box[2] * window.box[3] for window in crops)
        enough = hole.size / 4 if traits.full_size else hole.size - 1
        name, windows = ("crop", crops) if area <= enough else ("full", whole)
    scaled = [_within(window, hole, traits, limit, size) for window in windows]
    if name == "full" and scaled != windows:
        name = "resize"
    return name, scaled


def _within(window, hole, traits, limit, size) -> Window:
    """A window scaled down to what `auto` lets this method see at once."""
    _, _, height, width = window.box
    ratio = min(1.0, math.sqrt(limit / (height * width)))
    if size:
        ratio = min(ratio, size / max(height, width))
    if traits.train_size and traits.learned:
        side = max(height, width)
        if traits.full_size:
            side = max(_extent(part_of(hole, window.box))[2:])
        ratio = min(ratio, traits.train_size / side)
    return _scaled(window, ratio)


def _whole(shape: tuple[int, int]) -> Window:
    box = (0, 0, *shape)
    return Window(box, box, shape)


def _scaled(window: Window, ratio: float) -> Window:
    work = tuple(max(1, round(side * ratio)) for side in window.box[2:])
    return dataclasses.replace(window, work=work)


def _extent(hole: np.ndarray) -> Box:
    """The bounding box of a hole; all of it where there is none."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if not rows.size:
        return (0, 0, *hole.shape)
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def _grown(box: Box, height: int, width: int, shape: tuple[int, int]) -> Box:
    """`box` grown about its middle to at least this size, inside the image."""
    starts, sides = [], []
    wishes = zip(box[:2], box[2:], (height, width), shape, strict=True)
    for start, side, wanted, limit in wishes:
        side_grown = min(max(side, wanted), limit)
        start = start - (side_grown - side) // 2
        starts.append(min(max(start, 0), limit - side_grown))
        sides.append(side_grown)
    return (*starts, *sides)


def _crops(hole: np.ndarray, least: int, traits: Traits) -> list[Window]:
    """Disjoint boxes around the holes, each with its context."""
    # More context than `least` gives would only be scaled down for a fixed size.
    context = _MIN_CONTEXT if traits.full_size else 0
    boxes = []
    for top, left, height, width in _components(hole):
        margin = max(max(height, width) // 2, context)
        box = (top, left, height, width)
        sides = [max(side + 2 * margin, least) for side in (height, width)]
        boxes.append(_grown(box, *sides, hole.shape))
    while True:  # boxes that meet become one, until none meet
        canvas = np.zeros(hole.shape, bool)
        for box in boxes:
            part_of(canvas, box)[:] = True
        merged = _components(canvas)
        if len(merged) == len(boxes):
            break
        boxes = merged
    windows = []
    for core in merged:
        # Real surroundings rather than padding; sizes recur, so few compilations.
        sides = [images.padded_size(side, traits.multiple) for side in core[2:]]
        box = _grown(core, *sides, hole.shape)
        windows.append(Window(box, core, box[2:]))
    return windows


def _components(hole: np.ndarray) -> list[Box]:
    """Bounding boxes of the connected parts."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8))
    order = [cv2.CC_STAT_TOP, cv2.CC_STAT_LEFT, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_WIDTH]
    return [tuple(int(v) for v in row[order]) for row in stats[1:]]


def _tiles(hole: np.ndarray, size: int) -> list[Window]:
    """Overlapping squares over the hole, larger ones where it is wide.

    The squares of one part of the hole share a scale: two that looked at it from
    different distances would not fill it alike, and the seams would show.
    """
    windows = []
    for side, part in _by_width(hole, size):
        sides = [min(side, limit) for limit in hole.shape]
        regions = [(0, 0, *hole.shape)]
        if side > size:  # laid around each part, so that most need one square
            regions = [_with_context(box, side, hole) for box in _components(part)]
        for region in regions:
            windows += _cover(hole, part, region, sides, size)
    return windows


def _with_context(box: Box, side: int, hole: np.ndarray) -> Box:
    """A quarter of a tile more on each side, and at least a tile."""
    wanted = [max(length + side // 2, side) for length in box[2:]]
    return _grown(box, *wanted, hole.shape)


def _cover(hole, part, region: Box, sides, size: int) -> list[Window]:
    """Squares of `sides` over a region, those that touch a part of the hole."""
    windows = []
    for top in _starts(region[2], sides[0]):
        for left in _starts(region[3], sides[1]):
            core = box = (region[0] + top, region[1] + left, *sides)
            own = part_of(part, core)
            if not own.any():
                continue
            if (part_of(hole, core) & ~own).any():
                # The rest is better seen by the tiles of another scale.
                down, right, *extent = _extent(own)
                core = (box[0] + down, box[1] + right, *extent)
            # A tile that is mostly hole must look further to know what to continue.
            while part_of(hole, box).mean() > _MAX_TILE_HOLE and box[2:] != hole.shape:
                box = _grown(box, 3 * box[2] // 2 + 1, 3 * box[3] // 2 + 1, hole.shape)
            ratio = min(1.0, size / max(box[2:]))
            windows.append(_scaled(Window(box, core, box[2:]), ratio))
    return windows


def _by_width(hole: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """(side of a tile, part of the hole that is narrower than half of it), growing."""
    side, left = size, hole
    while left.any():
        wide = left & _opened(hole, side // 2)
        if side >= max(hole.shape):
            wide = np.zeros_like(hole)
        part, left = left & ~wide, wide
        if part.any():
            yield side, part
        side = 3 * side // 2 + 1


def _opened(hole: np.ndarray, width: int) -> np.ndarray:
    """What lies in, or beside, squares wider than `width` that fit into the hole."""
    reach = (width + 1) // 2  # a square of 2 * reach + 1
    padded = np.pad(hole, 1).astype(np.uint8)  # the hole ends where the image does
    inner = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1] > reach
    distance = cv2.distanceTransform((~inner).astype(np.uint8), cv2.DIST_C, 3)
    return (distance <= 2 * reach) & inner.any()


def _starts(length: int, side: int) -> list[int]:
    count = math.ceil((length - side) / (0.75 * side)) + 1
    return [round(v) for v in np.linspace(0, length - side, count)]
