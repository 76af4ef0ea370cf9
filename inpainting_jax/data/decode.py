"""Image files -> RGB uint8 arrays, as training and evaluation want them.

`image_files` reads the file (orientation, CMYK, palettes, 16 bits); here grey is
repeated, transparent pixels are laid over white and deeper values rounded to 8 bits.
"""

import os
import pathlib

import numpy as np

from inpainting_jax import image_files, images

SUFFIXES = frozenset(image_files.SUFFIXES)
"""File names that count as images, in lower case."""


class BadImageError(ValueError):
    """An image that cannot be read; the message names it and how to find all others."""


def bad_image(reason: object) -> BadImageError:
    """The error to raise for an unreadable image; `reason` names it."""
    return BadImageError(
        f"{reason}. Remove or replace it: `python -m launch.prepare --images=DIR"
        " --output=DIR` lists every unreadable file of a folder and writes a data set"
        " without them."
    )


def decode(data: bytes, name: str) -> np.ndarray:
    """[H, W, 3] uint8 of the bytes of an image file; `name` is what errors call it."""
    try:
        return to_rgb(image_files.decode_image(data, name).pixels)
    except image_files.ImageFileError as error:
        raise bad_image(error) from error


def read(path: str | os.PathLike) -> np.ndarray:
    """[H, W, 3] uint8 of an image file; `BadImageError` names a bad one."""
    try:
        return to_rgb(image_files.read_image(pathlib.Path(path)).pixels)
    except image_files.ImageFileError as error:
        raise bad_image(error) from error


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 from [H, W, C] uint8, uint16 or float32 in [0, 1], C = 1 to 4."""
    colours = 1 if pixels.shape[-1] < 3 else 3
    if pixels.dtype == np.uint8 and pixels.shape[-1] == 3:
        return pixels
    unit = images.to_unit(pixels) if pixels.dtype != np.float32 else pixels
    if pixels.shape[-1] in (2, 4):
        alpha = unit[..., -1:]
        unit = unit[..., :colours] * alpha + (1 - alpha)
    rgb = np.round(np.clip(np.nan_to_num(unit), 0, 1) * 255).astype(np.uint8)
    return np.repeat(rgb, 3 // colours, axis=-1)
