"""What a network of fixed size sees of an image of any size, and where its answer goes.

Every image has its own view: a square box, resampled to the network's size. A box of
exactly that size lies on whole pixels and resamples to itself, bit for bit.
"""

import dataclasses

import jax.numpy as jnp

from inpainting_jax import images, layers
from inpainting_jax.types import Array


@dataclasses.dataclass(frozen=True)
class View:
    """The geometry of a network, in its own pixels.

    Attributes:
      size: side of what it sees.
      output: side of the square in the middle that it predicts.
      overlap: width of the square's known ring.
      blank_square: blank the whole inner square, as the centre network was trained,
        rather than the hole alone.
    """

    size: int
    output: int
    overlap: int = 0
    blank_square: bool = False

    @property
    def inner(self) -> int:
        """Side of the inner square, in which holes must lie."""
        return self.output - 2 * self.overlap


def view_boxes(mask: Array, view: View) -> Array:
    """Boxes [B, 3] of what the network sees: top, left, side in pixels.

    The hole lies in the inner square of its box. Apart from that a box has the
    network's size, more where the hole is wider than half of that, and stays inside the
    image; it leaves the image only if the inner square could not hold the hole
    otherwise. So the box of a centre hole in an image of the network's size is that
    image.

    Args:
      mask: [B, H, W, 1], 1 = hole.
      view: of the network.
    """
    height, width = mask.shape[1:3]
    boxes = layers.hole_boxes(mask).astype(jnp.float32)
    starts, sides = boxes[:, :2], boxes[:, 2:]
    hole = sides.max(axis=1)
    comfortable = jnp.minimum(jnp.maximum(2 * hole, view.size), min(height, width))
    side = jnp.maximum(hole * view.size / view.inner, comfortable)[:, None]
    margin = (view.size - view.inner) / 2 / view.size * side
    corners = jnp.floor(starts + sides / 2 - side / 2)
    room = jnp.array([[height, width]], jnp.float32) - side
    corners = jnp.clip(corners, 0, jnp.maximum(room, 0))
    # Last, for it is the hole that must be predicted.
    corners = jnp.clip(corners, starts + sides - (side - margin), starts - margin)
    return jnp.concatenate([corners, side], axis=1)


def look(image: Array, mask: Array, boxes: Array, view: View, fill: Array) -> Array:
    """The network's input [B, size, size, 3]: the boxes, blanked with `fill`.

    Where the whole inner square is blanked, hole pixels are seen outside of it only
    where the edge of the image is repeated: they get the mean of the known colours, for
    this network has never seen a blank there (measured in `docs/methods.md`).

    Args:
      image: [B, H, W, 3] in [-1, 1]; its hole is not read.
      mask: [B, H, W, 1], 1 = hole.
      boxes: [B, 3] of `view_boxes`.
      view: of the network.
      fill: [1, 1, 1, 3] colour in [-1, 1].
    """
    if not view.blank_square:
        return layers.zoom_in(images.composite(image, fill, mask), boxes, view.size)
    known = images.mask_image(image, mask).sum(axis=(1, 2), keepdims=True)
    mean = known / jnp.maximum((1 - mask).sum(axis=(1, 2), keepdims=True), 1)
    seen = layers.zoom_in(images.composite(image, mean, mask), boxes, view.size)
    first = (view.size - view.inner) // 2
    last = first + view.inner
    return seen.at[:, first:last, first:last].set(fill)


def predicted_boxes(boxes: Array, view: View) -> Array:
    """Boxes [B, 3] of the square that the network predicts of each of `boxes`."""
    margin = (view.size - view.output) / 2 / view.size * boxes[:, 2:]
    side = boxes[:, 2:] * (view.output / view.size)
    return jnp.concatenate([boxes[:, :2] + margin, side], axis=1)


def target(image: Array, boxes: Array, view: View) -> Array:
    """What the network should predict: [B, output, output, C] of an image or mask."""
    return layers.zoom_in(image, predicted_boxes(boxes, view), view.output)


def put_back(
    prediction: Array, image: Array, mask: Array, boxes: Array, view: View
) -> Array:
    """The prediction at its place in the image, known pixels around it: [B, H, W, 3].

    Args:
      prediction: [B, output, output, 3].
      image: [B, H, W, 3]; its hole is not read.
      mask: [B, H, W, 1].
      boxes: [B, 3] of `view_boxes`.
      view: of the network.
    """
    height, width = image.shape[1:3]
    places = predicted_boxes(boxes, view)
    covered = layers.zoom_out(jnp.ones_like(prediction[..., :1]), places, height, width)
    whole = layers.zoom_out(prediction, places, height, width)
    # Holes are always covered: the selection only keeps their content unread.
    return jnp.where((covered > 0.5) | (mask > 0.5), whole, image)
