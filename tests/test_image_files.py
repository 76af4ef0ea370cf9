"""Reading and writing image and mask files."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from inpainting_jax import image_files
from inpainting_jax.image_files import ImageFile, ImageFileError, read_image, read_mask

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RNG = np.random.default_rng(0)


def noise(dtype, channels, height=9, width=11):
    """Random pixels over the whole range."""
    values = RNG.random((height, width, channels))
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


LOSSLESS = [
    *[(np.uint8, channels, "png") for channels in (1, 2, 3, 4)],
    *[(np.uint16, channels, "png") for channels in (1, 2, 3, 4)],
    *[(np.uint8, channels, "tiff") for channels in (1, 2, 3, 4)],
    *[(np.uint16, channels, "tiff") for channels in (1, 2, 3, 4)],
    *[(np.float32, channels, "tiff") for channels in (1, 3, 4)],
    *[(np.uint8, channels, "bmp") for channels in (1, 3)],
    *[(np.uint8, channels, "webp") for channels in (3, 4)],
]


@pytest.mark.parametrize(("dtype", "channels", "form"), LOSSLESS)
def test_what_is_written_is_read_back(tmp_path, dtype, channels, form):
    pixels = noise(dtype, channels)
    if channels in (2, 4):
        pixels[:3, :, -1] = 0  # the colours of what cannot be seen are kept as well
    path = tmp_path / "image"  # the content decides, not the suffix
    image_files.write_image(path, ImageFile(pixels, form, icc_profile=ICC))
    back = read_image(path)
    assert back.format == form
    assert back.pixels.dtype == dtype
    np.testing.assert_array_equal(back.pixels, pixels)
    if form != "bmp" and channels > 2:
        assert back.icc_profile == ICC


def test_jpeg_is_close_and_keeps_profile_and_exif(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a title"
    smooth = np.tile(
        np.linspace(0, 255, 32).astype(np.uint8)[:, None, None], (1, 16, 3)
    )
    image = ImageFile(smooth, "jpeg", ICC, exif.tobytes())
    image_files.write_image(tmp_path / "a.jpg", image)
    back = read_image(tmp_path / "a.jpg")
    assert np.abs(back.pixels.astype(int) - smooth).max() <= 3
    assert back.icc_profile == ICC
    assert Image.open(tmp_path / "a.jpg").getexif()[0x010E] == "a title"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_exif_orientation_is_honoured_once(tmp_path, orientation, deep):
    upright = noise(np.uint8, 3, 4, 6)
    exif = Image.Exif()
    exif[274] = orientation
    exif[0x010E] = "a title"
    stored = undo_orientation(upright, orientation)
    if deep:
        image = ImageFile(stored * np.uint16(257), "png", None, exif.tobytes())
        image_files.write_image(tmp_path / "a.png", image)
        upright = upright * np.uint16(257)
    else:
        Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels, upright)
    image_files.write_image(tmp_path / "b.png", image)
    again = read_image(tmp_path / "b.png")
    np.testing.assert_array_equal(again.pixels, upright)
    assert Image.open(tmp_path / "b.png").getexif()[0x010E] == "a title"


def undo_orientation(upright, orientation):
    """The stored pixels of which Pillow makes `upright`, by Pillow's own table."""
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    image = Image.fromarray(upright)
    return np.asarray(image.transpose(method) if method is not None else image)


def test_rare_modes_are_converted(tmp_path):
    rgb = noise(np.uint8, 3)
    image = Image.fromarray(rgb)
    palette = image.quantize(16)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(
        read_image(tmp_path / "p.png").pixels, np.asarray(palette.convert("RGB"))
    )
    palette.save(tmp_path / "pt.png", transparency=3)
    assert read_image(tmp_path / "pt.png").pixels.shape == (9, 11, 4)
    one_bit = rgb[..., 0] > 127
    Image.fromarray(one_bit).save(tmp_path / "1.png")
    np.testing.assert_array_equal(
        read_image(tmp_path / "1.png").pixels[..., 0], one_bit * np.uint8(255)
    )
    for form in ("jpeg", "tiff"):
        image.convert("CMYK").save(tmp_path / "cmyk", form, icc_profile=b"x" * 128)
        back = read_image(tmp_path / "cmyk")
        assert back.pixels.shape == (9, 11, 3)
        assert back.icc_profile is None


def test_deep_tiffs_of_other_writers(tmp_path):
    import cv2

    pixels = noise(np.uint16, 3)
    _, data = cv2.imencode(".tif", pixels[..., ::-1])  # LZW, of which tifffile has none
    (tmp_path / "lzw.tif").write_bytes(data.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "lzw.tif").pixels, pixels)
    planes = np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(
        tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate"
    )
    np.testing.assert_array_equal(read_image(tmp_path / "planes.tif").pixels, pixels)
    turned = [(274, "H", 1, 6, True)]
    tifffile.imwrite(
        tmp_path / "t.tif", np.rot90(pixels), photometric="rgb", extratags=turned
    )
    np.testing.assert_array_equal(read_image(tmp_path / "t.tif").pixels, pixels)
    tifffile.imwrite(tmp_path / "w.tif", pixels[..., 0], photometric="miniswhite")
    inverted = read_image(tmp_path / "w.tif").pixels[..., 0]
    np.testing.assert_array_equal(inverted, 65535 - pixels[..., 0])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"])
