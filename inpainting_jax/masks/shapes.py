"""Irregular holes of a wanted size: lines, arcs and discs, drawn on device.

In the manner of the masks of Liu et al. 2018, "Image Inpainting for Irregular Holes
Using Partial Convolutions" (https://arxiv.org/abs/1804.07723), whose test set comes in
six ranges of the hole ratio, with and without contact to the border.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax, random

from inpainting_jax.masks.drawing import (
    as_mask,
    between,
    draw_segments,
    draw_shares,
    float_dtype,
    hole_ratio,
    whole_between,
)
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Key

BORDER = 50 / 512
"""A hole nearer to the edge than this share of the side counts as touching it."""


def inner_region(height: int, width: int) -> np.ndarray:
    """[H, W] bool: pixels at least `BORDER` of the side away from the edge."""
    rows, columns = math.ceil(BORDER * height), math.ceil(BORDER * width)
    inner = np.zeros((height, width), bool)
    inner[rows : height - rows, columns : width - columns] = True
    return inner


def _check_range(min_ratio: float, max_ratio: float, border: str, inner: float) -> None:
    """Raises unless a hole of that range exists; `inner`: share of the inner region."""
    if not 0 <= min_ratio < max_ratio <= 1:
        raise ValueError(
            f"need 0 <= min_ratio < max_ratio <= 1, got {min_ratio}, {max_ratio}."
        )
    if border not in ("any", "touching", "inside"):
        known = dict.fromkeys(("any", "touching", "inside"))
        raise UnknownNameError("border rule", border, known)
    if border == "inside" and max_ratio > 0.95 * inner:
        raise ValueError(
            f"max_ratio={max_ratio} does not fit border='inside', which leaves "
            f"{inner:.2f} of the image; lower it, or use border='any'."
        )


def _draw_shape(key: Key, height: int, width: int, scale: Array) -> Array:
    """[H, W] bool: one thick line, arc of an ellipse, or disc, each equally likely.

    All three are the same poly-line with other vertices, so that one loop draws them.
    `scale` in (0, 1] shrinks lengths and widths about the starting point.
    """
    segments = 10
    shares = draw_shares(key, (11,))
    size = jnp.array([width, height], float_dtype())
    along = jnp.linspace(0, 1, segments + 1, dtype=float_dtype())[:, None]
    start, end = shares[0:2] * size, shares[2:4] * size
    line = start[None] + along * scale * (end - start)[None]

    axes = between(shares[4:6], 0.05, 0.35) * size * scale
    first, sweep, tilt = shares[6:9]
    angle = 2 * math.pi * first + (0.25 + 0.75 * sweep) * 2 * math.pi * along
    x, y = axes[0] * jnp.cos(angle), axes[1] * jnp.sin(angle)
    cos, sin = jnp.cos(math.pi * tilt), jnp.sin(math.pi * tilt)
    arc = start[None] + jnp.concatenate([cos * x - sin * y, sin * x + cos * y], -1)

    disc = jnp.broadcast_to(start[None], line.shape)
    kind = whole_between(shares[9], 0, 3)
    points = jnp.where(kind == 0, line, jnp.where(kind == 1, arc, disc))
    thickness = between(shares[10], 0.01, 0.08) * (height + width) / 2 * scale
    thickness = jnp.maximum(jnp.where(kind == 2, 2.5, 1.0) * thickness, 1.0)
    widths = jnp.broadcast_to(thickness, (segments,))
    return draw_segments(height, width, points[:-1], points[1:], widths)


def irregular(
    key: Key,
    height: int,
    width: int,
    *,
    min_ratio: float = 0.01,
    max_ratio: float = 0.6,
    border: str = "any",
    max_shapes: int = 200,
) -> Array:
    """Lines, arcs and discs of random widths, in the manner of Liu et al. 2018.

    A target ratio is drawn between the bounds; shapes are added until it is nearly
    reached, each the smaller the less is missing, and left out if it would pass the
    target. Liu et al. cut theirs from occlusions in video; such shapes are what public
    re-implementations use instead.

    Args:
      key: a typed key.
      height: H, pixels.
      width: W, pixels.
      min_ratio: smallest share of hole, exclusive.
      max_ratio: largest share of hole, inclusive.
      border: `any`; `touching`: the hole comes within 50/512 of a side's length to the
        edge; `inside`: it never does (the two halves of Liu et al.'s test set).
      max_shapes: most draws; after them the hole stays short of its target.
    """
    inner = inner_region(height, width)
    _check_range(min_ratio, max_ratio, border, float(inner.mean()))
    target_key, shape_key = random.split(key)
    slack = 0.1 * (max_ratio - min_ratio)
    target = between(draw_shares(target_key, ()), min_ratio + slack, max_ratio)

    def unfinished(state):
        hole, index = state
        short = target - hole_ratio(hole) >= slack
        if border == "touching":
            short = short | ~jnp.any(hole & ~inner)
        return short & (index < max_shapes)

    def add(state):
        hole, index = state
        missing = jnp.maximum(target - hole_ratio(hole), slack / 10)
        scale = jnp.minimum(jnp.sqrt(missing / 0.05), 1)  # a whole shape covers 0.02
        shape = _draw_shape(random.fold_in(shape_key, index), height, width, scale)
        new = hole | (shape & inner if border == "inside" else shape)
        return jnp.where(hole_ratio(new) <= target, new, hole), index + 1

    empty = jnp.zeros((height, width), bool)
    return as_mask(lax.while_loop(unfinished, add, (empty, jnp.int32(0)))[0])
