"""Holes with straight edges: boxes, halves, frames and grids.

Every function is `(key, height, width, *, options) -> [H, W, 1]` float32 with 1 = hole,
pure and traceable for static sizes. Functions that draw nothing at random take the key
all the same, so that all generators are called alike.
"""

import jax.numpy as jnp
from jax import lax

from inpainting_jax.masks.drawing import as_mask, between, draw_shares, whole_between
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Key


def _rectangle(height, width, top, bottom, left, right) -> Array:
    """[H, W] bool, true for rows [top, bottom) and columns [left, right)."""
    rows = jnp.arange(height)[:, None]
    columns = jnp.arange(width)[None, :]
    return (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)


def _share(name: str, value: float) -> float:
    """`value` if it lies in (0, 1], else an error that names the option."""
    if not 0 < value <= 1:
        raise ValueError(f"{name}={value} must be a share of the image in (0, 1].")
    return value


def center(key: Key, height: int, width: int, *, size: float = 0.5) -> Array:
    """A centred box whose sides are `size` of the image's (0.5: a quarter of it)."""
    del key
    _share("size", size)
    tall, wide = max(1, round(height * size)), max(1, round(width * size))
    top, left = (height - tall) // 2, (width - wide) // 2
    return as_mask(_rectangle(height, width, top, top + tall, left, left + wide))


