"""PNG and TIFF data of 16-bit or float samples, which Pillow cannot hold in colour.

OpenCV decodes PNG, tifffile decodes and encodes TIFF (OpenCV where a codec is missing),
and the PNG encoder is here: OpenCV's writes no colour profile and no grey with alpha.
"""

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile

_ORIENTATION = 274  # TIFF tags
_ICC_PROFILE = 34675
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type, PNG spec 11.2.2


def is_deep_png(data: bytes) -> bool:
    """Whether PNG data has 16 bits and more than one channel (Pillow reads grey)."""
    return data[24] == 16 and data[25] != 0  # bit depth and colour type in IHDR


def decode_png(data: bytes) -> np.ndarray:
    """[H, W, C] uint16 pixels of 16-bit PNG data, as stored (not turned upright)."""
    pixels = _decode_opencv(data)
    if data[25] == _COLOUR_TYPES[2] and pixels.shape[-1] == 4:
        return pixels[..., [0, 3]]
    return pixels


def encode_png(
    pixels: np.ndarray,
    *,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """The bytes of a PNG file of [H, W, C] uint16 pixels, C = 1 to 4.

    Every row is filtered as the difference to the row above, which suits photographs.
    """
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels, ">u2").view(np.uint8).reshape(height, -1)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    up_filter = np.full((height, 1), 2, np.uint8)
    data = np.concatenate([up_filter, rows - above], axis=1)  # wraps modulo 256
    kind = _COLOUR_TYPES[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    if icc_profile:
        chunks.append(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc_profile)))
    if exif:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks.append(_chunk(b"IDAT", zlib.compress(data.tobytes(), 6)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def decode_tiff(data: bytes) -> tuple[np.ndarray, int, bytes | None] | None:
    """Pixels [H, W, C], EXIF orientation and profile of a TIFF's first page.

    None if the samples are of another kind than uint16 and float32, which Pillow reads.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        if page.dtype not in (np.uint16, np.float32):
            return None
        tags = page.tags
        orientation = tags[_ORIENTATION].value if _ORIENTATION in tags else 1
        icc_profile = bytes(tags[_ICC_PROFILE].value) if _ICC_PROFILE in tags else None
        try:
            pixels = page.asarray()
        except (ValueError, KeyError):  # no codec in tifffile for the compression: LZW
            return _decode_opencv(data), orientation, icc_profile
        planar = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    pixels = np.moveaxis(pixels, 0, -1) if planar and pixels.ndim == 3 else pixels
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[-1] > 4:
        raise ValueError(f"its pages have shape {pixels.shape}, not 1 to 4 channels")
    top = 65535 if pixels.dtype == np.uint16 else 1
    return (top - pixels if inverted else pixels), orientation, icc_profile


def encode_tiff(pixels: np.ndarray, *, icc_profile: bytes | None = None) -> bytes:
    """The bytes of a compressed TIFF file of [H, W, C] uint16 or float32 pixels."""
    channels = pixels.shape[-1]
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels if channels > 1 else pixels[..., 0],
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        metadata=None,
        iccprofile=icc_profile,
    )
    return buffer.getvalue()


def _decode_opencv(data: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("its data cannot be decoded")
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}  # OpenCV keeps blue first
    return pixels[..., order.get(pixels.shape[-1], slice(None))]
