"""One sample and one random generator -> a square training view.

Functions of NumPy arrays on the host. The image and what belongs to it (a label map)
are cut by the same window; images are resampled bicubically with antialiasing, label
maps by the nearest pixel.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

FITS = ("crop", "resize")


class Window(NamedTuple):
    """A part of an image, in whole pixels, and whether to mirror it left-right."""

    left: int
    top: int
    width: int
    height: int
    mirror: bool = False


def random_window(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    fit: str = "crop",
    min_scale: float = 1.0,
    flip: bool = True,
) -> Window:
    """The window of a training view.

    Args:
      rng: draws scale, place and mirroring; always the same number of values.
      height: of the image, pixels.
      width: of the image, pixels.
      fit: `crop` takes a square at a random place; `resize` the whole image, which
        is then squashed to a square.
      min_scale: in (0, 1]; the square's side is drawn between this share of the
        image's short side and all of it.
      flip: mirror every other view, on average.
    """
    check_fit(fit, min_scale)
    scale, down, across, coin = rng.random(4)
    mirror = bool(flip and coin < 0.5)
    if fit == "resize":
        return Window(0, 0, width, height, mirror)
    share = min_scale + (1 - min_scale) * scale
    side = max(1, round(share * min(height, width)))
    top = int(down * (height - side + 1))
    left = int(across * (width - side + 1))
    return Window(left, top, side, side, mirror)


def centre_window(height: int, width: int, *, fit: str = "crop") -> Window:
    """The window of an evaluation view: the largest centred square, or everything."""
    check_fit(fit, 1.0)
    if fit == "resize":
        return Window(0, 0, width, height)
    side = min(height, width)
    return Window((width - side) // 2, (height - side) // 2, side, side)


def view(
    array: np.ndarray, window: Window, image_size: int, *, nearest: bool = False
) -> np.ndarray:
    """The window of `array` ([H, W] or [H, W, 3] uint8) at `image_size` squared."""
    left, top, width, height, mirror = window
    array = array[top : top + height, left : left + width]
    if (height, width) != (image_size, image_size):
        filter_ = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
        # reducing_gap shrinks by whole factors first: far faster on large photographs
        image = Image.fromarray(np.ascontiguousarray(array))
        gap = None if nearest else 3.0
        image = image.resize((image_size, image_size), filter_, reducing_gap=gap)
        array = np.asarray(image)
    if mirror and array.ndim == 3:  # NumPy takes three times as long over pixels
        array = np.asarray(ImageOps.mirror(Image.fromarray(array)))
    elif mirror:
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def train_view(
    sample: Mapping,
    rng: np.random.Generator,
    *,
    image_size: int,
    fit: str = "crop",
    min_scale: float = 1.0,
    flip: bool = True,
    guide: str = "",
) -> dict[str, np.ndarray]:
    """A random view of a sample: `image` [S, S, 3] and, if asked, `guide` [S, S, 1].

    The guide "labels" is the label map; "edges" and "" add nothing here.

    Raises:
      ValueError: if the guide "labels" is asked of a sample without a label map.
    """
    image = sample["image"]
    window = random_window(
        rng, *image.shape[:2], fit=fit, min_scale=min_scale, flip=flip
    )
    result = {"image": view(image, window, image_size)}
    if guide == "labels":
        if "label_map" not in sample:
            raise ValueError(
                f"the image {sample['name']} has no label map, which guide='labels' "
                "needs: prepare the data with --labels, or choose another guide."
            )
        labels = view(sample["label_map"], window, image_size, nearest=True)
        result["guide"] = labels[..., None]
    return result


def check_fit(fit: str, min_scale: float) -> None:
    """Raises `ValueError` on an unknown `fit` or a `min_scale` outside (0, 1]."""
    if fit not in FITS:
        raise ValueError(f"unknown fit {fit!r}; known: {', '.join(FITS)}.")
    if not 0 < min_scale <= 1:
        raise ValueError(f"min_scale must lie in (0, 1], got {min_scale}.")