def box(
    key: Key,
    height: int,
    width: int,
    *,
    size: float = 0.5,
    shrink: int | None = None,
    margin: int = 0,
) -> Array:
    """One box at a random place, the DeepFill training box (Yu et al. 2018, code).

    The full box has sides `size` of the image's; its corner is uniform, and it then
    loses 0 to `shrink` pixels at top and bottom alike, and at left and right alike.

    Args:
      key: a typed key.
      height: H, pixels.
      width: W, pixels.
      size: side of the box over side of the image, in (0, 1].
      shrink: largest loss per side, pixels; None: 16, below 256 px a 16th of the image.
      margin: pixels to keep between the full box and the edge.

    Returns:
      [H, W, 1]; mean area 0.191 at 256x256.
    """
    _share("size", size)
    tall, wide = max(1, round(height * size)), max(1, round(width * size))
    limit = (min(tall, wide) - 1) // 2
    largest = min(16, min(height, width) // 16) if shrink is None else shrink
    largest = min(largest, limit)
    shares = draw_shares(key, (4,))
    # The upper bound is exclusive in the original: the last corner is never drawn.
    top = whole_between(shares[0], margin, height - tall - margin)
    left = whole_between(shares[1], margin, width - wide - margin)
    down = whole_between(shares[2], 0, largest + 1)
    across = whole_between(shares[3], 0, largest + 1)
    bottom, right = top + tall - down, left + wide - across
    hole = _rectangle(height, width, top + down, bottom, left + across, right)
    return as_mask(hole)


def boxes(
    key: Key,
    height: int,
    width: int,
    *,
    min_count: int = 1,
    max_count: int = 5,
    min_size: float = 0.1,
    max_size: float = 0.4,
) -> Array:
    """The union of `min_count` to `max_count` boxes anywhere inside the image.

    Each side is uniform between `min_size` and `max_size` of the image's; boxes may
    overlap.
    """
    if not 1 <= min_count <= max_count:
        raise ValueError(
            f"need 1 <= min_count <= max_count, got {min_count}, {max_count}."
        )
    _share("min_size", min_size)
    _share("max_size", max_size)
    shares = draw_shares(key, (max_count + 1, 4))
    count = whole_between(shares[-1, 0], min_count, max_count + 1)

    def add(hole, item):
        index, share = item
        tall = between(share[0], min_size * height, max_size * height)
        wide = between(share[1], min_size * width, max_size * width)
        tall = jnp.maximum(tall.astype(jnp.int32), 1)
        wide = jnp.maximum(wide.astype(jnp.int32), 1)
        top = whole_between(share[2], 0, height - tall + 1)
        left = whole_between(share[3], 0, width - wide + 1)
        new = _rectangle(height, width, top, top + tall, left, left + wide)
        return hole | (new & (index < count)), None

    items = (jnp.arange(max_count), shares[:-1])
    return as_mask(lax.scan(add, jnp.zeros((height, width), bool), items)[0])


def blocks(
    key: Key,
    height: int,
    width: int,
    *,
    max_count: int = 5,
    min_size: float = 0.125,
    max_size: float = 0.25,
    max_ratio: float = 0.25,
) -> Array:
    """Small squares that may overlap and miss no more than `max_ratio` in all.

    The random blocks of the Context Encoder (Pathak et al. 2016, Sec. 3.3: "up to 1/4
    of the image"). Its paper gives neither number nor sizes: these are our choice.

    Args:
      key: a typed key.
      height: H, pixels.
      width: W, pixels.
      max_count: most squares; the number is uniform in 1..max_count.
      min_size: smallest side over the image's shorter side, in (0, 1].
      max_size: largest.
      max_ratio: a square that would pass this share of the image ends the draw.

    Returns:
      [H, W, 1]; at least one square, unless one alone is too large.
    """
    if max_count < 1:
        raise ValueError(f"max_count={max_count} must be at least 1.")
    for name, value in (("min_size", min_size), ("max_size", max_size)):
        _share(name, value)
    short = min(height, width)
    limit = int(_share("max_ratio", max_ratio) * height * width)
    shares = draw_shares(key, (max_count + 1, 3))
    count = whole_between(shares[-1, 0], 1, max_count + 1)

    def add(state, item):
        hole, room = state
        index, share = item
        side = between(share[0], min_size * short, max_size * short)
        side = jnp.maximum(side.astype(jnp.int32), 1)
        top = whole_between(share[1], 0, height - side + 1)
        left = whole_between(share[2], 0, width - side + 1)
        new = hole | _rectangle(height, width, top, top + side, left, left + side)
        room = room & (index < count) & (new.sum() <= limit)
        return (jnp.where(room, new, hole), room), None

    start = (jnp.zeros((height, width), bool), jnp.array(True))
    items = (jnp.arange(max_count), shares[:-1])
    return as_mask(lax.scan(add, start, items)[0][0])


_SIDES = ("left", "right", "top", "bottom")


def half(
    key: Key, height: int, width: int, *, side: str = "right", share: float = 0.5
) -> Array:
    """Everything on one side missing: `left`, `right`, `top`, `bottom` or `random`.

    `share` is the missing part of that axis (RePaint's `half`: the right half).
    """
    _share("share", share)
    if side not in (*_SIDES, "random"):
        known = dict.fromkeys((*_SIDES, "random"))
        raise UnknownNameError("side of a half mask", side, known)
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    bounds = jnp.array(
        [
            (0, height, 0, columns),
            (0, height, width - columns, width),
            (0, rows, 0, width),
            (height - rows, height, 0, width),
        ]
    )
    if side == "random":
        index = whole_between(draw_shares(key, ()), 0, 4)
    else:
        index = _SIDES.index(side)
    return as_mask(_rectangle(height, width, *bounds[index]))


def outpaint(key: Key, height: int, width: int, *, keep: float = 0.5) -> Array:
    """All but a centred rectangle missing; `keep` is its side over the image's.

    0.25 is RePaint's `expand`. At least one pixel is kept, so 1x1 images have no hole.
    """
    return 1 - center(key, height, width, size=keep)


def grid(
    key: Key, height: int, width: int, *, step: int = 2, axis: str = "both"
) -> Array:
    """Only every `step`-th row and column known.

    Args:
      key: unused.
      height: H, pixels.
      width: W, pixels.
      step: distance of known lines, >= 2.
      axis: `rows` keeps every `step`-th row (RePaint's `every_second_line`), `columns`
        likewise, `both` keeps only the crossings (`super_resolution`, 0.75 missing).
    """
    del key
    if axis not in ("both", "rows", "columns"):
        known = dict.fromkeys(("both", "rows", "columns"))
        raise UnknownNameError("axis of a grid mask", axis, known)
    if step < 2:
        raise ValueError(
            f"step={step} must be at least 2, or nothing would be missing."
        )
    row_known = (jnp.arange(height) % step == 0)[:, None] | (axis == "columns")
    column_known = (jnp.arange(width) % step == 0)[None, :] | (axis == "rows")
    return as_mask(~(row_known & column_known))
