"""Free-form holes: DeepFill brush strokes and irregular shapes, drawn on device.

Strokes: Yu et al. 2019, "Free-Form Image Inpainting with Gated Convolution"
(https://arxiv.org/abs/1806.03589), once as released (`strokes`) and once as printed in
Algorithm 1 (`brush`). Irregular: in the manner of the masks of Liu et al. 2018, "Image
Inpainting for Irregular Holes Using Partial Convolutions"
(https://arxiv.org/abs/1804.07723).

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
    draw_int,
    draw_segments,
    draw_uniform,
    float_dtype,
    hole_ratio,
)
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Array, Key

BORDER = 50 / 512
"""A hole nearer to the edge than this share of the side counts as touching it."""


def _scale(height: int, width: int, scale: bool) -> float:
    """Diagonal over that of a 256x256 image, or 1."""
    return math.hypot(height, width) / math.hypot(256, 256) if scale else 1.0


def _draw_normal(key: Key, shape: tuple[int, ...]) -> Array:
    """Standard normal values from a float32 share: the same draw at any float width."""
    return math.sqrt(2) * lax.erf_inv(draw_uniform(key, shape, -1.0, 1.0))


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


def _draw_start(key: Key, count: int, height: int, width: int) -> Array:
    """[count, 2] random pixels (x, y)."""
    x_key, y_key = random.split(key)
    x = draw_int(x_key, (count,), 0, width)
    y = draw_int(y_key, (count,), 0, height)
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
    keys = random.split(key, 8)
    count = draw_int(keys[0], (), min_strokes, max_strokes + 1)
    lengths = draw_int(keys[1], (max_strokes,), min_vertices, max_vertices + 1)
    lengths = jnp.where(jnp.arange(max_strokes) < count, lengths, 0)

    low = 2 * math.pi / 5 - draw_uniform(keys[2], (max_strokes,), 0, 2 * math.pi / 15)
    high = 2 * math.pi / 5 + draw_uniform(keys[3], (max_strokes,), 0, 2 * math.pi / 15)
    shape = (max_vertices, max_strokes)
    angles = draw_uniform(keys[4], shape, low[None], high[None])
    even = (jnp.arange(max_vertices) % 2 == 0)[:, None]
    angles = jnp.where(even, 2 * math.pi - angles, angles)

    mean = math.hypot(height, width) / 8
    radii = jnp.clip(mean + mean // 2 * _draw_normal(keys[5], shape), 0, 2 * mean)
    steps = radii[..., None] * jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
    start = _draw_start(keys[6], max_strokes, height, width)
    vertices = _walk(start, steps, height, width)

    widths = jnp.trunc(draw_uniform(keys[7], (max_strokes,), min_width, max_width))
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
    keys = random.split(key, 7)
    count = draw_int(keys[0], (), 1, max_strokes + 1)
    lengths = draw_int(keys[1], (max_strokes,), 1, max_vertices + 1)
    lengths = jnp.where(jnp.arange(max_strokes) < count, lengths, 0)
    shape = (max_vertices, max_strokes)
    angles = draw_uniform(keys[2], shape, 0, max_angle)
    even = (jnp.arange(max_vertices) % 2 == 0)[:, None]
    angles = jnp.where(even, 2 * math.pi - angles, angles)
    radii = factor * draw_uniform(keys[3], shape, 0, max_length)
    steps = radii[..., None] * jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1)
    start = _draw_start(keys[4], max_strokes, height, width)
    vertices = _walk(start, steps, height, width)
    widths = factor * draw_uniform(keys[5], (max_strokes,), 1, max_width)
    hole = _draw_strokes(height, width, vertices, lengths, widths)
    flips = draw_int(keys[6], (2,), 0, 2) == 1
    hole = jnp.where(flips[0], hole[:, ::-1], hole)
    return as_mask(jnp.where(flips[1], hole[::-1], hole))


def _draw_shape(key: Key, height: int, width: int, scale: Array) -> Array:
    """[H, W] bool: one thick line, arc of an ellipse, or disc, each equally likely.

    All three are the same poly-line with other vertices, so that one loop draws them.
    `scale` in (0, 1] shrinks lengths and widths about the starting point.
    """
    segments = 6
    keys = random.split(key, 6)
    size = jnp.array([width, height], float_dtype())
    side = (height + width) / 2
    share = jnp.linspace(0, 1, segments + 1, dtype=float_dtype())[:, None]
    start = draw_uniform(keys[0], (2,), 0, 1.0) * size
    end = draw_uniform(keys[1], (2,), 0, 1.0) * size
    line = start[None] + share * scale * (end - start)[None]

    axes = draw_uniform(keys[2], (2,), 0.05, 0.35) * size * scale
    first, sweep, tilt = draw_uniform(keys[3], (3,), 0, 1.0)
    angle = 2 * math.pi * first + (0.25 + 0.75 * sweep) * 2 * math.pi * share
    x, y = axes[0] * jnp.cos(angle), axes[1] * jnp.sin(angle)
    cos, sin = jnp.cos(math.pi * tilt), jnp.sin(math.pi * tilt)
    arc = start[None] + jnp.concatenate([cos * x - sin * y, sin * x + cos * y], -1)

    disc = jnp.broadcast_to(start[None], line.shape)
    kind = draw_int(keys[4], (), 0, 3)
    points = jnp.where(kind == 0, line, jnp.where(kind == 1, arc, disc))
    thickness = draw_uniform(keys[5], (), 0.01, 0.08) * side * scale
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
    if not 0 <= min_ratio < max_ratio <= 1:
        raise ValueError(
            f"need 0 <= min_ratio < max_ratio <= 1, got {min_ratio}, {max_ratio}."
        )
    if border not in ("any", "touching", "inside"):
        known = dict.fromkeys(("any", "touching", "inside"))
        raise UnknownNameError("border rule", border, known)
    rows, columns = math.ceil(BORDER * height), math.ceil(BORDER * width)
    inner = jnp.zeros((height, width), bool)
    inner = inner.at[rows : height - rows, columns : width - columns].set(True)
    if (
        border == "inside"
        and inner.size
        and max_ratio
        > 0.95
        * float(
            max(0, height - 2 * rows) * max(0, width - 2 * columns) / (height * width)
        )
    ):
        raise ValueError(
            f"max_ratio={max_ratio} does not fit border='inside' at {height}x{width}; "
            "lower it, or use border='any'."
        )
    target_key, shape_key = random.split(key)
    slack = 0.1 * (max_ratio - min_ratio)
    target = draw_uniform(target_key, (), min_ratio + slack, max_ratio)

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
