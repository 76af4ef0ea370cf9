"""Every kind of image file becomes upright 8-bit RGB, or an error that names it."""

import io
import pickle

import numpy as np
import pytest
import tifffile
from PIL import Image

from inpainting_jax.data import decode

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encoded(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(values):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="rgb")
    return buffer.getvalue()


def over_white(rgba):
    share = rgba[..., 3:].astype(np.float64) / 255
    return np.round(rgba[..., :3] * share + 255 * (1 - share)).astype(np.uint8)


GREY = RGB[..., 0]
RGBA = np.concatenate([RGB, RGB[..., :1]], axis=-1)
PALETTE = Image.fromarray(RGB).quantize(16)
CASES = {
    "png": (encoded(RGB), RGB),
    "bmp": (encoded(RGB, "BMP"), RGB),
    "webp": (encoded(RGB, "WEBP", lossless=True), RGB),
    "tiff": (encoded(RGB, "TIFF"), RGB),
    "grey": (encoded(GREY), np.stack([GREY] * 3, -1)),
    "grey 16-bit": (encoded(GREY.astype(np.uint16) * 257), np.stack([GREY] * 3, -1)),
    "RGB 16-bit": (tiff(RGB.astype(np.uint16) * 257), RGB),
    "float": (tiff(RGB.astype(np.float32) / 255), RGB),
    "alpha": (encoded(RGBA), over_white(RGBA)),
    "palette": (encoded(PALETTE), np.array(PALETTE.convert("RGB"))),
    "one bit": (encoded(Image.fromarray(GREY > 99)), (GREY > 99)[..., None] * 255),
}


@pytest.mark.parametrize("kind", CASES)
def test_every_kind_of_file_becomes_rgb(kind):
    data, expected = CASES[kind]
    image = decode.decode(data, kind)
    assert image.dtype == np.uint8 and image.shape == (6, 9, 3)
    np.testing.assert_array_equal(image, np.broadcast_to(expected, image.shape))


def test_cmyk_becomes_rgb_of_about_the_same_colour():
    flat = np.full((8, 8, 3), (200, 90, 30), np.uint8)
    data = encoded(Image.fromarray(flat).convert("CMYK"), "JPEG", quality=95)
    np.testing.assert_allclose(decode.decode(data, "cmyk"), flat, atol=6)


def test_the_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[274] = 6  # stored lying on its left side
    image = decode.decode(encoded(RGB, "PNG", exif=exif), "turned")
    np.testing.assert_array_equal(image, np.rot90(RGB, -1))


@pytest.mark.parametrize("data", [b"", b"text", encoded(RGB)[:-30]])
def test_damaged_bytes_name_the_image_and_the_way_to_find_all(data):
    with pytest.raises(decode.BadImageError, match=r"rose\.png.*launch\.prepare"):
        decode.decode(data, "rose.png")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(decode.BadImageError, match=r"gone\.png is missing"):
        decode.read(tmp_path / "gone.png")


def test_the_error_survives_the_way_between_processes():
    with pytest.raises(decode.BadImageError) as caught:
        decode.decode(b"", "rose.png")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is decode.BadImageError and str(copy) == str(caught.value)
