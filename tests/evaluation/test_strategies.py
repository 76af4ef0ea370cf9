"""Windows: where a method looks, at which size, and how its results join."""

import numpy as np
import pytest

from inpainting_jax.evaluation import strategies, windows
from inpainting_jax.evaluation.strategies import Traits, plan

RNG = np.random.default_rng(0)
LEARNED = Traits(learned=True, train_size=64, multiple=8)
UNTRAINED = Traits(learned=False)
FIXED = Traits(learned=True, full_size=False, train_size=64, multiple=64)
SHAPES = [(1, 2), (7, 5), (31, 64), (5, 300), (257, 513)]


def hole_of(shape, *boxes):
    """[H, W] bool with the (top, left, height, width) boxes set."""
    hole = np.zeros(shape, bool)
    for top, left, height, width in boxes:
        hole[top : top + height, left : left + width] = True
    return hole


@pytest.mark.parametrize("traits", [LEARNED, UNTRAINED, FIXED])
@pytest.mark.parametrize("strategy", strategies.STRATEGIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_windows_cover_the_hole_inside_the_image(shape, strategy, traits):
    hole = hole_of(shape, (shape[0] // 3, shape[1] // 3, shape[0] // 3 + 1, 1))
    name, found = plan(hole, strategy=strategy, traits=traits)
    assert name in strategies.STRATEGIES and name != "auto"
    covered = np.zeros(shape, bool)
    for window in found:
        top, left, height, width = window.box
        assert 0 <= top <= top + height <= shape[0]
        assert 0 <= left <= left + width <= shape[1]
        core = hole_of(shape, window.core)
        assert (hole_of(shape, window.box) >= core).all()
        assert min(window.work) >= 1
        covered |= core
    assert (covered >= hole).all()
    results = [np.ones((*window.work, 3), np.float32) for window in found]
    merged = windows.merge(found, results, shape)
    np.testing.assert_allclose(merged[hole], 1, atol=1e-5)


def test_an_empty_hole_needs_no_window():
    assert plan(np.zeros((9, 9), bool), strategy="tile", traits=LEARNED) == ("tile", [])


def test_named_strategies_do_what_they_say():
    hole = hole_of((400, 600), (200, 300, 20, 40))
    _, (full,) = plan(hole, strategy="full", traits=LEARNED)
    assert full.box == (0, 0, 400, 600) and full.work == (400, 600)
    _, (resized,) = plan(hole, strategy="resize", traits=LEARNED)
    assert resized.box == full.box and resized.work == (43, 64)
    _, (resized,) = plan(hole, strategy="resize", traits=LEARNED, size=300)
    assert resized.work == (200, 300)
    _, (crop,) = plan(hole, strategy="crop", traits=LEARNED)
    assert crop.work == crop.box[2:] == (88, 104)  # 32 of context, then multiples of 8
    _, (crop,) = plan(hole, strategy="crop", traits=LEARNED, size=200)
    assert crop.box[2:] == (208, 208)  # the step is 16 above 128
    _, tiles = plan(hole, strategy="tile", traits=LEARNED)
    assert {tile.work for tile in tiles} == {(64, 64)}
    _, tiles = plan(hole, strategy="tile", traits=LEARNED, size=100)
    assert {tile.work for tile in tiles} == {(100, 100)}


def test_small_images_are_not_enlarged_unless_asked():
    hole = hole_of((40, 30), (10, 10, 5, 5))
    assert plan(hole, strategy="resize", traits=LEARNED)[1][0].work == (40, 30)
    assert plan(hole, strategy="resize", traits=LEARNED, size=80)[1][0].work == (80, 60)


def test_far_holes_get_crops_of_their_own_and_near_ones_share():
    far = hole_of((500, 500), (10, 10, 20, 20), (450, 440, 20, 20))
    assert len(plan(far, strategy="crop", traits=LEARNED)[1]) == 2
    near = hole_of((500, 500), (10, 10, 20, 20), (40, 10, 20, 20))
    assert len(plan(near, strategy="crop", traits=LEARNED)[1]) == 1
    speckled = RNG.random((200, 200)) < 0.05
    (only,) = plan(speckled, strategy="crop", traits=LEARNED)[1]
    assert only.box == (0, 0, 200, 200)


def test_tiles_that_are_mostly_hole_look_further():
    speckled = np.tile(np.arange(400) % 16 < 10, (400, 1))  # narrow holes, closely set
    tiles = plan(speckled, strategy="tile", traits=LEARNED)[1]
    assert all(tile.core[2:] == (64, 64) for tile in tiles)
    assert tiles[0].box == (0, 0, 400, 400) and tiles[0].work == (64, 64)


def test_a_wide_hole_is_one_tile_and_the_stroke_beside_it_is_tiled_finely():
    hole = hole_of((900, 900), (300, 300, 200, 180), (100, 100, 20, 700))
    hole[400:420, 480:800] = True  # a stroke that runs out of the wide hole
    tiles = plan(hole, strategy="tile", traits=LEARNED)[1]
    (wide,) = [tile for tile in tiles if tile.box[2] > 64]
    top, left, height, width = wide.box
    assert hole[top : top + height, left : left + width].mean() <= 0.5
    assert top <= 300 - 32 and left <= 300 - 32 and max(wide.work) == 64
    assert top + height >= 500 + 32 and left + width >= 480 + 32
    fine = [tile for tile in tiles if tile is not wide]
    assert all(tile.work == (64, 64) for tile in fine)
    assert len(fine) >= (700 + 320) / 48
    # Where the stroke leaves the wide hole, fine tiles are not used inside that.
    for tile in fine:
        top, left, height, width = tile.core
        assert not hole_of((900, 900), (300, 300, 200, 180))[
            top : top + height, left : left + width
        ].any()


def test_auto_follows_its_rule(monkeypatch):
    small = hole_of((400, 400), (200, 300, 20, 20))
    large = hole_of((400, 400), (100, 100, 60, 60), (300, 0, 60, 60), (0, 300, 60, 60))
    huge = hole_of((400, 400), (100, 100, 200, 200))
    assert plan(small, strategy="auto", traits=UNTRAINED)[0] == "full"
    assert plan(small, strategy="auto", traits=LEARNED)[0] == "crop"
    name, (whole,) = plan(large, strategy="auto", traits=LEARNED)
    assert name == "resize" and whole.work == (71, 71)  # the holes span 360 of 400
    name, (whole,) = plan(huge, strategy="auto", traits=LEARNED)
    assert name == "resize" and whole.work == (128, 128)  # the hole becomes 64 wide
    assert plan(small, strategy="auto", traits=FIXED)[1][0].work == (64, 64)
    untold = Traits(learned=True, multiple=8)
    assert plan(huge, strategy="auto", traits=untold)[0] == "full"
    assert plan(huge, strategy="auto", traits=untold, size=100)[1][0].work == (100, 100)
    monkeypatch.setattr(strategies, "MAX_PIXELS", 100 * 100)
    assert plan(huge, strategy="auto", traits=untold)[1][0].work == (100, 100)
    monkeypatch.setattr(strategies, "MAX_PIXELS_UNTRAINED", 200 * 200)
    assert plan(small, strategy="auto", traits=UNTRAINED)[0] == "crop"
    assert plan(huge, strategy="auto", traits=UNTRAINED)[1][0].work == (200, 200)


def test_unknown_strategies_and_sizes_are_refused():
    hole = hole_of((9, 9), (3, 3, 2, 2))
    with pytest.raises(
        ValueError, match="'zoom'; known: auto, full, resize, crop, tile"
    ):
        plan(hole, strategy="zoom", traits=LEARNED)
    with pytest.raises(ValueError, match="size must be at least 1"):
        plan(hole, strategy="tile", traits=LEARNED, size=0)


def test_shrinking_never_reads_the_hole():
    image = RNG.uniform(-1, 1, (40, 40, 3)).astype(np.float32)
    hole = hole_of((40, 40), (11, 13, 15, 9))
    (window,) = plan(hole, strategy="resize", traits=LEARNED, size=16)[1]
    small, mask = windows.cut(image, hole, window)
    other = np.where(hole[..., None], np.float32(77), image)
    again, _ = windows.cut(other, hole, window)
    np.testing.assert_array_equal(small, again)
    assert small.shape == (16, 16, 3) and set(np.unique(mask)) == {0, 1}
    flat, _ = windows.cut(np.full_like(image, 0.5), hole, window)
    np.testing.assert_allclose(flat[mask[..., 0] == 0], 0.5, atol=1e-5)


def test_shrinking_keeps_something_known():
    hole = RNG.random((64, 64)) < 0.5
    (window,) = plan(hole, strategy="resize", traits=LEARNED, size=16)[1]
    _, mask = windows.cut(np.zeros((64, 64, 3), np.float32), hole, window)
    assert mask.mean() < 0.75


def test_lines_stay_lines_when_shrunk():
    guide = np.zeros((64, 64, 1), np.float32)
    guide[:, 33] = 1
    (window,) = plan(guide[..., 0] > 0, strategy="resize", traits=LEARNED, size=16)[1]
    small = windows.cut_guide(guide, window)
    assert (small[:, 8] == 1).all() and small.sum() == 16


def test_overlapping_tiles_fade_into_each_other():
    hole = hole_of((20, 100), (8, 0, 4, 99))
    _, tiles = plan(hole, strategy="tile", traits=UNTRAINED, size=40)
    results = [np.full((*w.work, 1), i, np.float32) for i, w in enumerate(tiles)]
    merged = windows.merge(tiles, results, hole.shape)[10, :, 0]
    assert (np.diff(merged) >= 0).all() and np.diff(merged).max() < 0.2
