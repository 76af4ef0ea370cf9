"""Label maps: one class number per pixel, in files and as colours to look at.

Numbers are 0 to 254; `UNKNOWN_LABEL` marks pixels whose class nobody stated. Files hold
one lossless channel; ours carry a palette, so that an image editor shows the classes
apart and saves their numbers.
"""

import colorsys
import os

import numpy as np
from PIL import Image

from inpainting_jax.image_files import atomic_path
from inpainting_jax.types import UNKNOWN_LABEL

LABEL_SUFFIXES = frozenset((".png", ".tif", ".tiff", ".bmp"))
"""Lossless formats: JPEG would alter class numbers."""

_TURN = 0.61803399  # of the hue from one class to the next: neighbours differ


def read_label_map(path: str | os.PathLike) -> np.ndarray:
    """[H, W] uint8 class numbers of a one-channel image file (palettes: the index).

    Raises:
      ValueError: a file that is no image, holds colours, or numbers above 255.
    """
    try:
        with Image.open(path) as image:
            values = np.array(image)
            mode = image.mode
    except OSError as error:
        raise ValueError(f"the label map {path} cannot be read: {error}.") from error
    if values.ndim != 2:
        raise ValueError(
            f"the label map {path} holds {mode} colours; save one channel of class"
            " numbers (or a palette image)."
        )
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"the label map {path} holds numbers outside 0 to 255.")
    return values.astype(np.uint8)


def write_label_map(path: str | os.PathLike, labels: np.ndarray) -> None:
    """Writes [H, W] uint8 class numbers as a PNG with a palette, all or nothing."""
    image = Image.fromarray(labels.astype(np.uint8), "P")
    image.putpalette(_palette().tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, "png")


def paint_labels(labels: np.ndarray) -> np.ndarray:
    """[..., 3] uint8 colours of class numbers [...]; unknown is black."""
    return _palette()[np.asarray(labels).astype(np.uint8)]


def _palette() -> np.ndarray:
    """[256, 3] uint8: hues a golden section apart, light and dark in turn."""
    colours = [
        colorsys.hsv_to_rgb(n * _TURN % 1, 0.45 + 0.25 * (n % 3), 1 - 0.25 * (n % 2))
        for n in range(256)
    ]
    palette = np.rint(np.array(colours) * 255).astype(np.uint8)
    palette[UNKNOWN_LABEL] = 0
    return palette
