"""Brush strokes of DeepFill v2, drawn on device.

Yu et al. 2019, "Free-Form Image Inpainting with Gated Convolution"
(https://arxiv.org/abs/1806.03589), once as released (`strokes`, `deepfill`) and once as
printed in Algorithm 1 (`brush`).

All are `(key, height, width, *, options) -> [H, W, 1]` float32, 1 = hole, traceable for
static sizes. Widths and lengths are pixels of a 256x256 image; with `scale=True` they
grow with the image's diagonal, so that a 64 px image gets the same share of hole.
"""

import math

import jax.numpy as jnp
from jax import lax, random

from inpainting_jax.masks import rectangles
from inpainting_jax.masks.drawing import (
    as_mask,
    between,
    draw_segments,
    draw_shares,
    float_dtype,
    normal_at,
    whole_between,
)
from inpainting_jax.types import Array, Key


def _scale(height: int, width: int, scale: bool) -> float:
    """Diagonal over that of a 256x256 image, or 1."""
    return math.hypot(height, width) / math.hypot(256, 256) if scale else 1.0


def _walk(start: Array, steps: Array, height: int, width: int) -> Array:
    """[V + 1, S, 2] vertices: from `start` [S, 2] by `steps` [V, S, 2], kept inside.

    Truncated to whole pixels after every step, x to [0, W] and y to [0, H]. (The
    authors read Pillow's (W, H) as (H, W) and so clip the wrong axes of non-square
    images; this is the fix.)
    """
    limit = jnp.array([[width, height]], start.dtype)

    def move(point, step):
        point = jnp.trunc(jnp.clip(point + step, 0, limit))
        return point, point

    return jnp.concatenate([start[None], lax.scan(move, start, steps)[1]])


def _pixel(x: Array, y: Array, height: int, width: int) -> Array:
    """[S, 2] whole pixels at the shares `x` and `y` [S] of the sides."""
    x, y = whole_between(x, 0, width), whole_between(y, 0, height)
    return jnp.stack([x, y], axis=-1).astype(float_dtype())


def _draw_strokes(height, width, vertices, lengths, widths) -> Array:
    """[H, W] bool from vertices [V + 1, S, 2]; stroke s has `lengths[s]` segments."""
    starts, ends = vertices[:-1], vertices[1:]
    segments, strokes_ = starts.shape[:2]
    used = jnp.arange(segments)[:, None] < lengths[None, :]
    widths = jnp.where(used, jnp.broadcast_to(widths[None], (segments, strokes_)), 0)
    return draw_segments(
        height, width, starts.reshape(-1, 2), ends.reshape(-1, 2), widths.reshape(-1)
    )


