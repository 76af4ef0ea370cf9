"""Blends change the hole's inside only, and do there what they say."""

import numpy as np
import pytest

from inpainting_jax import images
from inpainting_jax.evaluation import blending
from inpainting_jax.methods.classical import telea_fill

RNG = np.random.default_rng(0)


def example(size=40):
    """Two noise images and a hole that touches the border and has an island."""
    image, prediction = RNG.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    hole = np.zeros((size, size), bool)
    hole[10:30, 15:] = True
    hole[18:20, 25:27] = False
    return image, prediction, hole


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("rule", blending.BLENDS)
def test_known_pixels_stay_and_the_hole_is_never_read(rule, raw):
    image, prediction, hole = example()
    result = blending.blend(rule, image, prediction, hole, raw=raw)
    np.testing.assert_array_equal(result[~hole], image[~hole])
    assert np.isfinite(result).all() and np.abs(result).max() <= 1
    other = np.where(hole[..., None], np.float32(0.123), image)
    again = blending.blend(rule, other, prediction, hole, raw=raw)
    np.testing.assert_array_equal(again, result)


def test_each_blend_gives_another_picture():
    image, prediction, hole = example()
    results = [blending.blend(r, image, prediction, hole) for r in blending.BLENDS]
    assert (results[0][hole] == prediction[hole]).all()
    assert not np.allclose(results[0], results[1])
    assert not np.allclose(results[0], results[2])


def test_an_unknown_blend_lists_the_known():
    image, prediction, hole = example()
    with pytest.raises(ValueError, match="'soft'; known: none, feather, poisson"):
        blending.blend("soft", image, prediction, hole)


def test_feathering_leaves_the_inside_and_equal_surroundings_alone():
    image, prediction, hole = example()
    result = blending.feather(image, prediction, hole, radius=3)
    assert (result[15, 36:39] == prediction[15, 36:39]).all()  # four or more inside
    assert not np.isclose(result[10, 20], prediction[10, 20]).all()
    flat = np.full_like(image, 0.25)
    np.testing.assert_allclose(blending.feather(flat, flat, hole), 0.25)


def test_feathering_mirrors_the_known_pixels():
    image = np.zeros((8, 8, 1), np.float32)
    image[2], image[3] = 0.2, 0.4  # rows 4.. are hole: row 4 mirrors 2, row 5 mirrors 1
    hole = np.zeros((8, 8), bool)
    hole[4:] = True
    result = blending.feather(image, np.ones_like(image), hole, radius=3)
    np.testing.assert_allclose(result[4], 0.25 * 1 + 0.75 * 0.2, atol=1e-6)
    np.testing.assert_allclose(result[5], 0.5 * 1 + 0.5 * 0.0, atol=1e-6)


def test_poisson_equals_the_exact_solve(golden):
    data = golden("poisson_exact")
    source, target = (
        data[n].astype(np.float32) / 127.5 - 1 for n in ("source", "target")
    )
    hole = data["mask"] > 127
    result = blending.poisson(target, source, hole, raw=True)
    exact = np.clip(data["exact"] / 127.5 - 1, -1, 1)
    # measured 3e-4 grey levels of 255, from the multigrid tolerance
    assert np.abs(result[hole] - exact).max() * 127.5 < 2e-3


@pytest.mark.parametrize("raw", [False, True])
def test_poisson_undoes_a_shift_of_brightness(raw):
    rows, columns = np.mgrid[:60, :50].astype(np.float32)
    image = np.stack([np.sin(rows / 9), np.cos(columns / 7)], axis=-1) * 0.4
    hole = np.zeros((60, 50), bool)
    hole[20:45, 10:50] = True
    result = blending.poisson(image, image + 0.2, hole, raw=raw)
    # without the outside the step across the rim is taken as flat, not as it is
    np.testing.assert_allclose(result[hole], image[hole], atol=1e-4 if raw else 0.08)


def test_poisson_solves_holes_of_every_shape():
    """Against a dense solve of the same equations, thin and speckled holes included."""
    image, prediction, _ = example(12)
    corner = np.ones((12, 12), bool)
    corner[0, 0] = False
    for hole in (RNG.random((12, 12)) < 0.5, np.eye(12, dtype=bool), corner):
        result = blending.poisson(image, prediction, hole, raw=True)
        dense = dense_poisson(image, lambda a, b: prediction[a] - prediction[b], hole)
        np.testing.assert_allclose(result[hole], dense[hole], atol=1e-4)