def test_damaged_files_are_named_with_a_remedy(tmp_path, name):
    form = image_files.SUFFIXES[name[1:]]
    image_files.write_image(
        tmp_path / name, ImageFile(noise(np.uint8, 3, 64, 64), form)
    )
    data = (tmp_path / name).read_bytes()
    for damaged in (data[: len(data) // 2], data[:10], b"", b"no image at all"):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(
            ImageFileError, match=rf"{name} cannot be read.*save it again"
        ):
            read_image(tmp_path / name)


def test_a_truncated_16_bit_png_is_noticed(tmp_path):
    path = tmp_path / "a.png"
    image_files.write_image(path, ImageFile(noise(np.uint16, 3, 64, 64), "png"))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ImageFileError, match="cannot be read"):
        read_image(path)


def test_missing_files_folders_and_other_kinds(tmp_path):
    with pytest.raises(ImageFileError, match=r"gone\.png is missing"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageFileError, match="is a folder"):
        read_image(tmp_path)
    Image.fromarray(noise(np.uint8, 3)).save(tmp_path / "a.gif")
    with pytest.raises(ImageFileError, match="GIF file; convert it to PNG"):
        read_image(tmp_path / "a.gif")


@pytest.mark.parametrize(
    ("dtype", "channels", "form", "message"),
    [
        (np.uint16, 3, "jpeg", "8 bits.*use png or tiff"),
        (np.uint16, 3, "webp", "8 bits"),
        (np.uint8, 4, "jpeg", "transparency"),
        (np.uint8, 4, "bmp", "transparency"),
        (np.float32, 3, "png", "use tiff"),
        (np.uint8, 3, "gif", "png, jpeg, webp, tiff, bmp"),
    ],
)
def test_formats_that_cannot_hold_the_pixels(tmp_path, dtype, channels, form, message):
    with pytest.raises(ImageFileError, match=message):
        image_files.write_image(tmp_path / "a", ImageFile(noise(dtype, channels), form))
    assert not list(tmp_path.iterdir())


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def half(self, data):
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", half)
    with pytest.raises(ImageFileError, match=r"a\.png cannot be written.*No space"):
        image_files.write_image(path, ImageFile(noise(np.uint8, 3), "png"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"old"


HOLE = np.zeros((8, 10), bool)
HOLE[2:5, 3:9] = True
WHITE = HOLE * np.uint8(255)


def saved(image, form="PNG", **options):
    """The bytes of a Pillow image."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def strokes(mode, colour):
    """Opaque strokes of one colour on an empty layer."""
    layer = np.zeros((8, 10, len(mode)), np.uint8)
    layer[HOLE] = (*colour, 255)
    return Image.fromarray(layer)


MASK_FILES = {
    "L": saved(Image.fromarray(WHITE)),
    "0/1": saved(Image.fromarray(HOLE.astype(np.uint8))),
    "1-bit": saved(Image.fromarray(HOLE)),
    "16-bit": saved(Image.fromarray(HOLE * np.uint16(65535))),
    "RGB": saved(Image.fromarray(WHITE).convert("RGB")),
    "RGBA": saved(Image.fromarray(WHITE).convert("RGBA")),
    "LA": saved(Image.fromarray(WHITE).convert("LA")),
    "palette": saved(Image.fromarray(WHITE).convert("RGB").quantize(2)),
    "RGBA strokes": saved(strokes("RGBA", (255, 0, 0))),
    "LA strokes": saved(strokes("LA", (0,))),
    "BMP": saved(Image.fromarray(WHITE), "BMP"),
    "TIFF": saved(Image.fromarray(WHITE), "TIFF"),
    "WebP": saved(Image.fromarray(WHITE), "WEBP", lossless=True),
    "JPEG": saved(Image.fromarray(WHITE), "JPEG", quality=95),
}


@pytest.mark.parametrize("data", MASK_FILES.values(), ids=MASK_FILES)
def test_every_mask_file_reads_the_same(tmp_path, data):
    path = tmp_path / "mask"
    path.write_bytes(data)
    mask = read_mask(path)
    assert mask.shape == (8, 10, 1) and mask.dtype == np.float32
    np.testing.assert_array_equal(mask[..., 0], HOLE)
    np.testing.assert_array_equal(read_mask(path, "black_hole")[..., 0], ~HOLE)


def test_an_erased_picture_is_a_mask_by_its_alpha(tmp_path):
    pixels = np.concatenate(
        [noise(np.uint8, 3, 8, 10), 255 - WHITE[..., None]], axis=-1
    )
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", "alpha")[..., 0], HOLE)
    Image.fromarray(pixels[..., :3]).save(tmp_path / "b.png")
    with pytest.raises(ImageFileError, match=r"b\.png.*alpha channel.*white_hole"):
        read_mask(tmp_path / "b.png", "alpha")


def test_sizes_are_read_from_the_header(tmp_path):
    Image.fromarray(noise(np.uint8, 3)).save(tmp_path / "a.png")
    assert image_files.read_size(tmp_path / "a.png") == (9, 11)
    assert image_files.read_size(tmp_path / "gone.png") is None