def strokes(
    key: Key,
    height: int,
    width: int,
    *,
    min_strokes: int = 1,
    max_strokes: int = 3,
    min_vertices: int = 4,
    max_vertices: int = 11,
    min_width: float = 12,
    max_width: float = 40,
    scale: bool = False,
) -> Array:
    """Brush strokes as DeepFill v2's released code draws them (Yu et al. 2019).

    Each stroke turns by about 2 pi / 5, alternately mirrored, with normal segment
    lengths of an eighth of the diagonal, and has one whole-pixel width and round
    joints. The authors' final flips discard their result, so there are none.

    Args:
      key: a typed key.
      height: H, pixels.
      width: W, pixels.
      min_strokes: fewest strokes.
      max_strokes: most strokes.
      min_vertices: fewest segments of a stroke.
      max_vertices: most segments of a stroke.
      min_width: narrowest brush, pixels.
      max_width: widest brush, pixels, exclusive.
      scale: width relative to 256 px instead of in pixels; without it the hole ratio
        falls with size (0.15 at 256, 0.08 at 512) and is about 0.5 at 64.

    Returns:
      [H, W, 1]; ratio 0.152 +- 0.080 at 256x256.
    """
    if not 1 <= min_strokes <= max_strokes or not 1 <= min_vertices <= max_vertices:
        raise ValueError(
            "strokes need 1 <= min_strokes <= max_strokes and 1 <= min_vertices <= "
            "max_vertices, got "
            f"{min_strokes}, {max_strokes}, {min_vertices}, {max_vertices}."
        )
    shares = draw_shares(key, (7 + 2 * max_vertices, max_strokes))
    count = whole_between(shares[0, 0], min_strokes, max_strokes + 1)
    lengths = whole_between(shares[1], min_vertices, max_vertices + 1)
    lengths = jnp.where(jnp.arange(max_strokes) < count, lengths, 0)

    low = 2 * math.pi / 5 - between(shares[2], 0, 2 * math.pi / 15)
    high = 2 * math.pi / 5 + between(shares[3], 0, 2 * math.pi / 15)
    turns, radii = jnp.split(shares[7:], 2)
    angles = between(turns, low[None], high[None])
    even = (jnp.arange(max_vertices) % 2 == 0)[:, None]
    angles = jnp.where(even, 2 * math.pi - angles, angles)

    mean = math.hypot(height, width) / 8
    radii = jnp.clip(mean + mean // 2 * normal_at(radii), 0, 2 * mean)
    steps = radii[..., None] * jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
    start = _pixel(shares[4], shares[5], height, width)
    vertices = _walk(start, steps, height, width)

    widths = jnp.trunc(between(shares[6], min_width, max_width))
    widths = widths * _scale(height, width, scale)
    return as_mask(_draw_strokes(height, width, vertices, lengths, widths))


def deepfill(key: Key, height: int, width: int, *, scale: bool = False) -> Array:
    """The training hole of DeepFill v2: one random box OR brush strokes.

    Ratio 0.309 +- 0.066 at 256x256. `scale` as in `strokes`.
    """
    box_key, stroke_key = random.split(key)
    box = rectangles.box(box_key, height, width)
    return jnp.maximum(box, strokes(stroke_key, height, width, scale=scale))


def brush(
    key: Key,
    height: int,
    width: int,
    *,
    max_strokes: int = 4,
    max_vertices: int = 12,
    max_angle: float = 4.0,
    max_length: float = 80,
    max_width: float = 40,
    scale: bool = False,
) -> Array:
    """Brush strokes by Algorithm 1 of the DeepFill v2 paper (Yu et al. 2019).

    1..max_strokes strokes of 1..max_vertices segments; every segment draws its own
    angle in [0, max_angle), mirrored for every second one, and length in
    [0, max_length); a stroke has one width in [1, max_width). The mask is then flipped
    left-right and upside down, each with probability 1/2. The paper gives no values
    and its print has a typo its author acknowledges; the defaults lie within those of
    public re-implementations.

    Args:
      key: a typed key.
      height: H, pixels.
      width: W, pixels.
      max_strokes: most strokes.
      max_vertices: most segments of a stroke.
      max_angle: radians.
      max_length: longest segment, pixels.
      max_width: widest brush, pixels.
      scale: lengths and widths relative to 256 px instead of in pixels.
    """
    factor = _scale(height, width, scale)
    shares = draw_shares(key, (7 + 2 * max_vertices, max_strokes))
    count = whole_between(shares[0, 0], 1, max_strokes + 1)
    lengths = whole_between(shares[1], 1, max_vertices + 1)
    lengths = jnp.where(jnp.arange(max_strokes) < count, lengths, 0)
    turns, radii = jnp.split(shares[7:], 2)
    angles = between(turns, 0, max_angle)
    even = (jnp.arange(max_vertices) % 2 == 0)[:, None]
    angles = jnp.where(even, 2 * math.pi - angles, angles)
    radii = factor * between(radii, 0, max_length)
    steps = radii[..., None] * jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1)
    start = _pixel(shares[2], shares[3], height, width)
    vertices = _walk(start, steps, height, width)
    widths = factor * between(shares[4], 1, max_width)
    hole = _draw_strokes(height, width, vertices, lengths, widths)
    hole = jnp.where(shares[5, 0] < 0.5, hole[:, ::-1], hole)
    return as_mask(jnp.where(shares[6, 0] < 0.5, hole[::-1], hole))
