"""Checkpoints of DeepFill v1, written under foreign names and read back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters
from inpainting_jax.methods import METHODS

ENCODER = ("conv1", "conv2_downsample", "conv3", "conv4_downsample", "conv5", "conv6")
DILATED = ("conv7_atrous", "conv8_atrous", "conv9_atrous", "conv10_atrous")
DECODER = ("conv11", "conv12", "conv13_upsample", "conv14", "conv15_upsample", "conv16")
MMAGIC_RULES = {
    "padding": "REFLECT",
    "discriminator_padding": "SYMMETRIC",
    "discriminator_activation": "elu",
    "output_slope": 0.2,
    "resize_rule": "floor",
    "overlap": "exact",
    "mask_mode": "neg_inf",
    "attention_relu": False,
}
SIZES = {"width": 4, "discriminator_width": 2, "local_size": 16, "local_factor": 8}


def torch_tensors(module: str, layer, channels: int = 0) -> dict:
    """A layer of ours as PyTorch stores it, under the name of a module."""
    kernel = np.asarray(layer["kernel"])
    if channels:  # a linear layer, after a flatten of C, H, W
        side = round((kernel.size / channels) ** 0.5)
        kernel = kernel.reshape(side, side, channels, 1).transpose(3, 2, 0, 1)
        weight = kernel.reshape(1, -1)
    else:
        weight = kernel.transpose(3, 2, 0, 1)
    return {f"{module}.weight": weight, f"{module}.bias": np.asarray(layer["bias"])}


def mmagic_modules() -> dict[str, str]:
    """Our layers by mmagic's modules, as the specification of its files lists them."""
    one, two = "generator.stage1", "generator.stage2"
    neck = f"{two}.contextual_attention_neck"
    names = {}
    for prefix, encoder in (
        ("", f"{one}.encoder"),
        ("x", f"{two}.encoder_conv"),
        ("pm", f"{two}.encoder_attention"),
    ):
        for i, layer in enumerate(ENCODER):
            names[prefix + layer] = f"{encoder}.enc{i + 1}.conv"
    for prefix, stage in (("", one), ("x", two)):
        for i, layer in enumerate(DILATED):
            names[prefix + layer] = f"{stage}.dilation_neck.dilation_convs.{i}.conv"
    for prefix, stage in (("", one), ("all", two)):
        for i, layer in enumerate((*DECODER, "conv17")):
            names[prefix + layer] = f"{stage}.decoder.dec{i + 1}.conv"
    return names | {"pmconv9": f"{neck}.conv1.conv", "pmconv10": f"{neck}.conv2.conv"}


@pytest.fixture(scope="module")
def written(fresh_variables):
    """Variables of a network with mmagic's rules, and these as mmagic's tensors."""
    method = METHODS["deepfill_v1"](**SIZES, **MMAGIC_RULES)
    batch = {"image": jnp.zeros((1, 32, 32, 3)), "mask": jnp.zeros((1, 32, 32, 1))}
    variables = fresh_variables(method, jax.random.key(0), batch)
    tensors = {}
    for layer, module in mmagic_modules().items():
        tensors |= torch_tensors(module, variables["generator"]["params"][layer])
    for kind in ("local", "global"):
        critic = variables["discriminator"]["params"][f"{kind}_critic"]
        for i in range(1, 5):
            module = f"disc.{kind}_disc.conv{i}.conv"
            tensors |= torch_tensors(module, critic[f"conv{i}"])
        channels = critic["conv4"]["bias"].size
        module = f"disc.{kind}_disc.fc.linear"
        tensors |= torch_tensors(module, critic["dense"], channels)
    neck = "generator.stage2.contextual_attention_neck.contextual_attention"
    tensors[f"{neck}.fuse_kernel"] = np.eye(3)[None, None]
    return variables, tensors


def assert_same_tree(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("root", ["", "state_dict."])
def test_what_is_written_under_mmagics_names_comes_back(root, written):
    variables, tensors = written
    tensors = {root + name: array for name, array in tensors.items()}
    if root:
        tensors["meta.iter"] = np.zeros(())
    converted = converters.convert("deepfill_v1_mmagic", tensors)
    assert converted.overrides == SIZES | MMAGIC_RULES
    assert_same_tree(converted.variables, jax.tree.map(np.asarray, dict(variables)))


@pytest.mark.slow
def test_mmagics_rules_change_the_picture_one_by_one(written):
    """None of the switches that its converter sets is idle."""
    # Faint features, so that a score of 0 weighs something in the softmax.
    last = "generator.stage2.encoder_attention.enc6.conv.weight"
    tensors = written[1] | {last: 0.02 * written[1][last]}
    converted = converters.convert("deepfill_v1_mmagic", tensors)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(-1, 1, (1, 32, 32, 3)), jnp.float32)
    # In a corner, so that the score grid of 4 x 4 keeps some known keys.
    mask = jnp.zeros((1, 32, 32, 1)).at[:, :10, :10].set(1)

    def refined(**options):
        method = METHODS["deepfill_v1"](**converted.overrides | options)
        quick = {"xla_backend_optimization_level": 0}
        predict = jax.jit(method.predict, compiler_options=quick)
        return predict(converted.variables, None, image, mask)["refined"]

    expected = refined()
    for option, value in (
        ("padding", "SAME"),
        ("resize_rule", "align_corners"),
        ("overlap", "const4"),
        ("mask_mode", "zero"),
        ("attention_relu", True),
    ):
        change = jnp.abs(refined(**{option: value}) - expected).max()
        assert change > 2e-5, option  # rounding: 3e-7


