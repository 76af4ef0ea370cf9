"""Reads and writes image, mask and sketch files: PNG, JPEG, WebP, TIFF, BMP.

Reading honours the EXIF orientation and keeps 8 or 16 bits, alpha and the ICC profile;
writing is lossless unless JPEG is asked for, and atomic: a file is there in full or not
at all. Pillow does the 8-bit work; `deep_files` does what it lacks.
"""

import contextlib
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from inpainting_jax import deep_files, images

FORMATS = ("png", "jpeg", "webp", "tiff", "bmp")
SUFFIXES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
}
JPEG_QUALITY = 95

_ORIENTATION = 274  # the EXIF and TIFF tag
_TO_RGB = {"CMYK", "YCbCr", "HSV", "LAB", "RGBX"}
_TO_RGBA = {"PA", "RGBa"}


class ImageFileError(ValueError):
    """A file that cannot be read or written as an image; names it and the remedy."""


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """The pixels of a file and what must go back into the next one.

    Attributes:
      pixels: [H, W, C] uint8, uint16 or float32 in [0, 1], upright; C = 1 grey, 2 grey
        and alpha, 3 RGB, 4 RGB and alpha. Palettes, 1-bit and CMYK are converted.
      format: one of `FORMATS`.
      icc_profile: the colour profile, if any.
      exif: the EXIF block with the orientation reset, if any.
    """

    pixels: np.ndarray
    format: str
    icc_profile: bytes | None = None
    exif: bytes | None = None


def read_image(path: str | os.PathLike) -> ImageFile:
    """The image in a file, whatever its suffix says.

    Raises:
      ImageFileError: if the file is missing, damaged, or of another kind.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "missing"
        raise ImageFileError(f"{path} is {kind}; give the path of an image file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageFileError(f"{path} cannot be read: {error}") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> ImageFile:
    """The image in the bytes of a file; `name` is what errors call it.

    Raises:
      ImageFileError: if the bytes are damaged or of another kind.
    """
    try:
        return _decode(data, name)
    except ImageFileError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageFileError(f"{name} is too large: {error}") from error
    except UnidentifiedImageError as error:  # its text names an address in memory
        raise ImageFileError(
            f"{name} cannot be read: it is no {', '.join(FORMATS)} image; save it again"
            " from its source"
        ) from error
    # Pillow's plug-ins raise nearly anything on damaged data
    except Exception as error:
        raise ImageFileError(
            f"{name} cannot be read: {error}. The file is damaged or no"
            f" {', '.join(FORMATS)} image; save it again from its source"
        ) from error


def read_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """Height and width as stored, from the header alone; None if it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception:  # the size only orders the work; reading reports what is wrong
        return None


def read_mask(path: str | os.PathLike, convention: str = "white_hole") -> np.ndarray:
    """[H, W, 1] float32 mask of a file, 1 = hole; any encoding, see `images.to_mask`.

    Raises:
      ImageFileError: the file cannot be read, or has no alpha though `convention` is
        "alpha".
    """
    pixels = read_image(path).pixels
    try:
        return images.to_mask(pixels, convention=convention)
    except ValueError as error:
        raise ImageFileError(f"{path}: {error}") from error


