"""The door for users' arrays: any layout and dtype in, the same layout and dtype out.

Users hold anything from a grey uint16 scan to a batch of RGBA. `prepare` checks it and
brings it into the package's form; `restore` gives the caller's dtype and shape back,
with every known pixel bit-identical.
"""

import dataclasses

import cv2
import numpy as np
from numpy.typing import ArrayLike

from inpainting_jax import images
from inpainting_jax.types import UNKNOWN_LABEL

LARGE_HOLE = 0.75
"""A larger share of hole than this draws a warning: the mask may be inverted."""

_FLOAT_SLACK = 0.1  # overshoot of resampling filters that a float image may carry


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An image and its mask inside the door.

    Attributes:
      image: [B, H, W, 3] float32 in [-1, 1], 0 in the hole.
      mask: [B, H, W, 1] float32, 1 = hole.
      source: [B, H, W, C] the caller's own pixels.
      shape: the shape the caller gave, which `restore` returns.
    """

    image: np.ndarray
    mask: np.ndarray
    source: np.ndarray
    shape: tuple[int, ...]

    @property
    def is_batch(self) -> bool:
        """Whether the caller's image has a batch axis."""
        image = self.source.shape[1:]
        return self.shape not in (image, image[:2])


def prepare(
    image: ArrayLike,
    mask: ArrayLike,
    *,
    mask_convention: str = "white_hole",
    dilate: int = 0,
) -> Prepared:
    """Checks a user's image and mask and brings them into the package's form.

    Args:
      image: [H, W], [H, W, C] or a batch of these; C = 1 or 3, or with alpha 2 or 4;
        uint8, uint16, or float in [0, 1]. Three axes mean [H, W, C] where the last is
        1 to 4 long, unless only a batch of grey images fits the mask.
      mask: [H, W], [H, W, 1..4] (one for all), or a batch of these.
      mask_convention: see `images.to_mask`.
      dilate: pixels by which the hole grows in all directions, >= 0.

    Raises:
      ValueError: sizes differ, dtype or range is not supported, a known pixel is NaN,
        or a hole covers the whole image.
    """
    image, mask = np.asarray(image), np.asarray(mask)
    source = _as_batch(image, mask)
    count, height, width, channels = source.shape
    if 0 in source.shape:
        raise ValueError(f"the image is empty: its shape is {image.shape}")
    _check_dtype(source.dtype)
    hole = images.to_mask(
        _mask_channels(mask, source.shape), convention=mask_convention
    )
    hole = np.broadcast_to(hole, (count, height, width, 1)).copy()
    hole = _dilated(hole, dilate)
    _check_holes(hole)
    colour = source[..., : 1 if channels < 3 else 3]
    _check_known(colour, hole)
    with np.errstate(invalid="ignore"):
        signed = np.where(hole > 0, np.float32(0), images.to_signed(colour))
    signed = np.clip(np.broadcast_to(signed, (count, height, width, 3)), -1, 1)
    return Prepared(signed, hole, source, image.shape)


def prepare_guide(
    guide: ArrayLike | None, prepared: Prepared, channels: int
) -> np.ndarray | None:
    """[B, H, W, G] float32 guide in [0, 1], 0 outside the hole; None for None.

    Args:
      guide: [H, W], [H, W, G] or a batch; bool, integer (0/1 or 0/255) or float in
        [0, 1]; 1 = line.
      prepared: the image it belongs to.
      channels: G that the method takes; 0 = none.

    Raises:
      ValueError: the method takes no guide, or its size or channels differ.
    """
    if guide is None:
        return None
    if not channels:
        raise ValueError(
            "this method takes no guide; leave it out, or load one trained with guides"
            ' (deepfill_v2 with guided=True and data.guide="edges")'
        )
    guide = _guide_batch(np.asarray(guide), prepared, channels)
    top = 255.0 if guide.dtype != bool and guide.max() > 1 else 1.0
    guide = np.clip(guide.astype(np.float32) / top, 0, 1)
    return guide * prepared.mask


def prepare_labels(
    labels: ArrayLike | None, prepared: Prepared, classes: int
) -> np.ndarray | None:
    """[B, H, W, 1] float32 class numbers of the whole image; None for None.

    Args:
      labels: [H, W], [H, W, 1] or a batch; whole numbers, 0 to `classes` - 1 or
        `UNKNOWN_LABEL`. What is stated inside the hole is what the caller wants there.
      prepared: the image it belongs to.
      classes: how many the method knows.

    Raises:
      ValueError: another size, numbers that are not whole, or a class too high.
    """
    if labels is None:
        return None
    labels = _guide_batch(np.asarray(labels), prepared, 1)
    stated = labels[labels != UNKNOWN_LABEL]
    wrong = stated[(stated < 0) | (stated >= classes) | (stated != np.floor(stated))]
    if len(wrong):
        raise ValueError(
            f"the label map holds {wrong[0]}, but the method knows the classes 0 to"
            f" {classes - 1}; use {UNKNOWN_LABEL} where nothing is stated"
        )
    count, height, width, _ = prepared.image.shape
    return np.broadcast_to(labels, (count, height, width, 1)).astype(np.float32)


