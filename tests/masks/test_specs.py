"""The grammar of mask SPECs and what it builds."""

import jax
import numpy as np
import pytest

from inpainting_jax import masks
from inpainting_jax.masks import specs


def draw_many(spec, size=32, count=24):
    draw = jax.jit(jax.vmap(lambda k: masks.sampler(spec)(k, size, size)))
    return np.asarray(draw(jax.random.split(jax.random.key(2), count)))


def test_spec_parts_are_read():
    mixed = specs.parse("box+strokes(max_width=20, scale=true)@0.1-0.4:0.7,half:.3")
    first, second = mixed
    assert [item.name for item in first.items] == ["box", "strokes"]
    assert first.items[1].options == {"max_width": 20, "scale": True}
    assert first.bounds == (0.1, 0.4)
    assert (first.weight, second.weight) == (0.7, 0.3)
    assert second.items[0].name == "half"
    assert second.bounds is None
    (folder,) = specs.parse("files:/a b/c:d-e?convention=black_hole&flip=true@0.1-0.2")
    assert folder.items[0].path == "/a b/c:d-e"
    assert folder.items[0].options == {"convention": "black_hole", "flip": True}
    assert folder.bounds == (0.1, 0.2)


def test_only_specs_with_files_need_the_host():
    assert masks.is_host("box:0.5,files:/tmp:0.5")
    assert masks.is_host("paired:/tmp")
    assert not masks.is_host("deepfill")
    with pytest.raises(ValueError, match="host_sampler"):
        masks.sampler("files:/tmp")


def test_the_same_spec_gives_the_same_function():
    assert masks.sampler("center") is masks.sampler("center")


def test_options_reach_the_generator(key):
    mask = masks.sampler("center(size=0.25)")(key, 16, 16)
    assert float(mask.mean()) == 1 / 16


def test_a_union_covers_both_parts():
    union = draw_many("half(side=left)+half(side=top)", count=1)[0, ..., 0]
    assert union.mean() == 0.75
    assert union[:16].all()
    assert union[:, :16].all()


def test_a_mixture_follows_its_weights():
    drawn = draw_many("half:3,grid:1", count=400)
    halves = np.mean(drawn.mean((1, 2, 3)) == 0.5)
    assert halves == pytest.approx(0.75, abs=0.09)  # four standard deviations


def test_bounds_hold_for_every_mask():
    ratio = draw_many("boxes@0.2-0.3").mean((1, 2, 3))
    assert np.all((ratio > 0.2) & (ratio <= 0.3))


def test_unreachable_bounds_give_the_closest_mask():
    ratio = draw_many("half@0.1-0.2", count=2).mean((1, 2, 3))
    np.testing.assert_array_equal(ratio, 0.5)


def test_irregular_is_aimed_at_its_bounds_not_rejected():
    component = specs._aimed(specs.parse("irregular@0.1-0.2")[0])
    assert component.items[0].options == {"min_ratio": 0.1, "max_ratio": 0.2}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "empty mask spec"),
        ("strok", "Did you mean 'strokes'"),
        ("strokes(colour=1)", "max_width"),
        ("strokes(max_width)", "option=value"),
        ("strokes(", "cannot read"),
        ("box@0.4-0.1", "low < high"),
        ("box:0", "above 0"),
    ],
)
def test_a_wrong_spec_says_what_to_write(spec, message):
    with pytest.raises(ValueError, match=message):
        specs.parse(spec)
