"""L1, L2, PSNR and total variation: hand-computed values, corners, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import metrics

PAIRWISE = [metrics.l1, metrics.l2, metrics.psnr, metrics.relative_l1]


@pytest.fixture
def pair():
    """Two different random images [2, 12, 14, 3], and holes of 15 and 0 pixels."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (2, 2, 12, 14, 3)).astype(np.float32)
    mask = np.zeros((2, 12, 14, 1), np.float32)
    mask[0, 3:6, 2:7] = 1
    return a, b, mask


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


def test_one_pixel_off_by_a_half_in_one_channel():
    a = np.zeros((1, 4, 5, 3), np.float32)
    b = a.copy()
    b[0, 1, 2, 0] = 0.5
    assert metrics.l1(a, b) == pytest.approx(0.5 / 60)
    assert metrics.l2(a, b) == pytest.approx(0.25 / 60)
    assert metrics.psnr(a, b) == pytest.approx(-10 * np.log10(0.25 / 60), abs=1e-5)
    mask = np.zeros((1, 4, 5, 1), np.float32)
    mask[0, 1, 2:4] = 1
    assert metrics.l1(a, b, mask) == pytest.approx(0.5 / 6)
    assert metrics.relative_l1(a, b) == pytest.approx(1.0)


def test_black_and_white_are_as_far_as_it_goes():
    black, white = (
        np.zeros((1, 3, 3, 3), np.uint8),
        np.full((1, 3, 3, 3), 255, np.uint8),
    )
    assert metrics.l1(black, white) == 1
    assert metrics.l2(black, white) == 1
    assert metrics.psnr(black, white) == 0
    assert metrics.relative_l1(black, black) == 0


@pytest.mark.parametrize(("offset", "decibel"), [(0.1, 20.0), (0.5, 6.0206)])
def test_a_constant_offset_has_a_known_psnr(offset, decibel):
    a = np.full((1, 8, 8, 3), 0.2, np.float32)
    assert metrics.psnr(a, a + np.float32(offset)) == pytest.approx(decibel, abs=1e-4)


def test_identical_images_have_exactly_100_decibels_and_a_finite_gradient(pair):
    a = jnp.asarray(pair[0])
    np.testing.assert_array_equal(metrics.psnr(a, a), 100.0)
    levels = (pair[0] * 255).astype(np.uint8)
    np.testing.assert_array_equal(jax.jit(metrics.l1)(levels, levels), 0.0)
    slope = jax.grad(lambda x: metrics.psnr(x, a).sum())(a)
    assert np.isfinite(slope).all()


def test_the_whole_image_follows_from_the_hole_of_a_composite(pair):
    a, b, mask = pair
    composite = np.where(mask > 0, b, a)[:1]
    a, mask = a[:1], mask[:1]
    ratio = mask.mean()
    for metric in (metrics.l1, metrics.l2):
        whole, hole = metric(composite, a), metric(composite, a, mask)
        np.testing.assert_allclose(whole, ratio * hole, rtol=1e-6)
    whole, hole = metrics.psnr(composite, a), metrics.psnr(composite, a, mask)
    np.testing.assert_allclose(whole, hole - 10 * np.log10(ratio), rtol=1e-5)


@pytest.mark.parametrize("metric", PAIRWISE)
def test_an_empty_hole_is_not_a_number_and_spoils_no_neighbour(pair, metric):
    value = metric(*pair)
    assert np.isfinite(value[0])
    assert np.isnan(value[1])


@pytest.mark.parametrize("metric", PAIRWISE)
def test_metrics_are_symmetric_and_blind_to_flips(pair, metric):
    a, b, _ = pair
    np.testing.assert_allclose(metric(a, b), metric(b, a), rtol=1e-6)
    np.testing.assert_allclose(metric(a, b), metric(a[:, ::-1], b[:, ::-1]), rtol=1e-6)


def test_bytes_equal_floats_over_255(pair):
    a, b = (np.round(x * 255).astype(np.uint8) for x in pair[:2])
    floats = (x.astype(np.float32) / np.float32(255) for x in (a, b))
    np.testing.assert_allclose(metrics.l1(a, b), metrics.l1(*floats), rtol=1e-6)


def test_total_variation_of_a_step_is_its_height_times_its_length():
    image = np.zeros((1, 6, 8, 3), np.float32)
    image[:, :, 3:] = 0.25
    assert metrics.total_variation(image) == pytest.approx(0.25 * 6 * 3)
    mean = metrics.total_variation(image, reduction="mean")
    assert mean == pytest.approx(0.25 / 7)
    assert metrics.total_variation(image + np.float32(0.5)) == pytest.approx(4.5)
    # A hole of one pixel beside the step: its four differences, one of them 0.25.
    mask = np.zeros((1, 6, 8, 1), np.float32)
    mask[0, 2, 3] = 1
    assert metrics.total_variation(image, mask) == pytest.approx(0.25 * 3)
    hole_mean = metrics.total_variation(image, mask, reduction="mean")
    assert hole_mean == pytest.approx(0.25 / 2)


def test_a_large_image_keeps_its_digits():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 1, (2, 1, 700, 900, 3)).astype(np.float32)
    exact = np.abs(a.astype(np.float64) - b).mean()
    assert metrics.l1(a, b) == pytest.approx(exact, rel=3e-7)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 4, 4, 3), (1, 4, 5, 3)), r"\(1, 4, 4, 3\) and \(1, 4, 5, 3\)"),
        (((4, 4, 3), (4, 4, 3)), "add the batch axis"),
        (((2, 4, 4, 3), (2, 4, 4, 3), (1, 4, 4, 1)), "one channel, 1 = hole"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes, message):
    with pytest.raises(ValueError, match=message):
        metrics.l1(*(np.zeros(shape, np.float32) for shape in shapes))


def test_wrong_dtypes_and_options_are_named():
    image = np.zeros((1, 4, 4, 3), np.int32)
    with pytest.raises(ValueError, match="not int32"):
        metrics.l1(image, image)
    with pytest.raises(ValueError, match="'sum' or 'mean'"):
        metrics.total_variation(np.zeros((1, 4, 4, 3), np.uint8), reduction="max")