def test_a_missing_tensor_of_mmagic_is_named(written):
    tensors = dict(written[1])
    del tensors["disc.local_disc.conv4.conv.weight"]
    with pytest.raises(ValueError, match=r"missing 'disc\.local_disc\.conv4\.conv\.w"):
        converters.convert("deepfill_v1_mmagic", tensors)


def tensorflow_tensors(variables) -> dict[str, np.ndarray]:
    """Variables of ours under the TensorFlow original's names, slots included."""
    tensors = {"global_step": np.zeros(()), "discriminator/beta1_power": np.zeros(())}
    for name, layer in variables["generator"]["params"].items():
        inner = f"{name}/{name}_conv" if name.endswith("upsample") else name
        for leaf, array in layer.items():
            tensors[f"inpaint_net/{inner}/{leaf}"] = np.asarray(array)
            tensors[f"inpaint_net/{inner}/{leaf}/Adam_1"] = np.asarray(array)
    for kind in ("local", "global"):
        critic = variables["discriminator"]["params"][f"{kind}_critic"]
        for name, layer in critic.items():
            module = f"discriminator_{kind}/{name}"
            module = f"dout_{kind}_fc" if name == "dense" else module
            for leaf, array in layer.items():
                tensors[f"discriminator/{module}/{leaf}"] = np.asarray(array)
    return tensors


@pytest.fixture(scope="module")
def plain(fresh_variables):
    """Variables of a network with the TensorFlow original's rules."""
    method = METHODS["deepfill_v1"](**SIZES)
    batch = {"image": jnp.zeros((1, 32, 32, 3)), "mask": jnp.zeros((1, 32, 32, 1))}
    return method, fresh_variables(method, jax.random.key(0), batch)


def test_what_is_written_under_tensorflows_names_comes_back(plain):
    _, variables = plain
    converted = converters.convert("deepfill_v1_tf", tensorflow_tensors(variables))
    assert converted.overrides == SIZES
    assert_same_tree(converted.variables, jax.tree.map(np.asarray, dict(variables)))


def test_bgr_weights_of_v1_give_pictures_and_judgements_reversed(plain):
    method, variables = plain
    tensors = tensorflow_tensors(variables)
    swapped = converters.convert("deepfill_v1_tf", tensors, channel_order="bgr")
    swapped = swapped.variables
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(-1, 1, (1, 32, 32, 3)), jnp.float32)
    mask = jnp.zeros((1, 32, 32, 1)).at[:, 8:24, 8:24].set(1)
    predict = jax.jit(method.predict)
    expected = predict(variables, None, image[..., ::-1], mask)["refined"][..., ::-1]
    ours = predict(swapped, None, image, mask)["refined"]
    # A sum over channels in another order.
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    as_stored = predict(variables, None, image, mask)["refined"]
    assert jnp.abs(ours - as_stored).max() > 1e-2
    judge = method.networks["discriminator"].apply
    window, flipped = image[:, :16, :16], image[..., ::-1]
    for ours, theirs in zip(
        judge(swapped["discriminator"], window, image),
        judge(variables["discriminator"], window[..., ::-1], flipped),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_missing_layer_of_the_original_is_named(plain):
    tensors = tensorflow_tensors(plain[1])
    del tensors["inpaint_net/allconv13_upsample/allconv13_upsample_conv/bias"]
    with pytest.raises(ValueError, match=r"missing 'inpaint_net/allconv13_upsample/al"):
        converters.convert("deepfill_v1_tf", tensors)


def test_a_generator_of_daa233_converts_without_critics(golden):
    file = golden("deepfillv1_generator_daa233")
    start = "small/state_dict/"
    tensors = {n.removeprefix(start): file[n] for n in file if n.startswith(start)}
    converted = converters.convert("deepfill_v1_daa233", tensors)
    assert set(converted.variables) == {"generator"}
    assert converted.overrides["width"] == 4
    tensors["fine_generator.conv18.conv.bias"] = np.zeros(3)
    del tensors["coarse_generator.conv3.conv.bias"]
    with pytest.raises(ValueError, match=r"coarse_generator\.conv3.*conv18"):
        converters.convert("deepfill_v1_daa233", tensors)


@pytest.mark.parametrize("source", ["tf", "daa233", "mmagic"])
def test_nothing_at_all_is_a_missing_generator(source):
    with pytest.raises(ValueError, match=r"missing '.*conv"):
        converters.convert(f"deepfill_v1_{source}", {})
