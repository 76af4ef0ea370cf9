"""The classical fills equal the libraries called directly, and keep the contract."""

import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.methods import METHODS
from inpainting_jax.methods.classical import (
    build_biharmonic,
    build_navier_stokes,
    build_telea,
)

BUILDERS = [build_telea, build_navier_stokes, build_biharmonic]


def _complete(method, key, image_u8, mask_u8):
    image = jnp.asarray(image_u8, jnp.float32)[None] / 127.5 - 1
    mask = jnp.asarray(mask_u8 > 0, jnp.float32)[None, :, :, None]
    return np.asarray(method.inpaint({}, key, image, mask))[0] / 2 + 0.5


@pytest.mark.parametrize("case", ["i0", "i1"])
@pytest.mark.parametrize("radius", [3, 5])
@pytest.mark.parametrize(
    ("build", "name"), [(build_telea, "telea"), (build_navier_stokes, "ns")]
)
def test_opencv_fills_match_the_golden_bytes(golden, key, build, name, radius, case):
    data = golden("classical_inpainting")
    image, mask = data[f"{case}/image_u8"], data[f"{case}/mask_u8"]
    completed = _complete(build(radius=radius), key, image, mask)
    np.testing.assert_array_equal(
        np.rint(completed * 255), data[f"{case}/{name}_r{radius}_u8"]
    )


@pytest.mark.parametrize("case", ["i0", "i1"])
def test_biharmonic_matches_the_golden_floats(golden, key, case):
    data = golden("classical_inpainting")
    image, mask = data[f"{case}/image_u8"], data[f"{case}/mask_u8"]
    completed = _complete(build_biharmonic(), key, image, mask)
    # float32 input in [-1, 1] instead of exact multiples of 1/255: rounding, amplified
    np.testing.assert_allclose(completed, data[f"{case}/biharmonic"], atol=2e-5)


@pytest.mark.parametrize("build", BUILDERS)
def test_known_pixels_are_untouched_and_hole_content_is_not_read(build, key, batch):
    image, mask = batch["image"], batch["mask"]
    method = build()
    completed = method.inpaint({}, key, image, mask)
    garbage = method.inpaint({}, key, jnp.where(mask > 0, jnp.nan, image), mask)
    np.testing.assert_array_equal(completed, garbage)
    np.testing.assert_array_equal(
        jnp.where(mask > 0, 0, completed), jnp.where(mask > 0, 0, image)
    )
    assert completed.dtype == jnp.float32
    assert bool(jnp.isfinite(completed).all())
    assert bool((jnp.abs(completed - image) * mask).max() > 0.01)


@pytest.mark.parametrize("build", BUILDERS)
def test_each_image_of_a_batch_has_its_own_mask(build, key, batch):
    method = build()
    together = method.inpaint({}, key, batch["image"], batch["mask"])
    for index in range(2):
        one = slice(index, index + 1)
        alone = method.inpaint({}, key, batch["image"][one], batch["mask"][one])
        np.testing.assert_array_equal(together[one], alone)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 40)])
@pytest.mark.parametrize("holes", ["none", "one", "all"])
def test_tiny_images_and_extreme_masks_are_finite(build, key, size, holes):
    image = jnp.full((1, *size, 3), 0.25)
    mask = np.full((1, *size, 1), holes == "all", np.float32)
    if holes == "one":
        mask[0, 0, 0] = 1
    completed = build().inpaint({}, key, image, jnp.asarray(mask))
    assert bool(jnp.isfinite(completed).all())
    np.testing.assert_array_equal(
        jnp.where(mask > 0, 0, completed), jnp.where(mask > 0, 0, image)
    )


@pytest.mark.parametrize("build", BUILDERS)
def test_a_flat_image_stays_flat(build, key):
    image = jnp.full((1, 24, 24, 3), 2 * 118 / 255 - 1)
    mask = np.zeros((1, 24, 24, 1), np.float32)
    mask[0, 8:16, 8:16] = 1
    completed = build().inpaint({}, key, image, jnp.asarray(mask))
    # OpenCV's own Telea turns a flat 118 into 116..120 (opencv/opencv#28648)
    tolerance = 4.02 / 255 if build is build_telea else 2e-6
    np.testing.assert_allclose(completed, image, atol=tolerance)


def test_a_grey_image_of_one_channel_is_taken(key):
    image = jnp.linspace(-1, 1, 16 * 16).reshape(1, 16, 16, 1)
    mask = np.zeros((1, 16, 16, 1), np.float32)
    mask[0, 4:8, 4:8] = 1
    for build in BUILDERS:
        assert build().inpaint({}, key, image, jnp.asarray(mask)).shape == image.shape


def test_biharmonic_refuses_a_hole_over_its_bound(key):
    image, mask = jnp.zeros((1, 16, 16, 3)), np.zeros((1, 16, 16, 1), np.float32)
    mask[0, :10, :10] = 1
    with pytest.raises(ValueError, match=r"100 pixels.*max_hole_pixels=99"):
        build_biharmonic(max_hole_pixels=99).inpaint({}, key, image, jnp.asarray(mask))


def test_a_radius_of_zero_is_refused():
    for build in (build_telea, build_navier_stokes):
        with pytest.raises(ValueError, match="radius must be at least 1"):
            build(radius=0)


def test_the_registry_builds_them_and_compute_dtype_changes_nothing(key, batch):
    for name in ("telea", "navier_stokes", "biharmonic"):
        method = METHODS[name](compute_dtype="bfloat16")
        assert (method.name, method.traceable) == (name, False)
        np.testing.assert_array_equal(
            method.inpaint({}, key, batch["image"], batch["mask"]),
            METHODS[name]().inpaint({}, key, batch["image"], batch["mask"]),
        )
