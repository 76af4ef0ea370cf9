"""Users' arrays through the door and back."""

import numpy as np
import pytest

from inpainting_jax.evaluation import door

RNG = np.random.default_rng(0)
SIZES = [(1, 1), (7, 5), (31, 64), (5, 300), (257, 513)]
LAYOUTS = {
    "HW": ((), ()),
    "HW1": ((), (1,)),
    "HW2": ((), (2,)),
    "HW3": ((), (3,)),
    "HW4": ((), (4,)),
    "BHW": ((2,), ()),
    "BHW1": ((2,), (1,)),
    "BHW3": ((2,), (3,)),
    "BHW4": ((2,), (4,)),
}


def pixels(shape, dtype):
    """Random pixels over the whole range."""
    values = RNG.random(shape)
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def some_hole(height, width):
    """A hole of about a sixth, empty where the image is one pixel."""
    hole = np.zeros((height, width), bool)
    hole[height // 3 : 2 * height // 3, width // 4 : 3 * width // 4] = True
    return hole


@pytest.mark.filterwarnings("ignore:the hole of image")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES)
def test_known_pixels_alpha_dtype_and_shape_come_back(size, layout, dtype):
    batch, channels = LAYOUTS[layout]
    image = pixels((*batch, *size, *channels), dtype)
    before = image.copy()
    hole = some_hole(*size)
    prepared = door.prepare(image, hole)
    count = batch[0] if batch else 1
    assert prepared.image.shape == (count, *size, 3)
    assert prepared.image.dtype == prepared.mask.dtype == np.float32
    assert prepared.is_batch == bool(batch)
    assert (prepared.image[:, hole] == 0).all()
    result = door.restore(prepared, np.full_like(prepared.image, 0.5))
    assert result.dtype == image.dtype and result.shape == image.shape
    np.testing.assert_array_equal(image, before)  # the caller's array is left alone
    known = ~hole
    as_batch = (count, *size, *(channels or (1,)))
    result, image = result.reshape(as_batch), image.reshape(as_batch)
    np.testing.assert_array_equal(result[:, known], image[:, known])
    colours = as_batch[-1] - (as_batch[-1] in (2, 4))
    np.testing.assert_array_equal(result[..., colours:], image[..., colours:])
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    filled = result[:, hole][..., :colours]
    np.testing.assert_allclose(filled, 0.75 * top, atol=0.5 if top > 1 else 1e-6)


def test_grey_batches_and_small_widths_are_told_apart_by_the_mask():
    image = pixels((5, 6, 3), np.uint8)
    assert door.prepare(image, np.eye(5, 6)).source.shape == (1, 5, 6, 3)
    masks = np.zeros((5, 6, 3))
    masks[:, 0, 0] = 1
    assert door.prepare(image, masks).source.shape == (5, 6, 3, 1)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (2, 4, 6), (2, 4, 6, 1)])
def test_masks_of_any_type_and_layout(kind, shape):
    mask = np.zeros(shape, kind)
    mask.reshape(-1, 4, 6)[:, 1, 2] = 1
    prepared = door.prepare(pixels((2, 4, 6, 3), np.uint8), mask)
    assert prepared.mask.shape == (2, 4, 6, 1)
    assert prepared.mask.sum() == 2 and (prepared.mask[:, 1, 2] == 1).all()


def test_each_image_of_a_batch_has_its_own_mask():
    mask = np.zeros((2, 4, 6))
    mask[0, 0, 0] = mask[1, 3, 5] = 1
    prepared = door.prepare(pixels((2, 4, 6, 3), np.uint8), mask)
    np.testing.assert_array_equal(prepared.mask[..., 0], mask)


def test_nan_is_welcome_in_the_hole_and_named_elsewhere():
    image = pixels((2, 4, 6, 3), np.float32)
    hole = np.zeros((4, 6), bool)
    hole[1, 2] = True
    image[:, 1, 2] = np.nan
    assert np.isfinite(door.prepare(image, hole).image).all()
    image[1, 3, 4, 0] = np.inf
    image[1, 3, 5, 0] = np.nan
    message = r"2 known.*image 1 at row 3, column 4.*mark them.*nan_to_num"
    with pytest.raises(ValueError, match=message):
        door.prepare(image, hole)