def write_image(
    path: str | os.PathLike, image: ImageFile, *, format: str | None = None
) -> None:
    """Writes pixels, profile and EXIF, lossless except as JPEG, all or nothing.

    Args:
      path: file to make or replace; its suffix is not consulted.
      image: what to write.
      format: one of `FORMATS`; None takes `image.format`.

    Raises:
      ImageFileError: if the format cannot hold the pixels, or the disk refuses.
    """
    format = format or image.format
    if format not in FORMATS:
        raise ImageFileError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    _check_fits(image.pixels, format)
    data = _encode(image, format)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ImageFileError(f"{path} cannot be written: {error}") from error


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary neighbour of `path` to write to; it takes the name on success."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _decode(data: bytes, name: str) -> ImageFile:
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        deep = deep_files.decode_tiff(data)
        if deep is not None:
            pixels, orientation, icc_profile = deep
            return ImageFile(orient(pixels, orientation), "tiff", icc_profile)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        kind = (image.format or "").lower()
        kind = "jpeg" if kind == "mpo" else kind
        if kind not in FORMATS:
            raise ImageFileError(f"{name} is a {kind.upper()} file; convert it to PNG")
        if getattr(image, "n_frames", 1) > 1 and kind != "jpeg":
            images.warn(f"{name} holds {image.n_frames} frames; the first one is used")
        orientation = image.getexif().get(_ORIENTATION, 1)
        if kind == "png" and deep_files.is_deep_png(data):
            pixels = orient(deep_files.decode_png(data), orientation)
        else:
            pixels = None
        upright = ImageOps.exif_transpose(image)
        exif = upright.info.get("exif")
        icc_profile = image.info.get("icc_profile")
    if pixels is None:
        pixels, icc_profile = _to_pixels(upright, icc_profile)
    return ImageFile(pixels, kind, icc_profile, exif)


def _to_pixels(image: Image.Image, icc_profile: bytes | None):
    """The array of an upright Pillow image, and the profile that still describes it."""
    if image.mode == "CMYK" and icc_profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            target = ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    if image.mode in _TO_RGB:
        image = image.convert("RGB")
    if image.mode == "RGB" and icc_profile and _channels_of(icc_profile) != "RGB ":
        icc_profile = None  # the profile of the colours we have just converted from
    if image.mode in _TO_RGBA:
        image = image.convert("RGBA")
    elif image.mode in ("P", "RGB"):  # PNG may name one colour as transparent
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("L", "La"):
        image = image.convert("LA" if image.has_transparency_data else "L")
    elif image.mode == "1":
        image = image.convert("L")
    pixels = np.asarray(image)
    if pixels.dtype == np.int32 and pixels.min() >= 0 and pixels.max() <= 65535:
        pixels = pixels.astype(np.uint16)
    if pixels.dtype.kind == "u":
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f"its pixels are {pixels.dtype}, not 8 or 16 bits")
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return np.ascontiguousarray(pixels), icc_profile


def _channels_of(icc_profile: bytes) -> str:
    """The colour space signature in the header of an ICC profile, as "RGB "."""
    return icc_profile[16:20].decode("ascii", "replace")


def orient(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[H, W, C] turned and mirrored upright, as the EXIF tag 1..8 says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _check_fits(pixels: np.ndarray, format: str) -> None:
    """Raises if a format cannot hold these pixels."""
    alpha = pixels.shape[-1] in (2, 4)
    if pixels.dtype != np.uint8 and format not in ("png", "tiff"):
        raise ImageFileError(
            f"{format} holds 8 bits, not {pixels.dtype}; use png or tiff"
        )
    if pixels.dtype.kind == "f" and format == "png":
        raise ImageFileError("png holds 8 or 16 bits, not float pixels; use tiff")
    if alpha and format in ("jpeg", "bmp"):
        raise ImageFileError(
            f"{format} cannot hold transparency; use png, webp or tiff"
        )


def _encode(image: ImageFile, format: str) -> bytes:
    pixels = image.pixels
    if pixels.dtype != np.uint8 and format == "tiff":
        return deep_files.encode_tiff(pixels, icc_profile=image.icc_profile)
    if pixels.dtype == np.uint16:
        return deep_files.encode_png(
            pixels, icc_profile=image.icc_profile, exif=image.exif
        )
    options: dict = {
        "png": {"compress_level": 6},
        "jpeg": {"quality": JPEG_QUALITY, "subsampling": 0},
        "webp": {"lossless": True, "exact": True},  # exact: colours under alpha 0 too
        "tiff": {"compression": "tiff_adobe_deflate"},
        "bmp": {},
    }[format]
    if image.icc_profile and format != "bmp":
        options["icc_profile"] = image.icc_profile
    if image.exif and format not in ("bmp", "tiff"):
        options["exif"] = image.exif
    buffer = io.BytesIO()
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    Image.fromarray(squeezed).save(buffer, format=format, **options)
    return buffer.getvalue()
