"""The Context Encoder against outputs of BoyuanJiang's port, and its geometry."""

import importlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters, losses, masks
from inpainting_jax.methods import METHODS
from inpainting_jax.methods.context_encoder import View, views

SOURCE = "context_encoder_boyuan"
PRECISE = 1e-4  # of the output's standard deviation; measured 7e-6, in training 3e-5
PROBABILITY = 1e-5  # absolute; measured 6e-8
CENTER = View(128, 64, 4, blank_square=True)


def relative_error(ours, theirs) -> float:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / theirs.std())


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes_of(method, batch=None):
    return jax.eval_shape(lambda key: method.init(key, batch or {}), jax.random.key(0))


def stored_weights(file, network):
    prefix = f"small/{network}/state_dict/"
    return {k.removeprefix(prefix): file[k] for k in file.files if prefix in k}


def full_weights(file, recipe_weights, network):
    recipe = json.loads(str(file["meta"]))["recipe"]
    gain = recipe[f"gain_{network}"]
    gain = gain["full"] if isinstance(gain, dict) else gain
    seeded = {"seed": recipe[f"seed_{network}"]}
    return recipe_weights(str(file[f"full/{network}/keys"]), seeded, gain)


def centre_batch(image_u8):
    image = jnp.asarray(image_u8 / 127.5 - 1, jnp.float32)
    mask = jnp.zeros((*image.shape[:3], 1)).at[:, 36:92, 36:92].set(1)
    return {"image": image, "mask": mask}


@pytest.fixture
def small(golden):
    """Both small networks as converted, their method, and the golden file."""
    file = golden(SOURCE)
    tensors = {f"G.{k}": v for k, v in stored_weights(file, "G").items()}
    tensors |= {f"D.{k}": v for k, v in stored_weights(file, "D").items()}
    converted = converters.convert(SOURCE, tensors)
    return METHODS["context_encoder"](**converted.overrides), converted.variables, file


def test_prediction_equals_the_port(small):
    method, variables, file = small
    batch = centre_batch(file["small/image_u8"])
    stages = jax.jit(method.predict)(variables, None, batch["image"], batch["mask"])
    square = stages["prediction"][:, 32:96, 32:96]
    expected = file["small/G/y_eval"].transpose(0, 2, 3, 1)
    assert relative_error(square, expected) < PRECISE
    known = batch["mask"] == 0
    np.testing.assert_array_equal(
        np.where(known, stages["completed"], 0), np.where(known, batch["image"], 0)
    )


def test_training_mode_equals_the_port_and_its_loss(small):
    """The objective's L2 is that of the port's output, so it trained by the batch."""
    method, variables, file = small
    batch = centre_batch(file["small/image_u8"])
    expected = file["small/G/y_train"].transpose(0, 2, 3, 1)
    params = variables["generator"]["params"]
    l2, aux = method.objectives["generator"](
        params, variables, None, batch, {"l2": 1.0}
    )
    error = (expected - batch["image"][:, 32:96, 32:96]) ** 2
    weights = np.full((64, 64), 10.0)
    weights[4:60, 4:60] = 1
    by_hand = (weights[None, :, :, None] * np.asarray(error)).mean()
    assert float(l2) == pytest.approx(by_hand, rel=1e-5)
    hole = np.abs(expected - batch["image"][:, 32:96, 32:96])[:, 4:60, 4:60].mean()
    assert float(aux.metrics["l1_hole"]) == pytest.approx(float(hole), rel=1e-5)
    assert set(aux.updates["generator"]) == {"batch_stats"}
    seen = views.look(
        *batch.values(), views.view_boxes(batch["mask"], CENTER), CENTER, FILL
    )
    square, _ = method.networks["generator"].apply(
        variables["generator"], seen, train=True, mutable=["batch_stats"]
    )
    assert relative_error(square, expected) < PRECISE


def test_discriminator_equals_the_port(small):
    method, variables, file = small
    square = centre_batch(file["small/image_u8"])["image"][:, 32:96, 32:96]
    logits = method.networks["discriminator"].apply(variables["discriminator"], square)
    difference = jax.nn.sigmoid(logits) - file["small/D/y_eval"]
    assert np.abs(difference).max() < PROBABILITY


def test_full_width_equals_the_port(golden, recipe_weights):
    file = golden(SOURCE)
    batch = centre_batch(file["full/image_u8"])
    converted = converters.convert(SOURCE, full_weights(file, recipe_weights, "G"))
    method = METHODS["context_encoder"](**converted.overrides)
    assert count(converted.variables["generator"]["params"]) == 71_124_544
    stages = jax.jit(method.predict)(converted.variables, None, *batch.values())
    square = stages["prediction"][:, 32:96, 32:96]
    expected = file["full/G/y_eval"].transpose(0, 2, 3, 1)
    assert relative_error(square, expected) < PRECISE
    judge = converters.convert(SOURCE, full_weights(file, recipe_weights, "D"))
    logits = method.networks["discriminator"].apply(
        judge.variables["discriminator"], batch["image"][:, 32:96, 32:96]
    )
    difference = jax.nn.sigmoid(logits) - file["full/D/y_eval"]
    assert np.abs(difference).max() < PROBABILITY


FILL = jnp.array([[[[117, 104, 123]]]]) * 2 / 255 - 1


def test_the_paper_s_preset_has_its_shapes():
    config = importlib.import_module("inpainting_jax.configs.context_encoder")
    config = config.get_config("paper")
    method = METHODS["context_encoder"](**config.model)
    shapes = shapes_of(method)
    assert count(shapes["generator"]["params"]) == 71_124_544
    assert count(shapes["discriminator"]["params"]) == 2_765_568
    image = jnp.zeros((2, 128, 128, 3))
    _, caught = jax.eval_shape(
        lambda variables: method.networks["generator"].apply(
            variables, image, capture_intermediates=True
        ),
        shapes["generator"],
    )
    stages = {
        name: found["__call__"][0].shape[1:]
        for name, found in caught["intermediates"].items()
        if name != "__call__"
    }
    assert stages == {
        "conv1": (64, 64, 64),
        "conv2": (32, 32, 64),
        "conv3": (16, 16, 128),
        "conv4": (8, 8, 256),
        "conv5": (4, 4, 512),
        "bottleneck": (1, 1, 4000),
        "deconv1": (4, 4, 512),
        "deconv2": (8, 8, 256),
        "deconv3": (16, 16, 128),
        "deconv4": (32, 32, 64),
        "deconv5": (64, 64, 3),
    }
    mask = masks.sampler(config.masks)(jax.random.key(0), 128, 128)
    assert mask[39:89, 39:89].all() and mask.sum() == 50**2  # 32 + 7, 96 - 7


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [(128, 71_190_208, 2_831_232), (64, 71_058_880, 2_765_568)],
)
def test_the_random_variant_has_its_sizes(size, generator, discriminator):
    method = METHODS["context_encoder"](variant="random", image_size=size)
    shapes = shapes_of(method)
    assert count(shapes["generator"]["params"]) == generator
    assert count(shapes["discriminator"]["params"]) == discriminator
    image = jnp.zeros((2, size, size, 3))
    out = jax.eval_shape(
        lambda v: method.networks["generator"].apply(v, image), shapes["generator"]
    )
    assert out.shape == image.shape
