"""What stands around the hole of one image, at every scale of the pyramid.

A frame is the square of the image that the content network sees, with the hole in its
middle square (`context_encoder.views`), resampled to the size of a scale.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax import images, layers
from inpainting_jax.methods.neural_patch.matching import to_cells
from inpainting_jax.types import Array


class Frame(NamedTuple):
    """Images [B, S, S, 3] and masks [B, S, S, 1] of one scale.

    Attributes:
      pixels: known colours; beyond the image its edge is repeated, and the mean of the
        known colours stands where nothing is known.
      hole: 1 = to be filled; inside the middle square.
      known: 1 = pixels of the image itself.
    """

    pixels: Array
    hole: Array
    known: Array


def cut_frame(image: Array, mask: Array, boxes: Array, size: int) -> Frame:
    """The frames of one scale; nothing of the hole's content is in their colours.

    Args:
      image: [B, H, W, 3]; its hole is not read.
      mask: [B, H, W, 1], 1 = hole.
      boxes: [B, 3] of `context_encoder.views.view_boxes`.
      size: S.
    """
    image = images.mask_image(image, mask)
    total = (1 - mask).sum(axis=(1, 2), keepdims=True)
    mean = image.sum(axis=(1, 2), keepdims=True) / jnp.maximum(total, 1)
    share = layers.zoom_in(1 - mask, boxes, size)
    colours = layers.zoom_in(image, boxes, size) / jnp.maximum(share, 1e-3)
    # A pixel that sees more of the hole than of the image belongs to it.
    seen = share > 0.5 - 1e-4
    place = (jnp.arange(size, dtype=jnp.float32) + 0.5) / size
    rows, columns = (
        boxes[:, i, None] + place[None] * boxes[:, 2, None] for i in range(2)
    )
    inside = ((rows > 0) & (rows < image.shape[1]))[:, :, None]
    inside &= ((columns > 0) & (columns < image.shape[2]))[:, None]
    middle = (place > 0.25) & (place < 0.75)
    middle = (middle[:, None] & middle[None])[None, :, :, None]
    return Frame(
        pixels=jnp.where(seen, colours, mean),
        hole=(~seen & middle).astype(jnp.float32),
        known=(seen & inside[..., None]).astype(jnp.float32),
    )


def put_back(window: Array, image: Array, mask: Array, boxes: Array) -> Array:
    """[B, H, W, 3]: the frame's pixels in the hole, those of the image elsewhere.

    Args:
      window: [B, S, S, 3].
      image: [B, H, W, 3]; its hole is not read.
      mask: [B, H, W, 1].
      boxes: [B, 3].
    """
    whole = layers.zoom_out(window, boxes, *image.shape[1:3])
    return images.composite(image, whole, mask)


def scale_sizes(side: float, base: int, scales: int) -> list[int]:
    """Sizes of the pyramid: `base`, then doubled until a frame of `side` pixels fits.

    Args:
      side: of the frame in the image, pixels.
      base: what the content network sees.
      scales: at most so many.
    """
    sizes = [base]
    while len(sizes) < scales and sizes[-1] < side:
        sizes.append(2 * sizes[-1])
    return sizes


def turned_copies(
    image: Array, known: Array, turns: Sequence[float], zooms: Sequence[float]
) -> tuple[Array, Array]:
    """An image about its centre at every angle and size: more patches to copy from.

    Args:
      image: [S, S, 3].
      known: [S, S, 1], 1 = known.
      turns: degrees.
      zooms: factors, > 0.

    Returns:
      [N, S, S, 3] and [N, S, S, 1], N = len(turns) * len(zooms); what a copy shows from
      beyond the image is not known. Turned 0 and enlarged 1, it is the image itself.
    """
    size = image.shape[0]
    middle = (size - 1) / 2
    copies, masks = [], []
    for turn in turns:
        for zoom in zooms:
            if turn == 0 and zoom == 1:
                copies.append(image)
                masks.append(known)
                continue
            cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
            y, x = np.mgrid[:size, :size] - middle
            places = [
                middle + (cosine * y - sine * x) / zoom,
                middle + (sine * y + cosine * x) / zoom,
            ]
            copies.append(_sample(image, places, mode="nearest"))
            # Interpolated from anything unknown is unknown.
            full = _sample(known, places, mode="constant") > 1 - 1e-3
            masks.append(full.astype(jnp.float32))
    return jnp.stack(copies), jnp.stack(masks)


def _sample(image: Array, places: Sequence[np.ndarray], *, mode: str) -> Array:
    """Bilinear samples of each channel of [S, S, C]; beyond it the edge, or 0."""
    coordinates = [jnp.asarray(place, jnp.float32) for place in places]
    channels = [
        jax.scipy.ndimage.map_coordinates(image[..., i], coordinates, 1, mode=mode)
        for i in range(image.shape[-1])
    ]
    return jnp.stack(channels, axis=-1)


def widen(known: Array, pixels: int) -> Array:
    """Known pixels [B, S, S, 1] that are more than `pixels` from unknown ones."""
    if not pixels:
        return known
    side = 2 * pixels + 1
    window = (1, side, side, 1)
    return -jax.lax.reduce_window(
        -known, -jnp.inf, jax.lax.max, window, (1,) * 4, "SAME"
    )


def has_patch(known: np.ndarray, cell: int, side: int = 3) -> bool:
    """Whether `side` x `side` cells of `cell` pixels each are all known somewhere."""
    free = 1 - np.asarray(to_cells(1 - jnp.asarray(known)[None], cell))[0, ..., 0]
    windows = np.lib.stride_tricks.sliding_window_view(free, (side, side))
    return bool((windows.min(axis=(2, 3)) > 0).any())
