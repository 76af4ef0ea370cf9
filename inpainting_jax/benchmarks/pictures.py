"""Photographs that come with scikit-image and scikit-learn, and crops of folders."""

import importlib.util

import numpy as np
import skimage.data

from inpainting_jax.data.sources import open_source

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
"""In scikit-image's package (no download)."""

SAMPLES = ("china", "flower")
"""In scikit-learn's package, which is optional."""


def photographs(size: int) -> list[tuple[str, np.ndarray]]:
    """(name, uint8 [H, W, 3]) centre crops of the installed photographs.

    Args:
      size: 256: 256 x 256 crops; 512: 512 x 512, or 400 x 512 where the photograph is
        lower than that; those smaller still are left out.
    """
    result = []
    for name, image in whole():
        height = min(size, image.shape[0] if image.shape[0] >= size else 400)
        if image.shape[0] >= height and image.shape[1] >= size:
            result.append((name, centre_crop(image, height, size)))
    return result


def whole() -> list[tuple[str, np.ndarray]]:
    """(name, uint8 [H, W, 3]) of the installed photographs, uncropped."""
    found = [(name, getattr(skimage.data, name)()) for name in PHOTOS]
    if importlib.util.find_spec("sklearn"):
        from sklearn.datasets import load_sample_image

        found += [(name, load_sample_image(f"{name}.jpg")) for name in SAMPLES]
    return found


def folder_crops(spec: str, count: int, *, side: int = 256) -> list:
    """`count` images of a data SPEC, spread evenly, cut to squares of one size.

    The side is the largest multiple of 32 that fits them all, at most `side`.
    """
    source = open_source(spec)
    chosen = np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)
    examples = [source[int(index)] for index in chosen]
    least = min(min(example["image"].shape[:2]) for example in examples)
    side = min(side, max(least // 32 * 32, min(least, 32)))
    return [
        (example["name"], centre_crop(example["image"], side, side))
        for example in examples
    ]


def centre_crop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle [height, width] of an image that is at least as large."""
    top = (image.shape[0] - height) // 2
    left = (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width, :3]