@pytest.mark.filterwarnings("ignore:the hole of image")
@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.zeros((4, 6)), np.zeros((6, 4)), r"image is 4x6 .* mask is 6x4; resize"),
        (np.zeros((4, 6, 3)), np.zeros((8, 12, 1)), r"4x6.*8x12"),
        (np.zeros((2, 4, 6, 3)), np.zeros((3, 4, 6)), r"2 image\(s\) of 4x6"),
        (np.full((4, 6), 200.0), np.zeros((4, 6)), r"\[0, 1\].*200.*divide"),
        (np.full((4, 6), -1.0), np.zeros((4, 6)), r"\[0, 1\]"),
        (np.zeros((4, 6), np.int64), np.zeros((4, 6)), "int64.*use uint8, uint16"),
        (np.zeros((4, 6, 7, 5)), np.zeros((4, 6)), "got shape"),
        (np.zeros(4), np.zeros(4), "got shape"),
        (np.zeros((0, 6)), np.zeros((0, 6)), "empty"),
    ],
)
def test_what_cannot_be_used_is_named_with_a_remedy(image, mask, message):
    with pytest.raises(ValueError, match=message):
        door.prepare(image, mask)


def test_empty_large_and_full_holes():
    image = np.zeros((2, 8, 8, 3), np.uint8)
    mask = np.zeros((2, 8, 8))
    mask[0, :4] = 1
    with pytest.warns(UserWarning, match=r"image 1 is empty.*--mask_convention="):
        door.prepare(image, mask)
    mask[1, :7] = 1
    with pytest.warns(UserWarning, match=r"88%? of image 1.*--mask_convention=black"):
        door.prepare(image, mask)
    mask[1] = 1
    with pytest.raises(ValueError, match=r"100 % of image 1.*--mask_convention=black"):
        door.prepare(image, mask)
    flipped = door.prepare(image[0], 1 - mask[0], mask_convention="black_hole")
    np.testing.assert_array_equal(flipped.mask[0, ..., 0], mask[0])


def test_dilation_grows_a_disc():
    mask = np.zeros((9, 9))
    mask[4, 4] = 1
    prepared = door.prepare(np.zeros((9, 9), np.uint8), mask, dilate=2)
    rows, columns = np.mgrid[-4:5, -4:5]
    assert prepared.mask[0, 4, 2, 0] == 1 and prepared.mask[0, 2, 2, 0] == 0
    reach = np.maximum(abs(rows), abs(columns))[prepared.mask[0, ..., 0] > 0].max()
    assert reach == 2
    with pytest.raises(ValueError, match="dilate"):
        door.prepare(np.zeros((9, 9), np.uint8), mask, dilate=-1)


def test_guides_are_confined_to_the_hole():
    hole = some_hole(6, 8)
    prepared = door.prepare(np.zeros((2, 6, 8, 3), np.uint8), hole)
    assert door.prepare_guide(None, prepared, 0) is None
    for lines in (np.ones((6, 8), bool), np.full((6, 8), 255, np.uint8)):
        guide = door.prepare_guide(lines, prepared, 1)
        assert guide.shape == (1, 6, 8, 1) or guide.shape == (2, 6, 8, 1)
        np.testing.assert_array_equal(
            guide, np.broadcast_to(hole[..., None], guide.shape)
        )
    colours = door.prepare_guide(np.ones((2, 6, 8, 3), np.float32), prepared, 3)
    assert colours.shape == (2, 6, 8, 3)
    with pytest.raises(ValueError, match="takes no guide"):
        door.prepare_guide(hole, prepared, 0)
    with pytest.raises(ValueError, match="guide is 5x8 but the image is 6x8"):
        door.prepare_guide(np.zeros((5, 8)), prepared, 1)
    with pytest.raises(ValueError, match=r"3 channel\(s\)"):
        door.prepare_guide(np.zeros((2, 6, 8, 3)), prepared, 1)
