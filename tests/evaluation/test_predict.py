"""Inpainter, `load` and `inpaint`: the Python door."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import inpainting_jax as ij
from inpainting_jax import checkpoints
from inpainting_jax.evaluation import blending, inpainter, predict, strategies
from inpainting_jax.evaluation.inpainter import Inpainter
from inpainting_jax.methods import METHODS, Method

RNG = np.random.default_rng(0)
SIZES = [(1, 1), (7, 5), (31, 64), (5, 300), (257, 513)]
DTYPES = [np.uint8, np.uint16, np.float32]


def mean_colour_method(**changes):
    """A traceable method: fills with the mean known colour plus the guide."""
    traces = []

    def known_mean(image, mask):
        known = jnp.where(mask > 0, 0, image).sum((1, 2), keepdims=True)
        return known / jnp.maximum((1 - mask).sum((1, 2), keepdims=True), 1)

    def run(variables, key, image, mask, guide=None):
        traces.append(image.shape)
        refined = known_mean(image, mask) * variables["generator"]["params"]["gain"]
        refined = jnp.broadcast_to(refined, image.shape)
        refined = refined + 0.1 * jax.random.normal(key, (1, 1, 1, 1))
        refined = refined if guide is None else refined + guide
        completed = jnp.where(mask > 0, refined, image)
        return {"coarse": -refined, "refined": refined, "completed": completed}

    fields = {"multiple": 8, "min_size": 16, "train_size": 32} | changes
    method = Method("mean", run, networks={"generator": nn.Dense(1)}, **fields)
    return Inpainter(method, {"generator": {"params": {"gain": jnp.ones(())}}}), traces


def picture(size, dtype, channels=(3,)):
    """Random pixels and a hole of about a sixth (none in one pixel)."""
    values = RNG.random((*size, *channels))
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    image = (values * top).astype(dtype)
    hole = np.zeros(size, bool)
    hole[size[0] // 3 : 2 * size[0] // 3, size[1] // 4 : 3 * size[1] // 4] = True
    return image, hole


@pytest.mark.filterwarnings("ignore:the hole of image", "ignore:mean works at")
@pytest.mark.parametrize("blend", blending.BLENDS)
@pytest.mark.parametrize("strategy", strategies.STRATEGIES)
def test_known_pixels_are_bit_identical(strategy, blend):
    learned, _ = mean_colour_method()
    untrained = ij.load("telea")
    for size in SIZES:
        for dtype in DTYPES:
            image, hole = picture(size, dtype)
            for fill in (learned, untrained):
                if fill is learned and (dtype != np.uint16 or size == (257, 513)):
                    continue  # dtype matters at the door only; compilations are slow
                result = fill(image, hole, strategy=strategy, blend=blend)
                assert result.dtype == dtype and result.shape == image.shape
                np.testing.assert_array_equal(result[~hole], image[~hole])


def test_the_hole_is_filled_and_never_read():
    fill, _ = mean_colour_method()
    image, hole = picture((50, 40), np.float32)
    result = fill(image, hole)
    other = image.copy()
    other[hole] = np.nan
    np.testing.assert_array_equal(fill(other, hole), result)
    noise = 0.05 * jax.random.normal(jax.random.key(0), ())
    expected = image[~hole].mean(0) + noise
    np.testing.assert_allclose(
        result[hole], np.tile(expected, (hole.sum(), 1)), atol=0.1
    )


def test_padding_is_cropped_again_and_stages_are_raw():
    fill, traces = mean_colour_method()
    image, hole = picture((33, 21), np.uint8)
    stages = fill.predict(image, hole)
    assert traces == [(1, 40, 24, 3)]
    assert set(stages) == {"coarse", "refined", "completed"}
    for stage in stages.values():
        assert stage.shape == (33, 21, 3) and stage.dtype == np.float32
    known = stages["completed"][~hole]
    np.testing.assert_allclose(known, image[~hole] / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(stages["coarse"], -stages["refined"])
    assert fill.predict(image[None], hole)["completed"].shape == (1, 33, 21, 3)


def test_a_batch_gives_what_its_images_give_alone():
    image, _ = picture((2, 40, 24), np.uint8)
    holes = np.zeros((2, 40, 24), bool)
    holes[0, 5:15, 5:15] = holes[1, 20:38, 1:9] = True
    for fill in (mean_colour_method()[0], ij.load("telea")):
        together = fill(image, holes)
        for index in range(2):
            alone = fill(image[index], holes[index]).astype(int)
            assert np.abs(together[index] - alone).max() <= 1  # rounding of float32
        swapped = fill(image[::-1], holes[::-1])
        assert np.abs(swapped[::-1].astype(int) - together).max() <= 1


@pytest.mark.filterwarnings("ignore:mean works at", "ignore:the hole covers")
def test_every_option_changes_the_result():
    fill, _ = mean_colour_method(guide_channels=1)
    image, hole = picture((96, 200), np.uint8)
    image = np.sort(image, axis=1)  # so that the surroundings matter
    hole[:] = False
    hole[40:60, 20:50] = True
    plain = fill(image, hole)
    options = {
        "seed": 1,
        "guide": np.eye(96, 200),
        "strategy": "crop",
        "blend": "feather",
        "dilate": 2,
        "size": 16,
        "mask_convention": "black_hole",
    }
    for name, value in options.items():
        assert (fill(image, hole, **{name: value}) != plain).any(), name
    assert (fill(image, hole) == plain).all()
    pictures = {s: fill(image, hole, strategy=s) for s in strategies.STRATEGIES}
    assert len({p.tobytes() for p in pictures.values()}) >= 4
    assert fill.last_strategies == ["tile"]


@pytest.mark.filterwarnings("ignore:mean works at")
def test_few_shapes_are_compiled(monkeypatch):
    fill, traces = mean_colour_method()
    for height in range(33, 41):
        fill(*picture((height, 30), np.uint8))
    assert len(traces) == 1
    monkeypatch.setattr(inpainter, "MAX_COMPILED", 2)
    for height in (50, 60, 70, 80):
        fill(*picture((height, 30), np.uint8), strategy="full")
    assert len(fill._shapes) <= 2
    made = len(traces)
    fill(*picture((80, 30), np.uint8), strategy="full")
    assert len(traces) == made
    fill(*picture((50, 30), np.uint8), strategy="full")
    assert len(traces) == made + 1


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_note_far_from_the_training_size_comes_once():
    fill, _ = mean_colour_method()
    image, hole = picture((200, 200), np.uint8)
    with pytest.warns(
        UserWarning, match=r"200 pixels.*trained at 32.*--strategy=resize"
    ):
        fill(image, hole, strategy="full")
    fill(image, hole, strategy="full")  # a second one would be an error


@pytest.mark.parametrize("strategy", strategies.STRATEGIES)
def test_empty_holes_warn_and_change_nothing(strategy):
    fill, traces = mean_colour_method()
    image, _ = picture((20, 30), np.uint8)
    with pytest.warns(UserWarning, match="empty"):
        result = fill(image, np.zeros((20, 30)), strategy=strategy)
    np.testing.assert_array_equal(result, image)
    assert not traces


def test_results_that_are_not_numbers_are_refused():
    fill, _ = mean_colour_method()
    fill.variables = {"generator": {"params": {"gain": jnp.nan}}}
    with pytest.raises(ValueError, match=r"mean filled the hole with NaN.*weights"):
        fill(*picture((20, 30), np.uint8))


def test_guides_for_methods_that_take_none_are_refused():
    image, hole = picture((20, 30), np.uint8)
    with pytest.raises(ValueError, match="takes no guide"):
        ij.inpaint(image, hole, method="telea", guide=hole)


def test_inpaint_in_one_call():
    image, hole = picture((20, 30), np.uint8, channels=())
    result = ij.inpaint(image, hole, method="telea", radius=5)
    assert result.shape == image.shape
    assert (result != ij.inpaint(image, hole, method="telea", radius=1)).any()
    np.testing.assert_array_equal(result, ij.load("telea", radius=5)(image, hole))


def test_unknown_names_and_arguments_list_the_known():
    image, hole = picture((20, 30), np.uint8)
    with pytest.raises(
        ValueError, match=r"'telae'. Did you mean 'telea'.*Known: .*telea"
    ):
        ij.inpaint(image, hole, method="telae")
    with pytest.raises(ValueError, match=r"telea has no argument 'radus'.*radius"):
        ij.load("telea", radus=3)
    with pytest.raises(ValueError, match="'zoom'; known"):
        ij.inpaint(image, hole, method="telea", strategy="zoom")
    with pytest.raises(ValueError, match="'soft'; known"):
        ij.inpaint(image, hole, method="telea", blend="soft")
    assert "patchmatch" in ij.list_methods()


TINY = {"width": 4, "discriminator_width": 4}


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory):
    """A weights file of an untrained, tiny DeepFill v2, generator only."""
    method = METHODS["deepfill_v2"](**TINY)
    batch = {"image": jnp.zeros((1, 64, 64, 3)), "mask": jnp.zeros((1, 64, 64, 1))}
    shapes = jax.eval_shape(method.init, jax.random.key(0), batch)
    rng = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes
    )
    card = {"method": "deepfill_v2", "overrides": TINY, "train_size": 64}
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    wanted = {"generator": variables["generator"]}
    return checkpoints.save_weights(path, wanted, card), wanted


def test_weights_files_are_loaded_by_their_card(tiny_weights):
    path, variables = tiny_weights
    fill = ij.load("deepfill_v2", weights=path)
    assert fill.card["train_size"] == 64
    jax.tree.map(np.testing.assert_array_equal, fill.variables, variables)
    image, hole = picture((40, 30), np.uint8)
    np.testing.assert_array_equal(fill(image, hole)[~hole], image[~hole])
    assert set(fill.predict(image, hole)) == {"coarse", "refined", "completed"}


def test_shipped_weights_are_found_by_name(tiny_weights, monkeypatch):
    path, _ = tiny_weights
    monkeypatch.setattr(predict, "SHIPPED", path.parent)
    assert ij.list_weights()["tiny"]["method"] == "deepfill_v2"
    assert ij.load("deepfill_v2", weights="tiny").card["overrides"] == TINY
    with pytest.raises(
        FileNotFoundError, match=r"no weights ship for deepfill_v2.*train"
    ):
        ij.load("deepfill_v2")
    with pytest.raises(FileNotFoundError, match=r"'large'.*\(tiny\)"):
        ij.load("deepfill_v2", weights="large")
    with pytest.raises(
        ValueError, match="tiny holds weights of deepfill_v2, not of telea"
    ):
        ij.load("telea", weights="tiny")


def test_wrong_weights_name_the_tensor(tiny_weights, tmp_path):
    path, variables = tiny_weights
    with pytest.raises(ValueError, match=r"generator/params/.*has shape"):
        ij.load("deepfill_v2", weights=path, width=8)
    flat = jax.tree.map(lambda leaf: leaf, variables)
    name = sorted(flat["generator"]["params"])[0]
    del flat["generator"]["params"][name]
    card = {"method": "deepfill_v2", "overrides": TINY}
    broken = checkpoints.save_weights(tmp_path / "a.safetensors", flat, card)
    with pytest.raises(ValueError, match=f"lacks the tensor 'generator/params/{name}"):
        ij.load("deepfill_v2", weights=broken)
    none = checkpoints.save_weights(
        tmp_path / "b.safetensors", {"discriminator": {"params": {}}}, card
    )
    with pytest.raises(ValueError, match="lacks the network 'generator'"):
        ij.load("deepfill_v2", weights=none)
    with pytest.raises(FileNotFoundError, match="gone"):
        ij.load("deepfill_v2", weights=tmp_path / "gone.safetensors")


def test_a_workdir_brings_its_arguments_and_training_size(
    tiny_weights, tmp_path, monkeypatch
):
    _, variables = tiny_weights
    config = {
        "method": "deepfill_v2",
        "model": TINY,
        "compute_dtype": "bfloat16",
        "data": {"image_size": 48, "source": "photos"},
        "masks": "deepfill",
    }
    monkeypatch.setattr(checkpoints, "load_workdir", lambda path: (variables, config))
    fill = ij.load("deepfill_v2", weights=tmp_path)
    assert fill.card["train_size"] == 48
    assert fill.method.networks["generator"].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match=r"holds weights of deepfill_v2, not of telea"):
        ij.load("telea", weights=tmp_path)


def test_a_folder_that_is_no_workdir_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoint"):
        ij.load("deepfill_v2", weights=tmp_path)


def test_converted_checkpoints_are_loaded(tiny_weights):
    _, variables = tiny_weights
    converted = ij.converters.Converted("deepfill_v2", TINY, variables)
    fill = ij.load(converted)
    assert fill.method.name == "deepfill_v2"
    image, hole = picture((40, 30), np.uint8)
    np.testing.assert_array_equal(fill(image, hole)[~hole], image[~hole])
    with pytest.raises(ValueError, match="leave `weights` out"):
        ij.load(converted, weights="tiny")


def test_public_names_are_there_when_asked_for():
    for name in ij.__all__:
        assert getattr(ij, name) is not None
    assert set(ij.__all__) <= set(dir(ij))
    with pytest.raises(AttributeError, match="no attribute 'inpant'"):
        _ = ij.inpant
