"""DeepFill v2 against outputs of the TensorFlow original and of nipponjo's ports."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import inpainting_jax.layers as layers
from inpainting_jax import converters, images
from inpainting_jax.layers.discriminators import SNPatchDiscriminator
from inpainting_jax.methods import METHODS

PRECISE = 1e-4  # of the output's standard deviation: rounding of a 17-layer network
ATTENDED = 1e-3  # the softmax at scale 10 enlarges rounding


def relative_error(ours, theirs) -> float:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / theirs.std())


def stages(converted, image_u8, mask):
    """Coarse and refined, and the attention offsets, of one golden picture."""
    method = METHODS[converted.method](**converted.overrides)
    image = jnp.asarray(image_u8[None] / 127.5 - 1, jnp.float32)
    mask = jnp.asarray(mask, jnp.float32)
    refined, extras = jax.jit(method.networks["generator"].apply)(
        converted.variables["generator"], image, mask
    )
    return refined, extras


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameter_counts_are_those_of_the_paper():
    method = METHODS["deepfill_v2"]()
    batch = {"image": jnp.zeros((1, 64, 64, 3)), "mask": jnp.zeros((1, 64, 64, 1))}
    shapes = jax.eval_shape(lambda key: method.init(key, batch), jax.random.key(0))
    assert count(shapes["generator"]["params"]) == 4_052_478
    assert count(shapes["discriminator"]["params"]) == 5_946_816


@pytest.mark.parametrize("case", ["g0", "g1"])
def test_generator_equals_the_tensorflow_original(
    golden, recipe_weights, case, one_device
):
    file = golden("deepfillv2_generator_tf_original")
    recipe = json.loads(str(file["meta"]))["recipe"]
    weights = recipe_weights(str(file["keys"]), recipe)
    converted = converters.convert("deepfill_v2_tf", weights)
    refined, extras = stages(converted, file[f"{case}/image_u8"], file[f"{case}/mask"])
    assert relative_error(extras["coarse"], file[f"{case}/coarse"]) < PRECISE
    assert relative_error(refined, file[f"{case}/refined"]) < PRECISE
    flow = layers.offsets_to_flow(extras["offsets"])
    expected = np.asarray(file[f"{case}/flow"], np.float32)
    assert flow.shape[0] == expected.shape[0]
    np.testing.assert_allclose(
        resize_corners(flow, *expected.shape[1:3]), expected, atol=2e-3
    )


def resize_corners(image, height, width):
    """Bilinear with the corners aligned, as TensorFlow showed the flow."""
    image = np.asarray(image, np.float64)
    for axis, size in ((1, height), (2, width)):
        source = np.linspace(0, image.shape[axis] - 1, size)
        low = np.floor(source).astype(int)
        high = np.minimum(low + 1, image.shape[axis] - 1)
        shape = [1] * image.ndim
        shape[axis] = size
        part = (source - low).reshape(shape)
        image = image.take(low, axis) * (1 - part) + image.take(high, axis) * part
    return image


@pytest.mark.parametrize("source", ["nipponjo", "nipponjo_tf"])
@pytest.mark.parametrize("case", ["small0", "small1", "full0"])
def test_generator_equals_the_ports_of_nipponjo(
    golden, recipe_weights, source, case, one_device
):
    file = golden(f"deepfillv2_generator_{source}")
    recipe = json.loads(str(file["meta"]))["recipe"]
    weights = recipe_weights(str(file[f"{case[:-1]}/keys"]), recipe)
    converted = converters.convert(f"deepfill_v2_{source}", weights)
    mask = file[f"{case}/mask"].transpose(0, 2, 3, 1)
    refined, extras = stages(converted, file[f"{case}/image_u8"], mask)
    coarse = file[f"{case}/coarse"].transpose(0, 2, 3, 1)
    assert relative_error(extras["coarse"], coarse) < PRECISE
    # The stored 128x128 values are themselves up to 2.6e-4 away from float64.
    bound = ATTENDED if case == "small1" else PRECISE
    expected = file[f"{case}/refined"].transpose(0, 2, 3, 1)
    assert relative_error(refined, expected) < bound


def test_discriminator_equals_the_tensorflow_original(golden, recipe_weights):
    file = golden("deepfillv2_sn_patchgan_tf_original")
    recipe = json.loads(str(file["meta"]))["recipe"]
    weights = recipe_weights(str(file["keys"]), recipe)
    variables = converters.convert("deepfill_v2_tf", weights).variables["discriminator"]
    discriminator = SNPatchDiscriminator()
    for call in (1, 2):
        logits, stats = discriminator.apply(
            variables, file["x"], update_stats=True, mutable=["spectral_stats"]
        )
        assert relative_error(logits, file[f"y_call{call}"]) < PRECISE
        for name in weights:
            if name.endswith("/u"):
                ours = stats["spectral_stats"][name.split("/")[2]]["u"]
                assert (
                    relative_error(ours, file[f"u_after_call{call}/{name}"]) < PRECISE
                )
        variables = {**variables, **stats}


@pytest.mark.parametrize("case", ["small", "full"])
def test_discriminator_equals_the_port_of_nipponjo(golden, recipe_weights, case):
    file = golden("deepfillv2_sn_patchgan_nipponjo")
    recipe = json.loads(str(file["meta"]))["recipe"]
    weights = recipe_weights(str(file[f"{case}/keys"]), recipe)
    converted = converters.convert("deepfill_v2_nipponjo", weights)
    method = METHODS["deepfill_v2"](**converted.overrides)
    variables = converted.variables["discriminator"]
    x = file[f"{case}/x"].transpose(0, 2, 3, 1)
    for call in (1, 2):
        logits, stats = method.networks["discriminator"].apply(
            variables, x, update_stats=True, mutable=["spectral_stats"]
        )
        expected = file[f"{case}/y_call{call}"]  # flattened channels first
        side = round(
            (
                logits.shape[1]
                / converted.variables["discriminator"]["params"]["conv6"]["bias"].size
            )
            ** 0.5
        )
        ours = np.asarray(logits).reshape(len(x), side, side, -1).transpose(0, 3, 1, 2)
        assert relative_error(ours.reshape(len(x), -1), expected) < PRECISE
        variables = {**variables, **stats}


@pytest.fixture(scope="module")
def tiny(fresh_variables):
    method = METHODS["deepfill_v2"](width=4, discriminator_width=4)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(-1, 1, (2, 32, 40, 3)), jnp.float32)
    mask = np.zeros((2, 32, 40, 1), np.float32)
    mask[0, 8:20, 8:30] = 1
    mask[1, 2:12, 20:36] = 1
    batch = {"image": image, "mask": jnp.asarray(mask)}
    return method, fresh_variables(method, jax.random.key(0), batch), batch


def test_permuting_the_batch_permutes_the_result(tiny):
    """Each image has its own attention mask, so images do not touch one another."""
    method, variables, batch = tiny
    predict = jax.jit(method.predict)
    both = predict(variables, None, batch["image"], batch["mask"])["refined"]
    for i in range(2):
        image, mask = batch["image"][i : i + 1], batch["mask"][i : i + 1]
        one = predict(variables, None, image, mask)["refined"]
        np.testing.assert_allclose(both[i : i + 1], one, atol=1e-5)


def test_blocked_attention_gives_the_same_picture(tiny):
    method, variables, batch = tiny
    blocked = METHODS["deepfill_v2"](width=4, discriminator_width=4, block_size=1)
    dense = jax.jit(method.predict)(variables, None, batch["image"], batch["mask"])[
        "refined"
    ]
    other = jax.jit(blocked.predict)(variables, None, batch["image"], batch["mask"])[
        "refined"
    ]
    np.testing.assert_allclose(dense, other, atol=1e-5)


def test_sketch_lines_count_inside_the_hole_only(fresh_variables):
    method = METHODS["deepfill_v2"](width=4, discriminator_width=4, guided=True)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(-1, 1, (1, 32, 32, 3)), jnp.float32)
    mask = jnp.zeros((1, 32, 32, 1)).at[:, 8:24, 8:24].set(1)
    guide = jnp.asarray(rng.integers(0, 2, (1, 32, 32, 1)), jnp.float32)
    batch = {"image": image, "mask": mask, "guide": guide}
    variables = fresh_variables(method, jax.random.key(0), batch)
    inpaint = jax.jit(method.inpaint)
    plain = inpaint(variables, None, image, mask, guide)
    outside = inpaint(variables, None, image, mask, guide * mask)
    without = inpaint(variables, None, image, mask, jnp.zeros_like(guide))
    assert jnp.array_equal(plain, outside)
    assert not jnp.array_equal(plain, without)


def test_a_discriminator_without_opinion_costs_one(tiny):
    method, variables, batch = tiny
    silent = jax.tree.map(jnp.zeros_like, variables["discriminator"]["params"])
    judge = jax.jit(
        lambda params: method.objectives["discriminator"](
            params, variables, None, batch, {}
        )
    )
    loss, aux = judge(silent)
    assert loss == pytest.approx(1.0)  # 0.5 + 0.5
    assert set(aux.updates) == {"discriminator"}


def test_an_unknown_loss_weight_is_named(tiny):
    method, variables, batch = tiny
    with pytest.raises(ValueError, match=r"\['l7'\].*l1_hole"):
        jax.eval_shape(
            lambda params: method.objectives["generator"](
                params, variables, None, batch, {"l7": 1.0}
            ),
            variables["generator"]["params"],
        )


def test_the_monitor_tells_how_widely_attention_looks(tiny):
    """Per image, of the hole alone; nothing of it is kept among the variables."""
    method, variables, batch = tiny
    assert "monitors" not in variables["generator"]
    found = jax.jit(method.monitor)(variables, batch["image"], batch["mask"])
    entropy = np.asarray(found["attention_entropy"])
    assert entropy.shape == (len(batch["image"]),)
    assert (entropy > 0).all() and (entropy <= 1 + 1e-5).all()


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="even number >= 2, got 5"):
        METHODS["deepfill_v2"](width=5)


def test_mixed_precision_stays_close(tiny):
    method, variables, batch = tiny
    half = METHODS["deepfill_v2"](
        width=4, discriminator_width=4, compute_dtype="bfloat16"
    )
    full = jax.jit(method.predict)(variables, None, batch["image"], batch["mask"])[
        "coarse"
    ]
    low = jax.jit(half.predict)(variables, None, batch["image"], batch["mask"])[
        "coarse"
    ]
    assert low.dtype == jnp.float32
    # bfloat16 keeps 8 bits: 0.4 % a layer, 17 layers.
    np.testing.assert_allclose(full, low, atol=0.05)
    assert images.composite(batch["image"], low, batch["mask"]).dtype == jnp.float32
