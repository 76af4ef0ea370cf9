"""Value ranges, masking, compositing and padding of arrays.

Inside the package an image is [B, H, W, 3] float32 in [-1, 1] and a mask [B, H, W, 1]
float32, 1 = hole. "Signed" means the range [-1, 1], "unit" the range [0, 1]. Files are
read in `image_files`; what users pass in Python is checked in `evaluation.door`.
"""

import os
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.types import Array

CONVENTIONS = ("white_hole", "black_hole", "alpha")


def to_signed(image: Array | np.ndarray) -> Array | np.ndarray:
    """float32 in [-1, 1] from uint8, uint16 or float in [0, 1], any shape."""
    if np.issubdtype(image.dtype, np.integer):
        return image.astype(np.float32) / _half_range(image.dtype) - 1
    return image.astype(np.float32) * 2 - 1


def to_unit(image: Array | np.ndarray) -> Array | np.ndarray:
    """float32 in [0, 1] from uint8, uint16 or float in [-1, 1], any shape."""
    if np.issubdtype(image.dtype, np.integer):
        return image.astype(np.float32) / (2 * _half_range(image.dtype))
    return (image.astype(np.float32) + 1) / 2


def from_signed(
    image: Array | np.ndarray, dtype: np.dtype | type
) -> Array | np.ndarray:
    """uint8, uint16 (rounded) or float in [0, 1] from [-1, 1], clipped to the range."""
    xp = jnp if isinstance(image, jax.Array) else np
    dtype = np.dtype(dtype)
    if np.issubdtype(dtype, np.integer):
        levels = (xp.clip(image, -1, 1) + 1) * _half_range(dtype)
        return xp.round(levels).astype(dtype)
    return ((xp.clip(image, -1, 1) + 1) / 2).astype(dtype)


def _half_range(dtype: np.dtype) -> float:
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(f"images of dtype {dtype} have no range: use uint8 or uint16")
    return np.iinfo(dtype).max / 2  # 127.5 and 32767.5: exact, so white is exactly 1


def mask_image(image: Array, mask: Array) -> Array:
    """`image` with 0 in the hole; by selection, so that NaN in the hole cannot leak."""
    return jnp.where(mask > 0.5, jnp.zeros((), image.dtype), image)


def composite(image: Array, prediction: Array, mask: Array) -> Array:
    """`prediction` in the hole (mask 1), `image` elsewhere, exactly."""
    return jnp.where(mask > 0.5, prediction, image)


def interleave(first: Array, second: Array) -> Array:
    """Two batches [B, ...] as one [2B, ...], each sample beside its partner.

    For one pass of a network over both. One batch after the other would do as well on
    one device; on several, every image would have to be dealt out anew.
    """
    pairs = jnp.stack([first, second], axis=1)
    return pairs.reshape(-1, *first.shape[1:])


def separate(both: Array) -> tuple[Array, Array]:
    """The inverse of `interleave`, on whatever a network made of each sample."""
    pairs = both.reshape(-1, 2, *both.shape[1:])
    return pairs[:, 0], pairs[:, 1]


def to_mask(values: np.ndarray, *, convention: str = "white_hole") -> np.ndarray:
    """[..., H, W, 1] float32 mask, 1 = hole, from the pixels of a mask picture.

    A pixel is white when its brightest channel, times its opacity, is above half of the
    range: 1 when no value exceeds 1 (so 0/1 masks work in any dtype), else 255, else
    65535. Where the colour is the same everywhere but the opacity is not, the opacity
    is the mask (strokes painted on an empty layer).

    Args:
      values: [..., H, W, C] bool, integer or float; C = 1 grey, 2 grey + alpha, 3 RGB,
        4 RGB + alpha.
      convention: "white_hole"; "black_hole", its exact complement; or "alpha":
        transparent pixels are the hole, colours are ignored.

    Raises:
      ValueError: for an unknown convention, "alpha" without an alpha channel, negative
        or non-finite values, or another number of channels.
    """
    if convention not in CONVENTIONS:
        raise ValueError(
            f"unknown mask_convention {convention!r}; known: {', '.join(CONVENTIONS)}"
        )
    values = np.asarray(values)
    if values.ndim < 3 or values.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(
            f"a mask has 1 to 4 channels in its last axis, got {values.shape}"
        )
    bad = not np.isfinite(values).all() or (values < 0).any() if values.size else False
    if bad:
        raise ValueError("the mask holds negative, NaN or infinite values; use 0 and 1")
    has_alpha = values.shape[-1] in (2, 4)
    if convention == "alpha":
        if not has_alpha:
            raise ValueError(
                "mask_convention='alpha' needs a mask with an alpha channel, this one"
                f" has {values.shape[-1]} channel(s); use white_hole or black_hole"
            )
        return 1 - _above_half(values[..., -1:], values)
    colour = values[..., :-1] if has_alpha else values
    white = _above_half(colour.max(axis=-1, keepdims=True), values)
    if has_alpha:
        opaque = _above_half(values[..., -1:], values)
        flat = colour.min() == colour.max() and opaque.min() != opaque.max()
        white = opaque if flat else white * opaque
    return white if convention == "white_hole" else 1 - white


def _above_half(channel: np.ndarray, values: np.ndarray) -> np.ndarray:
    """1 where `channel` is above half of the range that `values` uses."""
    largest = values.max() if values.size else 0
    top = next(top for top in (1, 255, 65535, np.inf) if largest <= top)
    top = largest if top == np.inf else top
    return (channel > top / 2).astype(np.float32)


def warn(message: str) -> None:
    """A UserWarning attributed to the first caller outside this package."""
    package = os.path.dirname(os.path.abspath(__file__)) + os.sep
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def padded_size(
    size: int, multiple: int, min_size: int = 1, *, coarse: bool = True
) -> int:
    """The side in pixels that an image of `size` is padded to.

    A multiple of `multiple`, at least `min_size`. With `coarse`, sides above 16
    multiples are rounded up to 8 steps per doubling, so that a folder of many sizes
    needs few compilations; at most 1/8 is added.
    """
    step = multiple
    size = max(size, min_size)
    while coarse and size > 16 * step:
        step *= 2
    return -(-size // step) * step


def pad(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """[B, H, W, C] grown to `height` x `width` at the bottom and right.

    By reflection; by repeating the edge where the image is too small to reflect. Pad
    the mask the same way: what reflects a hole is a hole.
    """
    for axis, target in ((1, height), (2, width)):
        extra = target - image.shape[axis]
        if extra > 0:
            widths = [(0, 0)] * image.ndim
            widths[axis] = (0, extra)
            mode = "reflect" if extra < image.shape[axis] else "edge"
            image = np.pad(image, widths, mode=mode)
    return image
