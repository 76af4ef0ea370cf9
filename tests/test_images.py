"""Value ranges, masks, compositing and padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import images


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_survive_the_way_to_signed_and_back(dtype):
    levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    signed = images.to_signed(levels)
    assert signed.dtype == np.float32
    assert signed[0] == -1 and signed[-1] == 1
    np.testing.assert_array_equal(images.from_signed(signed, dtype), levels)
    on_device = images.to_signed(jnp.asarray(levels))
    # XLA multiplies by the reciprocal: one unit in the last place
    np.testing.assert_allclose(on_device, signed, atol=1.2e-7)


def test_floats_and_units():
    unit = np.array([0, 0.25, 1], np.float32)
    np.testing.assert_allclose(images.to_signed(unit), [-1, -0.5, 1])
    np.testing.assert_allclose(images.to_unit(images.to_signed(unit)), unit)
    np.testing.assert_allclose(images.to_unit(np.array([0, 255], np.uint8)), [0, 1])
    np.testing.assert_allclose(images.from_signed(np.float32([-3, 3]), float), [0, 1])


def test_an_integer_without_a_range_is_refused():
    with pytest.raises(ValueError, match="int32"):
        images.to_signed(np.zeros(3, np.int32))


def test_nan_in_the_hole_does_not_leak(key):
    image = jax.random.uniform(key, (1, 4, 4, 3)).at[0, 1, 1].set(jnp.nan)
    mask = jnp.zeros((1, 4, 4, 1)).at[0, 1, 1].set(1)
    with jax.numpy_dtype_promotion("strict"):
        masked = images.mask_image(image, mask)
        completed = images.composite(image, jnp.zeros_like(image), mask)
    assert (masked[0, 1, 1] == 0).all() and jnp.isfinite(masked).all()
    assert jnp.isfinite(completed).all()
    assert (completed == masked).all()
    gradient = jax.grad(lambda x: images.mask_image(x, mask).sum())(image)
    np.testing.assert_array_equal(gradient, 1 - jnp.broadcast_to(mask, image.shape))


HOLE = np.array([[0, 1], [1, 0]], bool)
WHITE_MASKS = {
    "bool": HOLE,
    "0/1 int": HOLE.astype(np.int64),
    "0/1 uint8": HOLE.astype(np.uint8),
    "0/255": HOLE * np.uint8(255),
    "16-bit": HOLE * np.uint16(65535),
    "0/255 in 16 bits": HOLE * np.uint16(255),
    "float": HOLE.astype(np.float32),
    "float 0..255": HOLE * 255.0,
    "grey edges": np.where(HOLE, 200, 90).astype(np.uint8),
}


@pytest.mark.parametrize("values", WHITE_MASKS.values(), ids=WHITE_MASKS)
def test_white_is_the_hole_in_every_encoding(values):
    expected = HOLE[..., None].astype(np.float32)
    mask = images.to_mask(values[..., None])
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, expected)
    flipped = images.to_mask(values[..., None], convention="black_hole")
    np.testing.assert_array_equal(flipped, 1 - expected)


def test_colours_and_opacity_make_a_mask():
    white = HOLE[..., None] * np.uint8(255)
    full = np.full_like(white, 255)
    none = np.zeros_like(white)
    table = {
        "RGB": [white, white, white],
        "red strokes": [white, none, none],
        "RGBA, opaque": [white, white, white, full],
        "LA, opaque": [white, full],
        "black strokes on an empty layer": [none, none, none, white],
        "white strokes on an empty layer": [full, full, full, white],
        "red strokes on an empty layer": [full, none, none, white],
        "opaque red strokes, rest white": [white, full, full, white],
        "LA strokes": [none, white],
    }
    for name, channels in table.items():
        mask = images.to_mask(np.concatenate(channels, axis=-1))
        np.testing.assert_array_equal(mask[..., 0], HOLE, err_msg=name)
    erased = np.concatenate([full, none, full, 255 - white], axis=-1)
    mask = images.to_mask(erased, convention="alpha")
    np.testing.assert_array_equal(mask[..., 0], HOLE)


@pytest.mark.parametrize(
    ("values", "convention", "message"),
    [
        (np.zeros((2, 2, 1)), "white", "white_hole, black_hole, alpha"),
        (np.zeros((2, 2, 3)), "alpha", "no alpha|needs a mask with an alpha channel"),
        (np.full((2, 2, 1), -1), "white_hole", "negative"),
        (np.full((2, 2, 1), np.nan), "white_hole", "NaN"),
        (np.zeros((2, 2, 5)), "white_hole", "1 to 4 channels"),
    ],
)
def test_masks_that_cannot_be_read_say_why(values, convention, message):
    with pytest.raises(ValueError, match=message):
        images.to_mask(values, convention=convention)


@pytest.mark.parametrize("size", [1, 7, 8, 63, 128, 129, 257, 1000, 2048, 5000])
def test_padded_sizes_fit_and_recur(size):
    exact = images.padded_size(size, 8, 16, coarse=False)
    assert exact % 8 == 0 and max(size, 16) <= exact < max(size, 16) + 8
    coarse = images.padded_size(size, 8, 16)
    assert coarse % 8 == 0 and coarse >= exact
    assert coarse <= exact * 9 / 8


def test_few_padded_sizes_serve_many_images():
    assert len({images.padded_size(n, 8) for n in range(64, 2049)}) <= 50
    assert [images.padded_size(n, 8) for n in (64, 128, 256, 512)] == [
        64,
        128,
        256,
        512,
    ]


def test_padding_reflects_or_repeats_the_edge():
    row = np.arange(3, dtype=np.float32).reshape(1, 1, 3, 1)
    padded = images.pad(row, 2, 5)
    np.testing.assert_array_equal(padded[0, :, :, 0], [[0, 1, 2, 1, 0]] * 2)
    padded = images.pad(row, 1, 6)  # a reflection needs more than three pixels
    np.testing.assert_array_equal(padded[0, 0, :, 0], [0, 1, 2, 2, 2, 2])
    assert images.pad(row, 1, 3) is row


def test_warnings_point_at_the_caller():
    with pytest.warns(UserWarning, match="hello") as caught:
        images.warn("hello")
    assert caught[0].filename == __file__


def test_interleaved_batches_come_apart_again():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    both = images.interleave(first, second)
    assert np.array_equal(both[4], first[2]) and np.array_equal(both[5], second[2])
    # A network may have changed everything but the number of samples.
    logits = both.reshape(6, -1).sum(axis=1)
    for found, one in zip(images.separate(logits), (first, second), strict=True):
        np.testing.assert_allclose(found, one.sum(axis=(1, 2, 3)), rtol=1e-5)