def wide_example():
    """A smooth photograph-like image, and a hole at its border wider than the rims."""
    rows, columns = np.mgrid[:40, :36].astype(np.float32)
    image = 0.3 * np.stack([np.sin(rows / 6), np.cos(columns / 5)], axis=-1)
    hole = np.zeros((40, 36), bool)
    hole[8:30, 14:] = True
    fill = images.to_signed(
        telea_fill(images.to_unit(np.where(hole[..., None], 0, image)), hole, radius=1)
    )
    return image.astype(np.float32), hole, fill


@pytest.mark.parametrize("shift", [0, 0.3])
def test_the_fast_marching_fill_plus_a_constant_is_that_fill(shift):
    """The blend takes gradients from the prediction, colours from the known pixels."""
    image, hole, fill = wide_example()
    result = blending.telea_poisson(image, fill + np.float32(shift), hole)
    np.testing.assert_allclose(result[hole], fill[hole], atol=1e-5)


def test_the_truth_in_the_hole_has_no_influence_on_the_post_processing():
    image, hole, _ = wide_example()
    prediction = RNG.uniform(-1, 1, image.shape).astype(np.float32)
    expected = blending.blend("telea_poisson", image, prediction, hole)
    for content in (np.nan, -1, 1):
        other = np.where(hole[..., None], np.float32(content), image)
        result = blending.blend("telea_poisson", other, prediction, hole)
        np.testing.assert_array_equal(result, expected)
    # Nor has what the network says of the known pixels.
    other = np.where(hole[..., None], prediction, np.float32(np.nan))
    result = blending.blend("telea_poisson", image, other, hole, raw=True)
    np.testing.assert_array_equal(result, expected)


def test_a_narrow_hole_is_the_fast_marching_fill():
    image, _, _ = wide_example()
    hole = np.zeros(image.shape[:2], bool)
    hole[10:16, 5:30] = True  # three pixels from either side
    fill = telea_fill(images.to_unit(image), hole, radius=1)
    result = blending.telea_poisson(image, np.full_like(image, 0.9), hole)
    np.testing.assert_allclose(images.to_unit(result[hole]), fill[hole], atol=1e-5)
    other = blending.telea_poisson(image, -image, hole, rim_width=2)
    assert not np.allclose(images.to_unit(other[hole]), fill[hole], atol=1e-3)


@pytest.mark.parametrize("rim_width", [0, 3])
def test_telea_poisson_solves_for_the_gradients_it_should(rim_width):
    """Against a dense solve: pairs of pixels deep inside follow the prediction."""
    image, hole, fill = wide_example()
    prediction = 0.1 * RNG.uniform(-1, 1, image.shape).astype(np.float32)
    target = np.where(hole[..., None], fill, image)
    deep = hole.copy()
    for row, column in np.argwhere(hole):
        near = hole[
            max(row - rim_width, 0) : row + rim_width + 1,
            max(column - rim_width, 0) : column + rim_width + 1,
        ]
        deep[row, column] = near.all()
    result = blending.telea_poisson(image, prediction, hole, rim_width=rim_width)

    def difference(here, there):
        source = prediction if deep[here] and deep[there] else target
        return source[here] - source[there]

    dense = dense_poisson(image, difference, hole)
    np.testing.assert_allclose(result[hole], dense[hole], atol=1e-4)


def test_multigrid_equals_factorisation(monkeypatch):
    image, prediction, hole = example(70)
    hole[40:69:2, 1:60] = True
    direct = blending.poisson(image, prediction, hole, raw=True)
    monkeypatch.setattr(blending, "_DIRECT", 30)
    cycled = blending.poisson(image, prediction, hole, raw=True)
    np.testing.assert_allclose(cycled, direct, atol=1e-4)


def dense_poisson(image, difference, hole):
    """The equations pixel by pixel; `difference(here, there)` is the wanted one."""
    places = [tuple(p) for p in np.argwhere(hole)]
    number = {place: i for i, place in enumerate(places)}
    matrix = np.zeros((len(places), len(places)))
    right = np.zeros((len(places), image.shape[-1]))
    for (row, column), i in number.items():
        for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            there = row + step[0], column + step[1]
            if not (0 <= there[0] < hole.shape[0] and 0 <= there[1] < hole.shape[1]):
                continue
            matrix[i, i] += 1
            right[i] += difference((row, column), there)
            if there in number:
                matrix[i, number[there]] -= 1
            else:
                right[i] += image[there]
    result = image.copy()
    result[hole] = np.clip(np.linalg.solve(matrix, right), -1, 1)
    return result
