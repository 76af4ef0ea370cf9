"""Conversion is complete or an error that names what is wrong."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters
from inpainting_jax.methods import METHODS


@pytest.fixture
def weights(golden, recipe_weights):
    file = golden("deepfillv2_generator_nipponjo")
    recipe = json.loads(str(file["meta"]))["recipe"]
    return recipe_weights(str(file["small/keys"]), recipe)


def test_the_width_is_read_from_the_tensors(weights):
    converted = converters.convert("deepfill_v2_nipponjo", weights)
    assert converted.method == "deepfill_v2"
    assert converted.overrides["width"] == 4
    assert set(converted.variables) == {"generator"}


def test_the_recipe_equals_the_stored_state_dict(weights, golden):
    file = golden("deepfillv2_generator_nipponjo")
    for name, array in weights.items():
        if "fuse_weight" not in name:
            np.testing.assert_array_equal(array, file[f"small/state_dict/{name}"])


def test_a_saved_dict_of_both_networks_is_taken_apart(weights, golden, recipe_weights):
    file = golden("deepfillv2_sn_patchgan_nipponjo")
    recipe = json.loads(str(file["meta"]))["recipe"]
    discriminator = recipe_weights(str(file["small/keys"]), recipe)
    tensors = {f"G.{name}": array for name, array in weights.items()}
    tensors |= {f"D.{name}": array for name, array in discriminator.items()}
    tensors["G_optim.state.0.exp_avg"] = np.zeros(3)
    converted = converters.convert("deepfill_v2_nipponjo", tensors)
    assert set(converted.variables) == {"generator", "discriminator"}
    assert converted.overrides["discriminator_width"] == 8


def test_a_missing_tensor_is_named(weights):
    del weights["stage1.conv1.conv.bias"]
    with pytest.raises(ValueError, match=r"missing 'stage1\.conv1\.conv\.bias'"):
        converters.convert("deepfill_v2_nipponjo", weights)


def test_a_left_over_tensor_is_named(weights):
    weights["stage3.conv1.weight"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"Not part of it: 'stage3\.conv1\.weight'"):
        converters.convert("deepfill_v2_nipponjo", weights)


def test_a_tensor_of_another_shape_is_named(weights):
    name = "stage2.conv_bn7.conv.weight"
    weights[name] = weights[name][:, :1]
    with pytest.raises(ValueError, match=r"'stage2\.conv_bn7\.conv\.weight'.*\(32, 1"):
        converters.convert("deepfill_v2_nipponjo", weights)


def test_an_unknown_source_lists_the_known():
    with pytest.raises(ValueError, match="deepfill_v2_nipponjo_tf"):
        converters.convert("deepfill_v3_tf", {})


def test_bgr_weights_give_the_same_picture_with_colours_reversed(weights):
    """A network trained on B, G, R, converted, takes and gives R, G, B."""
    stored = converters.convert("deepfill_v2_nipponjo", weights)
    swapped = converters.convert("deepfill_v2_nipponjo", weights, channel_order="bgr")
    method = METHODS["deepfill_v2"](**stored.overrides)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(-1, 1, (1, 32, 32, 3)), jnp.float32)
    mask = jnp.zeros((1, 32, 32, 1)).at[:, 8:24, 8:24].set(1)
    key = jax.random.key(0)
    inpaint = jax.jit(method.inpaint)
    expected = inpaint(stored.variables, key, image[..., ::-1], mask)[..., ::-1]
    ours = inpaint(swapped.variables, key, image, mask)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert not np.allclose(ours, inpaint(stored.variables, key, image, mask))


def test_another_channel_order_is_refused(weights):
    with pytest.raises(ValueError, match=r"'rgb' .* or 'bgr', got 'grb'"):
        converters.convert("deepfill_v2_nipponjo", weights, channel_order="grb")


def test_an_option_that_a_source_does_not_take_is_named(weights):
    with pytest.raises(ValueError, match=r"'dcgan_gan_face_generate' 'channel_order'"):
        converters.convert("dcgan_gan_face_generate", weights, channel_order="bgr")
