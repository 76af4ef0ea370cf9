"""Windows around holes: what local discriminators judge and fixed-size networks see.

All functions trace under `jit`: every image has its own window, at a position that is
computed, of a size that is not (`take_windows`) or that is resampled (`zoom_in`).
"""

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array, Key


def hole_boxes(mask: Array) -> Array:
    """Bounding boxes [B, 4] of holes: top, left, height, width, int32.

    Args:
      mask: [B, H, W, 1], 1 = hole; an image without one has the box of all of it.
    """
    hole = mask[..., 0] > 0.5

    def span(occupied: Array) -> tuple[Array, Array]:
        size = occupied.shape[1]
        first = jnp.argmax(occupied, axis=1)
        last = size - 1 - jnp.argmax(occupied[:, ::-1], axis=1)
        return first, last - first + 1

    top, height = span(hole.any(axis=2))
    left, width = span(hole.any(axis=1))
    boxes = jnp.stack([top, left, height, width], axis=1).astype(jnp.int32)
    whole = jnp.array([[0, 0, hole.shape[1], hole.shape[2]]], jnp.int32)
    return jnp.where(hole.any(axis=(1, 2))[:, None], boxes, whole)


def hole_corners(mask: Array, size: int) -> Array:
    """Top-left corners [B, 2] of `size` x `size` windows centred on holes.

    A window that would leave the image is pushed back into it.

    Args:
      mask: [B, H, W, 1], 1 = hole.
      size: side of the window, at most H and W.
    """
    boxes = hole_boxes(mask)
    corners = boxes[:, :2] + (boxes[:, 2:] - size) // 2
    return jnp.clip(corners, 0, _room(mask, size))


def random_corners(keys: Key, image: Array, size: int) -> Array:
    """Uniform top-left corners [B, 2] of `size` x `size` windows, one key per image."""
    room = _room(image, size) + 1
    return jax.vmap(lambda key: jax.random.randint(key, (2,), 0, room[0]))(keys)


def _room(image: Array, size: int) -> Array:
    """Largest corner [1, 2] of a window of an image [B, H, W, C]."""
    height, width = image.shape[1:3]
    if size > min(height, width):
        raise ValueError(
            f"a window of {size} x {size} does not fit images of {height} x {width}:"
            " choose a smaller local size or larger images"
        )
    return jnp.array([[height - size, width - size]], jnp.int32)


def take_windows(image: Array, corners: Array, size: int) -> Array:
    """Cuts [B, size, size, C] out of [B, H, W, C] at corners [B, 2]."""

    def take(pixels: Array, corner: Array) -> Array:
        start = (corner[0], corner[1], jnp.zeros_like(corner[0]))
        return jax.lax.dynamic_slice(pixels, start, (size, size, pixels.shape[-1]))

    return jax.vmap(take)(image, corners)


def zoom_in(image: Array, boxes: Array, size: int) -> Array:
    """Resamples the content of each box to [B, size, size, C], bilinearly.

    Smoothed where the box is larger than `size`; exact where the box is an integer
    position of side `size`. Beyond the image its edge is repeated.

    Args:
      image: [B, H, W, C].
      boxes: [B, 3] float: top, left, side, in pixels; may leave the image.
      size: side of the result.
    """
    weights = [
        _weights(boxes[:, i], boxes[:, 2], image.shape[1 + i], size) for i in range(2)
    ]
    return _resample(image, *weights)


def zoom_out(window: Array, boxes: Array, height: int, width: int) -> Array:
    """Puts windows back to where `zoom_in` took them from; 0 elsewhere.

    Args:
      window: [B, size, size, C].
      boxes: [B, 3] float: top, left, side, in pixels of the result.
      height: rows of the result.
      width: columns of the result.

    Returns:
      [B, height, width, C].
    """
    size = window.shape[1]
    scale = size / boxes[:, 2]
    weights, inside = [], []
    for i, length in enumerate((height, width)):
        start = -boxes[:, i] * scale
        span = length * scale
        weights.append(_weights(start, span, size, length))
        centres = start[:, None] + _centres(length)[None] * scale[:, None]
        inside.append((centres > 0) & (centres < size))
    covered = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return jnp.where(covered, _resample(window, *weights), 0)


def _weights(start: Array, span: Array, length: int, size: int) -> Array:
    """[B, size, length]: triangle filter that maps a line onto `size` positions.

    Position i lies at start + (i + 1/2) * span / size; positions are clamped to the
    line. The triangle is as wide as the step where that is more than one pixel.
    """
    step = span / size
    centres = start[:, None] + _centres(size)[None] * step[:, None]
    centres = jnp.clip(centres, 0.5, length - 0.5)
    distance = jnp.abs(centres[:, :, None] - _centres(length)[None, None])
    triangle = jnp.maximum(0, 1 - distance / jnp.maximum(step, 1.0)[:, None, None])
    return triangle / triangle.sum(axis=-1, keepdims=True)


def _centres(length: int) -> Array:
    """Centres of `length` pixels: 0.5, 1.5, ..."""
    return jnp.arange(length, dtype=jnp.float32) + 0.5


def _resample(image: Array, rows: Array, columns: Array) -> Array:
    # The highest precision: a resampling by exactly 1 must be the identity.
    high = jax.lax.Precision.HIGHEST
    out = jnp.einsum("bih,bhwc->biwc", rows, image, precision=high)
    return jnp.einsum("bjw,biwc->bijc", columns, out, precision=high)
