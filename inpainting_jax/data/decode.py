"""Encoded image bytes or files -> RGB uint8 arrays, for training data.

Everything becomes [H, W, 3] uint8: grey is repeated, a palette is looked up,
transparent pixels are laid over white, 16-bit values are scaled by 1/257, CMYK is
converted, the EXIF orientation is applied. (The inpainting commands keep depth, alpha
and profile: they read files through `inpainting_jax.image_files`.)
"""

import io
import pathlib

import numpy as np
import tifffile
from PIL import Image, ImageOps

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm")
)
"""File names that count as images, in lower case."""


class BadImageError(ValueError):
    """An image that cannot be read; the message names it and how to find all others."""

    def __init__(self, name: str, reason: object):
        self.name = name
        super().__init__(
            f"cannot read the image {name}: {reason}. Remove or replace it; "
            "`python -m launch.prepare --images=DIR --output=DIR` lists every "
            "unreadable file of a folder and writes a data set without them."
        )

    def __reduce__(self):  # the message alone does not rebuild it in another process
        return _rebuild_error, (self.name, self.args[0])


def _rebuild_error(name: str, message: str) -> BadImageError:
    error = BadImageError(name, "")
    error.args = (message,)
    return error


def decode(data: bytes, name: str) -> np.ndarray:
    """Decodes an image file's bytes to [H, W, 3] uint8.

    Args:
      data: PNG, JPEG, WebP, TIFF, BMP, GIF (first frame) or PNM bytes.
      name: what to call the image in errors.

    Raises:
      BadImageError: if the bytes are no image, are cut short, or hold floats.
    """
    try:
        return to_rgb(_open(data))
    except Exception as error:  # Pillow raises many kinds: OSError, SyntaxError, ...
        raise BadImageError(name, error or type(error).__name__) from error


def read(path: str | pathlib.Path) -> np.ndarray:
    """Reads an image file as [H, W, 3] uint8; `BadImageError` names a bad one."""
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise BadImageError(str(path), error.strerror or error) from error
    return decode(data, str(path))


def to_rgb(image: Image.Image) -> np.ndarray:
    """[H, W, 3] uint8 of a Pillow image of any mode but floating point."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips it
        values = np.asarray(image, np.int64)
        grey = np.clip((values + 128) // 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("it holds floats; save it as 8- or 16-bit integers")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return np.array(image.convert("RGB"))


def _open(data: bytes) -> Image.Image:
    """A Pillow image of the bytes; 16-bit colour TIFFs come by way of tifffile."""
    try:
        return Image.open(io.BytesIO(data))
    except Image.UnidentifiedImageError:
        if data[:4] not in (b"II*\0", b"MM\0*"):
            raise ValueError("it is not an image file, or is damaged") from None
    values = tifffile.imread(io.BytesIO(data))
    if values.dtype != np.uint16 or values.ndim != 3 or values.shape[-1] < 3:
        raise ValueError(f"a TIFF of {values.dtype} {values.shape} is not supported")
    return Image.fromarray(
        ((values[..., :3].astype(np.int64) + 128) // 257).astype("u1")
    )