def _guide_batch(guide: np.ndarray, prepared: Prepared, channels: int) -> np.ndarray:
    """The guide as [1 or B, H, W, G]."""
    count, height, width, _ = prepared.image.shape
    if guide.ndim == 2 or (guide.ndim == 3 and guide.shape[-1] != channels):
        guide = guide[..., None]
    guide = guide[None] if guide.ndim == 3 else guide
    if guide.ndim != 4 or guide.shape[1:3] != (height, width):
        found = "x".join(map(str, guide.shape[1:3]))
        raise ValueError(f"the guide is {found} but the image is {height}x{width}")
    if guide.shape[3] != channels or guide.shape[0] not in (1, count):
        raise ValueError(
            f"the guide has {guide.shape[3]} channel(s) for {guide.shape[0]} image(s);"
            f" the method takes {channels} for {count}"
        )
    return guide


def _dilated(hole: np.ndarray, pixels: int) -> np.ndarray:
    """The hole [B, H, W, 1] grown by `pixels` in a disc."""
    if pixels < 0:
        raise ValueError(f"dilate must be 0 or more pixels, got {pixels}")
    if pixels == 0:
        return hole
    side = 2 * pixels + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.stack([cv2.dilate(plane[..., 0], disc)[..., None] for plane in hole])


def restore(prepared: Prepared, completed: np.ndarray) -> np.ndarray:
    """The completed image in the caller's dtype and shape; known pixels bit-identical.

    `completed` is [B, H, W, 3] in [-1, 1]; only its hole is used. A grey image takes
    the mean of its channels; alpha comes back as it was.
    """
    source = prepared.source
    completed = np.asarray(completed, np.float32)
    colours = 3 if source.shape[-1] > 2 else 1
    if colours == 1:
        completed = completed.mean(axis=-1, keepdims=True)
    result = source.copy()
    filled = images.from_signed(completed, source.dtype)
    result[..., :colours] = np.where(prepared.mask > 0, filled, source[..., :colours])
    return result.reshape(prepared.shape)


def _as_batch(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """[B, H, W, C] view of an image in any of the accepted layouts."""
    if image.ndim == 2:
        return image[None, :, :, None]
    if image.ndim == 3:
        grey_batch = (
            image.shape[-1] not in (1, 2, 3, 4)
            or (mask.shape == image.shape and image.shape[-1] > 1)
            or (mask.shape == image.shape[1:] and mask.shape != image.shape[:2])
        )
        return image[..., None] if grey_batch else image[None]
    if image.ndim == 4 and image.shape[-1] in (1, 2, 3, 4):
        return image
    raise ValueError(
        "an image is [H, W], [H, W, 1|3|4] or a batch of these, got shape"
        f" {image.shape}"
    )


def _mask_channels(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[1 or B, H, W, C] view of a mask that fits an image of `shape` [B, H, W, C]."""
    count, height, width, _ = shape
    sizes = (count, height, width), (1, height, width)
    if mask.shape == (height, width):
        return mask[None, :, :, None]
    if mask.ndim == 3 and mask.shape in sizes:
        return mask[..., None]
    if mask.ndim == 3 and mask.shape[:2] == (height, width) and mask.shape[2] <= 4:
        return mask[None]
    if mask.ndim == 4 and mask.shape[:3] in sizes:
        return mask
    if mask.ndim in (2, 3) and mask.shape[-1] <= 4 < mask.shape[0]:
        found = mask.shape[:2]
    else:
        found = mask.shape[-3:-1] if mask.ndim == 4 else mask.shape[-2:]
    if mask.ndim < 2 or found == (height, width):
        raise ValueError(
            f"{count} image(s) of {height}x{width} with masks {mask.shape}"
        )
    raise ValueError(
        f"the image is {height}x{width} (height x width) but the mask is"
        f" {found[0]}x{found[1]}; resize the mask, or take the one drawn for this image"
    )


def _check_dtype(dtype: np.dtype) -> None:
    if dtype in (np.uint8, np.uint16) or np.issubdtype(dtype, np.floating):
        return
    raise ValueError(
        f"image dtype {dtype} is not supported; use uint8, uint16 or float32 in [0, 1]"
    )


def _check_known(colour: np.ndarray, hole: np.ndarray) -> None:
    """Raises if a known pixel of a float image is not a number in [0, 1]."""
    if not np.issubdtype(colour.dtype, np.floating):
        return
    known = np.broadcast_to(hole == 0, colour.shape)
    bad = (known & ~np.isfinite(colour)).any(axis=-1)
    if bad.any():
        index, row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{bad.sum()} known pixel(s) are NaN or infinite, the first in image"
            f" {index} at row {row}, column {column}; mark them as hole in the mask,"
            " or replace them, e.g. with numpy.nan_to_num(image)"
        )
    low, high = (f(colour[known], initial=0.5) for f in (np.min, np.max))
    if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
        raise ValueError(
            f"float images must be in [0, 1], this one holds {low:g} to {high:g};"
            " divide by 255 (or 65535), or pass uint8 or uint16"
        )


def _check_holes(mask: np.ndarray) -> None:
    """Warns of an empty or very large hole in [B, H, W, 1]; a full one raises."""
    for index, share in enumerate(mask.mean(axis=(1, 2, 3), dtype=np.float64)):
        flip = (
            "mask_convention='black_hole' (--mask_convention=black_hole) flips the mask"
        )
        if share == 1:
            raise ValueError(
                f"the hole covers 100 % of image {index}: nothing is known to fill it"
                f" from; if white should mean known, {flip}"
            )
        if share == 0:
            images.warn(
                f"the hole of image {index} is empty, the image stays as it is; {flip}"
            )
        elif share > LARGE_HOLE:
            images.warn(
                f"the hole covers {share:.0%} of image {index}; if the white of the"
                f" mask should mean known, {flip}"
            )
