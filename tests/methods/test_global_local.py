"""Completion by Iizuka et al. against otenim's port, the paper's shapes and phases."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters
from inpainting_jax.configs import global_local as configs
from inpainting_jax.methods import METHODS

NHWC = (0, 2, 3, 1)


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes_of(preset):
    """The method of a preset and its variables' shapes, nothing allocated."""
    config = configs.get_config(preset)
    method = METHODS["global_local"](**config.model)
    side = config.data.image_size
    batch = {
        "image": jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32),
        "mask": jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32),
    }
    shapes = jax.eval_shape(method.init, jax.random.key(0), batch)
    return method, shapes, batch


@pytest.fixture
def otenim(golden, recipe_weights):
    """A golden file's weights; of one case where it holds several."""

    def load(name, case=""):
        file = golden(name)
        recipe = json.loads(str(file["meta"]))["recipe"]
        return file, recipe_weights(str(file[f"{case}keys"]), recipe)

    return load


@pytest.mark.parametrize(("train", "bound"), [(False, 1e-4), (True, 3e-4)])
def test_completion_equals_otenims(otenim, train, bound):
    """Bounds in the output's deviation; the stored values are off by 2e-5 and 8e-5."""
    file, weights = otenim("glcic_completion_otenim")
    converted = converters.convert(
        "global_local_otenim", weights, mean_colour=file["mean_pixel"].ravel().tolist()
    )
    network = METHODS["global_local"](**converted.overrides).networks["generator"]
    image = jnp.asarray(file["image_u8"] / 127.5 - 1, jnp.float32)
    mask = jnp.asarray(file["mask"].transpose(NHWC))
    run = jax.jit(
        lambda variables: network.apply(
            variables, image, mask, train=train, mutable=["batch_stats"]
        )[0]
    )
    ours = (np.asarray(run(converted.variables["generator"]), np.float64) + 1) / 2
    theirs = file["y_train" if train else "y_eval"].transpose(NHWC)
    assert np.abs(ours - theirs).max() < bound * theirs.std()


@pytest.mark.parametrize(("case", "layers"), [("celeba", 5), ("places2", 6)])
def test_discriminator_equals_otenims(otenim, case, layers):
    file, weights = otenim("glcic_discriminator_otenim", f"{case}/")
    converted = converters.convert("global_local_otenim", weights)
    assert converted.overrides["global_layers"] == layers
    assert converted.overrides["local_size"] == 32
    assert set(converted.variables) == {"discriminator"}
    network = METHODS["global_local"](**converted.overrides).networks["discriminator"]
    image, window = (
        jnp.asarray(file[f"{case}/{name}"].transpose(NHWC)) * 2 - 1
        for name in ("global", "local")
    )
    logits = jax.jit(network.apply)(converted.variables["discriminator"], image, window)
    theirs = file[f"{case}/y"]
    np.testing.assert_allclose(jax.nn.sigmoid(logits), theirs, atol=1e-5)


def test_parameter_counts_are_those_of_the_paper():
    _, shapes, _ = shapes_of("paper")
    generator = shapes["generator"]["params"]
    norms = count({name: layer.get("norm", {}) for name, layer in generator.items()})
    assert count(generator) == 6_072_131
    assert count(generator) - norms == 6_066_179
    parts = shapes["discriminator"]["params"]
    assert count(parts["global_branch"]) == 25_808_384
    assert count(parts["local_branch"]) == 19_253_248
    assert count(parts["fusion"]) == 2_049


def test_each_stage_has_the_size_of_the_papers_table():
    method, shapes, batch = shapes_of("paper")
    network = method.networks["generator"]

    def run(variables, image, mask):
        return network.apply(variables, image, mask, capture_intermediates=True)

    prediction, stages = jax.eval_shape(
        run, shapes["generator"], batch["image"], batch["mask"]
    )
    assert prediction.shape == (1, 256, 256, 3)
    sizes = {
        name: stage["__call__"][0].shape[1:]
        for name, stage in stages["intermediates"].items()
        if name != "__call__"
    }
    assert sizes["conv1"] == (256, 256, 64)
    assert sizes["conv2"] == sizes["conv3"] == (128, 128, 128)
    assert {sizes[f"conv{i}"] for i in range(4, 13)} == {(64, 64, 256)}
    assert sizes["deconv13"] == sizes["conv14"] == (128, 128, 128)
    assert sizes["deconv15"] == (256, 256, 64)
    assert sizes["conv16"] == (256, 256, 32)
    assert sizes["conv17"] == (256, 256, 3)


@pytest.mark.parametrize(
    ("preset", "layers", "inputs"),
    [("paper", (6, 5), (8192, 8192)), ("faces", (5, 5), (12_800, 4608))],
)
def test_discriminator_reaches_the_papers_depth(preset, layers, inputs):
    """4 x 4 of 256 and 128 pixels, 5 x 5 and 3 x 3 of 160 and 96, 512 channels."""
    _, shapes, _ = shapes_of(preset)
    parts = shapes["discriminator"]["params"]
    branches = [parts["global_branch"], parts["local_branch"]]
    assert tuple(len(branch) - 1 for branch in branches) == layers
    assert tuple(branch["dense"]["kernel"].shape[0] for branch in branches) == inputs
    assert {branch["dense"]["kernel"].shape[1] for branch in branches} == {1024}
