"""Telea, Navier-Stokes (OpenCV) and biharmonic (scikit-image): the smooth baselines.

Diffusion from the rim of the hole; no texture, no training, milliseconds to seconds.
They run on the host, one image at a time. OpenCV works on 8-bit pixels, so its two
fills are quantised to 1/255; the known pixels are not. Telea 2004; Bertalmio, Bertozzi,
Sapiro 2001; Damelin and Hoang 2018.
"""

from collections.abc import Callable

import cv2
import jax.numpy as jnp
import numpy as np
from skimage.restoration import inpaint_biharmonic

from inpainting_jax.methods.base import Method

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def telea_fill(image: np.ndarray, hole: np.ndarray, *, radius: int = 3) -> np.ndarray:
    """Fast-marching fill (Telea 2004, J. Graphics Tools 9(1)) by OpenCV.

    Args:
      image: [H, W, C] float in [0, 1], finite; what the hole contains has no effect.
      hole: [H, W] bool, with at least one known pixel.
      radius: pixels around each hole pixel that are averaged, >= 1.

    Returns:
      [H, W, C] float32, multiples of 1/255.
    """
    return _opencv_fill(image, hole, radius, cv2.INPAINT_TELEA)


def navier_stokes_fill(
    image: np.ndarray, hole: np.ndarray, *, radius: int = 3
) -> np.ndarray:
    """Isophotes carried into the hole (Bertalmio et al. 2001) by OpenCV.

    Arguments and result are those of `telea_fill`.
    """
    return _opencv_fill(image, hole, radius, cv2.INPAINT_NS)


def _opencv_fill(image, hole, radius, flag):
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    pixels[hole] = 0
    mask = hole.astype(np.uint8) * 255
    # Per channel: OpenCV takes 1 or 3 channels and treats the 3 independently.
    planes = [cv2.inpaint(plane, mask, radius, flag) for plane in cv2.split(pixels)]
    return np.stack(planes, axis=-1).astype(np.float32) / 255


def biharmonic_fill(
    image: np.ndarray, hole: np.ndarray, *, max_hole_pixels: int = 262_144
) -> np.ndarray:
    """Smoothest fill: the biharmonic equation (Damelin & Hoang 2018) by scikit-image.

    Args:
      image: [H, W, C] float in [0, 1], finite; what the hole contains has no effect.
      hole: [H, W] bool, with at least one known pixel.
      max_hole_pixels: largest hole that is attempted. The sparse factorisation grows
        faster than the hole: 4 s at 100,000 pixels, 12 s and 1.5 GiB at 250,000.

    Returns:
      [H, W, C] float32, within the range of each channel's known pixels.

    Raises:
      ValueError: if the hole has more pixels than `max_hole_pixels`.
    """
    area = int(hole.sum())
    if area > max_hole_pixels:
        raise ValueError(
            f"biharmonic: the hole has {area} pixels, more than"
            f" max_hole_pixels={max_hole_pixels}; time and memory grow faster than"
            " that number. Use telea or navier_stokes, make the image smaller, or raise"
            " max_hole_pixels."
        )
    pixels = np.where(hole[..., None], 0.0, image.astype(np.float64))
    return inpaint_biharmonic(pixels, hole, channel_axis=-1).astype(np.float32)


def _method(name: str, fill: Fill) -> Method:
    """The fill of one image as a `Method` on [B, H, W, C] in [-1, 1]."""

    def predict(variables, key, image, mask, guide=None):
        del variables, key, guide
        # A copy of the caller's values; the result keeps their known pixels bit by bit.
        completed = np.array(image, np.float32)
        holes = np.asarray(mask)[..., 0] > 0.5
        for pixels, hole in zip(completed, holes, strict=True):
            if hole.all():  # nothing to extend: mid-grey
                pixels[:] = 0.0
            elif hole.any():
                pixels[hole] = 0.0  # never read, and NaN would poison the conversion
                pixels[hole] = fill((pixels + 1) / 2, hole)[hole] * 2 - 1
        return {"completed": jnp.asarray(completed)}

    return Method(name=name, predict=predict, traceable=False)


def _checked_radius(name: str, radius: int) -> int:
    if radius < 1:
        raise ValueError(f"{name}: radius must be at least 1 pixel, got {radius}")
    return radius


def build_telea(*, radius: int = 3, compute_dtype: str = "float32") -> Method:
    """OpenCV's Telea; `radius` in pixels, `compute_dtype` has no effect."""
    del compute_dtype
    radius = _checked_radius("telea", radius)
    return _method("telea", lambda image, hole: telea_fill(image, hole, radius=radius))


def build_navier_stokes(*, radius: int = 3, compute_dtype: str = "float32") -> Method:
    """OpenCV's Navier-Stokes; `radius` in pixels, `compute_dtype` has no effect."""
    del compute_dtype
    radius = _checked_radius("navier_stokes", radius)
    return _method(
        "navier_stokes",
        lambda image, hole: navier_stokes_fill(image, hole, radius=radius),
    )


def build_biharmonic(
    *, max_hole_pixels: int = 262_144, compute_dtype: str = "float32"
) -> Method:
    """scikit-image's biharmonic fill, refused above `max_hole_pixels` hole pixels."""
    del compute_dtype
    return _method(
        "biharmonic",
        lambda image, hole: biharmonic_fill(
            image, hole, max_hole_pixels=max_hole_pixels
        ),
    )
