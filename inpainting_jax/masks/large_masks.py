"""The masks of LaMa's evaluation: narrow, medium and wide.

Suvorov et al. 2022, "Resolution-robust Large Mask Inpainting with Fourier
Convolutions", https://arxiv.org/abs/2109.07161: one generator per mask, strokes of
which every segment has its own width, or boxes. Their sets keep only masks of at most
half the image (write `lama(kind=wide)@0-0.5`), after which they differ in the width
of the hole and hardly in its area.
"""

import dataclasses
import math

import jax.numpy as jnp
from jax import lax

from inpainting_jax.masks.drawing import (
    as_mask,
    draw_segments,
    draw_shares,
    float_dtype,
    whole_between,
)
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Key

_SEGMENTS = 5
_BOX_SHARE = 0.3 / 1.3  # of the masks; narrow ones are strokes only


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Strokes: fewest and most, longest segment, width. Boxes: margin, sides, most."""

    strokes: tuple[int, int]
    length: int
    width: int
    margin: int = 0
    sides: tuple[int, int] = (0, 0)
    boxes: int = 0


_KINDS = {
    256: {
        "thin": _Kind((4, 50), 40, 10),
        "medium": _Kind((4, 5), 100, 50, 0, (10, 50), 5),
        "wide": _Kind((1, 5), 200, 100, 10, (30, 150), 3),
    },
    512: {
        "thin": _Kind((4, 70), 100, 20),
        "medium": _Kind((4, 10), 200, 100, 0, (30, 150), 5),
        "wide": _Kind((1, 5), 450, 250, 10, (30, 300), 4),
    },
}


def lama(key: Key, height: int, width: int, *, kind: str = "wide") -> Array:
    """A mask of LaMa's evaluation sets, before their limit on the area.

    The numbers are those published for 256 pixels where the shorter side is below 384,
    else those for 512; at other sizes lengths are scaled by the shorter side.

    Args:
      key: a typed key.
      height: H, pixels.
      width: W, pixels.
      kind: `thin` (the authors' "narrow"), `medium` or `wide`.

    Returns:
      [H, W, 1]; mean ratios 0.30, 0.25 and 0.40 at 256 (0.29, 0.24 and 0.27 of the
      masks up to one half).

    Raises:
      ValueError: an unknown `kind`.
    """
    short = min(height, width)
    reference = 256 if short < 384 else 512
    if kind not in _KINDS[reference]:
        raise UnknownNameError("kind of LaMa mask", kind, _KINDS[reference])
    numbers, scale = _KINDS[reference][kind], short / reference
    most = numbers.strokes[1] + 1  # the authors' wrapper adds one
    rows = most + max(numbers.boxes, 1) + 1
    shares = draw_shares(key, (rows, 4 * _SEGMENTS))
    choice, stroke, box = jnp.split(shares, (1, 1 + most))
    drawn = _strokes(stroke, choice[0, 0], height, width, numbers, scale)
    if numbers.boxes:
        boxes = _boxes(box, choice[0, 1], height, width, numbers, scale)
        drawn = jnp.where(choice[0, 2] < _BOX_SHARE, boxes, drawn)
    return as_mask(drawn)


def _strokes(
    shares: Array, number: Array, height: int, width: int, kind: _Kind, scale: float
) -> Array:
    """[H, W] bool: poly-lines that turn by up to three radians at every vertex."""
    most = len(shares)
    count = whole_between(number, kind.strokes[0], most + 1)
    start, segments, turns, rest = jnp.split(shares, (2, 3, 3 + _SEGMENTS), axis=1)
    lengths, widths = rest[:, :_SEGMENTS], rest[:, _SEGMENTS : 2 * _SEGMENTS]
    used = whole_between(segments[:, 0], 1, _SEGMENTS + 1)
    used = jnp.where(jnp.arange(most) < count, used, 0)
    angles = 0.01 + whole_between(turns, 0, 4).astype(float_dtype())
    even = (jnp.arange(most) % 2 == 0)[:, None]
    angles = jnp.where(even, 2 * math.pi - angles, angles)
    lengths = 10 + whole_between(lengths, 0, kind.length)
    lengths = scale * lengths.astype(float_dtype())
    widths = 5 + whole_between(widths, 0, kind.width)
    # OpenCV, with which the authors draw, rounds widths up to even ones, and its lines
    # cover 3/4 of a pixel more (measured over 12 lines of each of ten widths).
    widths = scale * (2 * ((widths + 1) // 2).astype(float_dtype()) + 0.75)
    steps = lengths[..., None] * jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1)
    limit = jnp.array([[width - 1, height - 1]], float_dtype())

    def move(point, step):
        point = jnp.trunc(jnp.clip(point + step, 0, limit))
        return point, point

    size = jnp.array([[width, height]], jnp.int32)
    first = whole_between(start, 0, size).astype(float_dtype())
    ends = lax.scan(move, first, steps.swapaxes(0, 1))[1]
    starts = jnp.concatenate([first[None], ends[:-1]])
    widths = jnp.where(jnp.arange(_SEGMENTS)[:, None] < used[None], widths.T, 0)
    flat = (starts.reshape(-1, 2), ends.reshape(-1, 2), widths.reshape(-1))
    return draw_segments(height, width, *flat)


def _boxes(
    shares: Array, number: Array, height: int, width: int, kind: _Kind, scale: float
) -> Array:
    """[H, W] bool: the union of boxes inside a margin."""
    count = whole_between(number, 1, kind.boxes + 1)
    low, high = (round(scale * side) for side in kind.sides)
    margin = round(scale * kind.margin)
    tall, wide = (whole_between(shares[:, i], low, high + 1) for i in (0, 1))
    tall, wide = (jnp.maximum(side, 1) for side in (tall, wide))
    top = whole_between(shares[:, 2], margin, height - margin - tall + 1)
    left = whole_between(shares[:, 3], margin, width - margin - wide + 1)
    rows, columns = jnp.arange(height)[None, :, None], jnp.arange(width)[None, None]

    def inside(place, start, length):
        start, length = start[:, None, None], length[:, None, None]
        return (place >= start) & (place < start + length)

    box = inside(rows, top, tall) & inside(columns, left, wide)
    return (box & (jnp.arange(len(shares)) < count)[:, None, None]).any(0)
