"""PatchMatch completion keeps its promises: sources, borders, keys, exact textures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.methods.patchmatch import (
    Options,
    build,
    complete,
    completion,
    indexing,
    method,
    pyramid,
)
from inpainting_jax.methods.patchmatch.vote import vote

SINGLE = Options(levels=1, final="average")


def _square(height, width, top, left, side):
    hole = np.zeros((height, width), bool)
    hole[top : top + side, left : left + side] = True
    return hole


def _noise(height, width, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(height, width, channels)).astype(np.float32)


def _complete(key, image, hole, options=SINGLE):
    return complete(key, image[None], hole[None], options)[0]


@pytest.mark.parametrize("final", ["average", "best", "poisson"])
def test_a_periodic_texture_is_recovered(key, final):
    # Averaging turns noise of a short period into grey, hence a single scale.
    image = np.tile(_noise(8, 8), (5, 5, 1))
    hole = _square(40, 40, 13, 14, 11)
    completed = _complete(key, image, hole, Options(levels=1, final=final))
    tolerance = 5e-3 if final == "poisson" else 1e-5  # 24 conjugate-gradient steps
    np.testing.assert_allclose(completed, image, atol=tolerance)


def test_the_same_key_gives_the_same_bits_and_another_key_another_picture():
    image, hole = _noise(64, 64), _square(64, 64, 20, 20, 24)
    first = _complete(jax.random.key(0), image, hole)
    np.testing.assert_array_equal(first, _complete(jax.random.key(0), image, hole))
    assert np.abs(first - _complete(jax.random.key(1), image, hole)).max() > 1e-3


def test_hole_content_is_not_read_and_known_pixels_are_untouched(key, batch):
    method_ = build()
    image, mask = batch["image"], batch["mask"]
    completed = method_.inpaint({}, key, image, mask)
    for garbage in (jnp.nan, 7.0):
        other = jnp.where(mask > 0, garbage, image)
        np.testing.assert_array_equal(completed, method_.inpaint({}, key, other, mask))
    known = np.broadcast_to(np.asarray(mask) == 0, image.shape)
    np.testing.assert_array_equal(
        np.asarray(completed)[known], np.asarray(image)[known]
    )


def test_a_batch_equals_its_pictures_one_by_one_and_may_be_permuted(key, batch):
    method_ = build()
    together = method_.inpaint({}, key, batch["image"], batch["mask"])
    swapped = method_.inpaint({}, key, batch["image"][::-1], batch["mask"][::-1])
    np.testing.assert_array_equal(together, swapped[::-1])
    for i in range(2):
        alone = method_.inpaint(
            {}, key, batch["image"][i : i + 1], batch["mask"][i : i + 1]
        )
        np.testing.assert_array_equal(together[i], alone[0])


def test_vmapped_pictures_are_completed_as_well_as_single_ones(key):
    """Under vmap sums round otherwise; on an exact texture that cannot show."""
    image = np.tile(_noise(8, 8), (5, 5, 1))
    images = np.stack([image, image[::-1]])
    holes = np.stack([_square(40, 40, 13, 14, 11), _square(40, 40, 20, 5, 9)])
    options = Options(levels=1, final="average", batched=True)
    np.testing.assert_allclose(complete(key, images, holes, options), images, atol=1e-5)


@pytest.mark.slow
def test_a_larger_bucket_changes_nothing(key, monkeypatch):
    image, hole = _noise(30, 26), _square(30, 26, 9, 8, 9)
    expected = _complete(key, image, hole)
    monkeypatch.setattr(method, "bucket", lambda size: indexing.bucket(2 * size))
    np.testing.assert_array_equal(_complete(key, image, hole), expected)


def test_another_hole_or_picture_of_the_same_size_compiles_nothing(key):
    _complete(key, _noise(40, 40), _square(40, 40, 13, 14, 11))
    before = completion.run_levels._cache_size()
    _complete(key, _noise(40, 40, seed=1), _square(40, 40, 5, 5, 15))
    _complete(key, _noise(42, 39, seed=1), _square(42, 39, 2, 5, 7))
    assert completion.run_levels._cache_size() == before


def test_matches_are_sources_and_the_average_stays_in_the_range_of_known_colours(
    key, monkeypatch
):
    seen = []
    run = method.run_levels

    def spy(level, *rest, **options):
        seen.append((level, run(level, *rest, **options)))
        return seen[-1][1]

    monkeypatch.setattr(method, "run_levels", spy)
    image = _noise(40, 40) * 0.5 + 0.25
    hole = _square(40, 40, 13, 14, 11)
    completed = _complete(key, image, hole)
    level, result = seen[-1]
    targets = level.targets[0][level.targets[0] < level.valid.shape[1]]
    assert len(targets) == (11 + Options().patch - 1) ** 2
    assert level.valid[0][np.asarray(result.match)[0][targets]].all()
    known = image[~hole]
    assert (completed[hole] >= known.min(axis=0) - 1e-6).all()
    assert (completed[hole] <= known.max(axis=0) + 1e-6).all()


def test_best_copies_known_colours(key):
    image, hole = _noise(40, 40), _square(40, 40, 13, 14, 11)
    completed = _complete(key, image, hole, Options(levels=1, final="best"))
    known = {tuple(colour) for colour in image[~hole]}
    assert all(tuple(colour) in known for colour in completed[hole])


def test_a_constant_picture_stays_constant_and_stripes_stay_stripes(key):
    hole = _square(40, 40, 13, 14, 11)
    flat = np.full((40, 40, 3), 0.3, np.float32)
    np.testing.assert_allclose(_complete(key, flat, hole), flat, atol=1e-6)
    stripes = np.tile(_noise(40, 1), (1, 40, 1))
    # Rows of noise, blurred by the smooth start: patches that see seven of them know.
    completed = _complete(key, stripes, hole, Options(patch=7))
    np.testing.assert_allclose(completed, stripes, atol=1e-3)


def _vote_by_hand(distances):
    """A 9 x 9 picture, 3 x 3 patches, one pixel in the hole; all match by (0, 4)."""
    features = jnp.arange(81.0).reshape(81, 1)
    hole = jnp.asarray([4 * 9 + 3, 81])
    match = jnp.arange(81) + jnp.tile(jnp.arange(9) % 4, 9)
    return (
        features,
        match,
        vote(
            features,
            match,
            distances,
            jnp.zeros(81),
            hole,
            jnp.int32(9),
            patch=3,
            spread=jnp.float32(0.5),
            thorough=True,
        ),
    )


def test_votes_at_distance_zero_are_the_plain_mean():
    features, match, colours = _vote_by_hand(jnp.zeros(81))
    copied = [
        match[39 + dy * 9 + dx] - dy * 9 - dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)
    ]
    expected = np.mean([float(features[index, 0]) for index in copied])
    np.testing.assert_allclose(colours[0, 0], expected, rtol=1e-6)


def test_votes_fall_with_distance_and_nobody_voting_keeps_the_pixel():
    distances = jnp.full(81, jnp.inf).at[39].set(1.0).at[40].set(3.0)
    features, match, colours = _vote_by_hand(distances)
    # mean distance 2, variance 0.5 * 2: the farther patch weighs exp(-(3 - 1) / 2)
    near, far = features[match[39], 0], features[match[40] - 1, 0]
    expected = (near + far * np.exp(-1)) / (1 + np.exp(-1))
    np.testing.assert_allclose(colours[0, 0], expected, rtol=1e-5)
    _, _, alone = _vote_by_hand(jnp.full(81, jnp.inf))
    np.testing.assert_array_equal(alone[0, 0], 39.0)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 7), (5, 300)])
@pytest.mark.parametrize("holes", ["none", "one", "checkerboard", "all", "all but one"])
def test_any_size_and_any_hole_is_finite(key, size, holes):
    image, hole = np.full((*size, 2), 0.3, np.float32), np.zeros(size, bool)
    if holes == "one":
        hole[0, 0] = True
    elif holes == "checkerboard":
        hole[::2, ::2] = hole[1::2, 1::2] = True
    elif holes.startswith("all"):
        hole[:] = True
        hole[0, 0] = holes == "all"
    completed = _complete(key, image, hole)
    assert np.isfinite(completed).all()
    np.testing.assert_array_equal(completed[~hole], image[~hole])
    if not hole.all():
        np.testing.assert_allclose(completed, image, atol=1e-5)


def test_the_patch_shrinks_until_one_is_wholly_known():
    image, hole = np.zeros((20, 20, 3), np.float32), np.ones((20, 20), bool)
    hole[4:9, 4:9] = False
    plan = method.plan_picture(image, hole, Options())
    assert plan.patch == 5
    hole[4, :] = hole[8, :] = True
    plan = method.plan_picture(image, hole, Options())
    assert plan.patch == 3
    hole[6, :] = True
    assert (
        method.plan_picture(np.zeros((20, 20, 3), np.float32), hole, Options()) is None
    )


def test_a_coarse_pixel_is_hole_only_if_its_whole_support_is():
    known = np.ones((12, 12), bool)
    known[2:8, 2:8] = False
    features, coarse = pyramid.halve(np.ones((12, 12, 1), np.float32), known)
    # support of coarse pixel i: fine pixels 2i - 1 to 2i + 2
    assert np.argwhere(~coarse).tolist() == [[2, 2]]
    np.testing.assert_allclose(features[coarse], 1)
    assert pyramid.halve(np.ones((5, 1, 1), np.float32), np.ones((5, 1), bool))[
        0
    ].shape == (3, 1, 1)


def test_texture_ignores_the_rim_of_a_zeroed_hole():
    colour = np.full((16, 16, 3), 0.8, np.float32)
    known = ~_square(16, 16, 5, 5, 6)
    assert pyramid.texture(colour * known[..., None], known, 4).max() == 0


@pytest.mark.parametrize(
    ("setting", "value"), [("patch", 4), ("final", "sharp"), ("steps", (3,))]
)
def test_a_setting_out_of_range_is_named(setting, value):
    with pytest.raises(ValueError, match=f"patchmatch: {setting}="):
        build(**{setting: value})
