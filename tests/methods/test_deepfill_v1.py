"""DeepFill v1 against outputs of the TensorFlow original and of daa233's port."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import inpainting_jax.layers as layers
from inpainting_jax import converters, masks
from inpainting_jax.configs import deepfill_v1 as configs
from inpainting_jax.methods import METHODS
from inpainting_jax.methods.deepfill_v1.method import reconstruction_terms

PRECISE = 1e-4  # of the output's standard deviation: rounding of a 17-layer network


def relative_error(ours, theirs) -> float:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / theirs.std())


def stages(converted, image_u8, mask):
    """Refined, and coarse and attention offsets, of one golden picture."""
    method = METHODS[converted.method](**converted.overrides)
    image = jnp.asarray(image_u8[None] / 127.5 - 1, jnp.float32)
    return jax.jit(method.networks["generator"].apply)(
        converted.variables["generator"], image, jnp.asarray(mask, jnp.float32)
    )


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.fixture(scope="module")
def paper():
    """The paper preset at 256 px as shapes only: variables and every layer's output."""
    config = configs.get_config("paper")
    method = METHODS["deepfill_v1"](**config.model)
    batch = {"image": jnp.zeros((1, 256, 256, 3)), "mask": jnp.zeros((1, 256, 256, 1))}

    def run(key):
        variables = method.init(key, batch)
        windows = jnp.zeros((1, 128, 128, 3)), batch["image"]
        seen = {}
        for name, inputs in (
            ("generator", (batch["image"], batch["mask"])),
            ("discriminator", windows),
        ):
            _, seen[name] = method.networks[name].apply(
                variables[name],
                *inputs,
                capture_intermediates=True,
                mutable=["intermediates"],
            )
        return variables, seen

    return jax.eval_shape(run, jax.random.key(0))


def test_parameter_counts_are_those_of_the_authors_graph(paper):
    variables, _ = paper
    assert count(variables["generator"]["params"]) == 3_601_542
    critics = variables["discriminator"]["params"]
    assert count(critics["local_critic"]) == 4_339_329
    assert count(critics["global_critic"]) == 2_733_441


def test_the_paper_preset_has_the_shapes_of_the_papers_figure(paper):
    _, seen = paper
    seen = seen["generator"]["intermediates"]
    expected = {
        "conv1": (256, 32),
        "conv2_downsample": (128, 64),
        "conv4_downsample": (64, 128),
        "conv10_atrous": (64, 128),
        "conv13_upsample": (128, 64),
        "conv16": (256, 16),
        "conv17": (256, 3),
        "xconv2_downsample": (128, 32),
        "xconv4_downsample": (64, 64),
        "xconv10_atrous": (64, 128),
        "pmconv4_downsample": (64, 128),
        "pmconv6": (64, 128),
        "pmconv10": (64, 128),
        "allconv11": (64, 128),
        "allconv15_upsample": (256, 32),
        "allconv17": (256, 3),
    }
    for name, (side, channels) in expected.items():
        (output,) = seen[name]["__call__"]
        assert output.shape == (1, side, side, channels), name


def test_the_critics_of_the_paper_preset_halve_four_times(paper):
    _, seen = paper
    seen = seen["discriminator"]["intermediates"]
    for critic, side, last in (("local_critic", 128, 512), ("global_critic", 256, 256)):
        for i, channels in enumerate((64, 128, 256, last), start=1):
            (output,) = seen[critic][f"conv{i}"]["__call__"]
            assert output.shape == (1, side >> i, side >> i, channels)
        (logits,) = seen[critic]["__call__"]
        assert logits.shape == (1, 1)


@pytest.mark.parametrize("case", ["g0", "g1"])
def test_generator_equals_the_tensorflow_original(
    golden, recipe_weights, case, one_device
):
    file = golden("deepfillv1_generator_tf_original")
    recipe = json.loads(str(file["meta"]))["recipe"]
    weights = recipe_weights(str(file["keys"]), recipe)
    converted = converters.convert("deepfill_v1_tf", weights)
    refined, extras = stages(converted, file[f"{case}/image_u8"], file[f"{case}/mask"])
    assert relative_error(extras["coarse"], file[f"{case}/coarse"]) < PRECISE
    assert relative_error(refined, file[f"{case}/refined"]) < PRECISE
    flow = layers.offsets_to_flow(extras["offsets"]).repeat(2, 1).repeat(2, 2)
    # Stored in float16.
    np.testing.assert_allclose(flow, file[f"{case}/flow"], atol=1e-3)


@pytest.mark.parametrize("case", ["small0", "small1", "full0"])
def test_generator_equals_the_port_of_daa233(golden, recipe_weights, case, one_device):
    file = golden("deepfillv1_generator_daa233")
    recipe = json.loads(str(file["meta"]))["recipe"]
    weights = recipe_weights(str(file[f"{case[:-1]}/keys"]), recipe)
    converted = converters.convert("deepfill_v1_daa233", weights)
    mask = file[f"{case}/mask"].transpose(0, 2, 3, 1)
    refined, extras = stages(converted, file[f"{case}/image_u8"], mask)
    coarse = file[f"{case}/coarse"].transpose(0, 2, 3, 1)
    assert relative_error(extras["coarse"], coarse) < PRECISE
    expected = file[f"{case}/refined"].transpose(0, 2, 3, 1)
    assert relative_error(refined, expected) < PRECISE
    if f"{case}/flow" in file:
        flow = (layers.offsets_to_flow(extras["offsets"]) + 1) / 2
        expected = file[f"{case}/flow"].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(flow.repeat(8, 1).repeat(8, 2), expected, atol=1e-6)


def test_critics_equal_the_port_of_daa233(golden):
    file = golden("deepfillv1_discriminators_daa233")
    tensors = {
        name.replace("/state_dict/", "D."): file[name]
        for name in file
        if "/state_dict/" in name
    }
    converted = converters.convert("deepfill_v1_daa233", tensors)
    method = METHODS["deepfill_v1"](**converted.overrides)
    assert converted.overrides["local_size"] == 128
    inputs = [
        jnp.asarray(file[f"{kind}/image_u8"][None] / 127.5 - 1, jnp.float32)
        for kind in ("local", "global")
    ]
    logits = method.networks["discriminator"].apply(
        converted.variables["discriminator"], *inputs
    )
    # Absolute: a wrong padding moves the global logit by 4.9e-4 only.
    np.testing.assert_allclose(logits[0], file["local/y"], atol=1e-5)
    np.testing.assert_allclose(logits[1], file["global/y"], atol=1e-5)


@pytest.fixture(scope="module")
def tiny(fresh_variables):
    method = METHODS["deepfill_v1"](width=4, discriminator_width=2, local_size=16)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(-1, 1, (2, 32, 40, 3)), jnp.float32)
    mask = np.zeros((2, 32, 40, 1), np.float32)
    mask[0, 8:20, 8:22] = 1
    mask[1, 2:12, 20:36] = 1
    batch = {
        "image": image,
        "mask": jnp.asarray(mask),
        "keys": jax.random.split(jax.random.key(1), 2),
    }
    return method, fresh_variables(method, jax.random.key(0), batch), batch


def quick(function):
    """Compiled unoptimised: these run once, on little."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def windows_of(picture):
    """16 x 16 pixels around the holes of `tiny`, by hand."""
    # The first hole's box 12 x 14 has its window at 8 - 2, 8 - 1; the second's, 10 x
    # 16, would start at row 2 - 3 and is pushed to 0.
    picture = np.asarray(picture)
    return np.stack([picture[0, 6:22, 7:23], picture[1, 0:16, 20:36]])


def test_the_generators_loss_is_the_weighted_sum_of_the_papers_terms(tiny):
    method, variables, batch = tiny
    image, mask = np.asarray(batch["image"]), np.asarray(batch["mask"])
    weights = {"l1": 1.2, "ae": 1.3, "adversarial": 0.5}
    loss, aux = quick(
        lambda params: method.objectives["generator"](
            params, variables, jax.random.key(0), batch, weights
        )
    )(variables["generator"]["params"])

    stage = quick(method.predict)(variables, None, batch["image"], batch["mask"])
    i = np.minimum(np.arange(16), 16 - np.arange(16))
    discount = np.maximum(0.9 ** i[:, None], 0.9 ** i[None])[None, :, :, None]
    known, total = 1 - mask, 0.0
    for name, factor in (("coarse", 1.2), ("refined", 1.0)):
        error = np.abs(np.asarray(stage[name]) - image)
        total += 1.2 * factor * np.mean(windows_of(error) * discount)
        # Each image has its own hole, hence its own normaliser.
        ae = (error * known).mean((1, 2, 3)) / known.mean((1, 2, 3))
        total += 1.3 * factor * ae.mean()
    critics = method.networks["discriminator"]
    local_logits, global_logits = critics.apply(
        variables["discriminator"],
        windows_of(stage["completed"]),
        stage["completed"],
    )
    total += 0.5 * float(-local_logits.mean() - global_logits.mean())
    # Different order of float32 sums.
    assert float(loss) == pytest.approx(total, rel=1e-5)
    error = np.abs(np.asarray(stage["refined"]) - image)
    hole = (error * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)) / 3
    assert float(aux.metrics["l1_hole"]) == pytest.approx(hole.mean(), rel=1e-5)
    assert not aux.updates


def linear(params):
    """Critics without a bend: positive all the way, so no leaky ReLU ever leaks."""
    params = jax.tree.map(jnp.abs, params)
    for critic in params.values():
        critic["conv1"]["bias"] += 20.0
    return params


@pytest.mark.parametrize("masked", [True, False])
def test_the_critics_loss_is_theirs_with_a_penalty_on_the_hole(tiny, masked):
    """With linear critics: their slope, and so the penalty, is the same anywhere."""
    _, variables, batch = tiny
    method = METHODS["deepfill_v1"](
        width=4, discriminator_width=2, local_size=16, masked_penalty=masked
    )
    params = linear(variables["discriminator"]["params"])
    loss, aux = quick(
        lambda params: method.objectives["discriminator"](
            params, variables, jax.random.key(0), batch, {"gradient_penalty": 10.0}
        )
    )(params)

    predict = quick(method.predict)
    completed = predict(variables, None, batch["image"], batch["mask"])["completed"]
    real = windows_of(batch["image"]), batch["image"]
    fake = windows_of(completed), completed
    holes = windows_of(batch["mask"]), np.asarray(batch["mask"])
    critics = method.networks["discriminator"]
    expected = penalty = 0.0
    for i, judge in enumerate((critics.judge_local, critics.judge_global)):

        def total(picture, judge=judge):
            return critics.apply({"params": params}, picture, method=judge).sum()

        expected += float(total(fake[i]) - total(real[i])) / 2  # two images
        slope = np.asarray(quick(jax.grad(total))(jnp.zeros_like(real[i])))
        slope = slope * holes[i] if masked else slope
        penalty += np.mean((np.sqrt((slope**2).sum((1, 2, 3))) - 1) ** 2)
    # Logits are large where nothing bends, their difference is not.
    assert float(aux.metrics["discriminator/gradient_penalty"]) == pytest.approx(
        penalty, rel=1e-4
    )
    assert float(loss) == pytest.approx(expected + 10 * penalty, rel=1e-4)


def test_the_window_is_the_papers_box_before_it_shrinks():
    """Found from the mask alone, for every box that training draws at 256 px."""
    config = configs.get_config("paper")
    size = config.model.local_size
    draw = masks.sampler(config.masks)
    keys = jax.random.split(jax.random.key(0), 400)
    holes = jax.jit(jax.vmap(lambda key: draw(key, 256, 256)))(keys)
    top, left, height, width = np.asarray(layers.hole_boxes(holes)).T
    shrinks = np.stack([size - height, size - width])
    assert set(np.unique(shrinks)) == set(range(0, 33, 2))
    full = np.stack([top - shrinks[0] // 2, left - shrinks[1] // 2], axis=1)
    assert full.min() >= 0
    assert full.max() <= 127  # the last corner, 128, is never drawn
    np.testing.assert_array_equal(layers.hole_corners(holes, size), full)


@pytest.mark.slow
def test_pre_training_the_coarse_stage_leaves_the_refinement_alone(tiny):
    method, variables, batch = tiny
    weights = {"l1_coarse": 1.0, "ae_coarse": 1.0}

    def loss(params):
        own = {"generator": {"params": params}}  # and no critics at all
        return method.objectives["generator"](
            params, own, jax.random.key(0), batch, weights
        )[0]

    gradient = quick(jax.grad(loss))(variables["generator"]["params"])
    for name, layer in gradient.items():
        moved = any(jnp.any(leaf != 0) for leaf in jax.tree.leaves(layer))
        assert moved == name.startswith("conv"), name


def test_reconstruction_of_a_perfect_picture_costs_nothing(batch):
    image, mask = batch["image"], batch["mask"]
    terms = reconstruction_terms(image, image, image, mask, local_size=16)
    for name, term in terms.items():
        np.testing.assert_array_equal(term, jnp.zeros(2), err_msg=name)


def test_every_update_and_every_image_mixes_by_its_own_share(tiny):
    """The shares depend on the image's key and the update's, not on the batch."""
    from inpainting_jax.methods.deepfill_v1.method import _mixing_shares

    keys = tiny[2]["keys"]
    first = _mixing_shares(jax.random.key(0), keys)
    second = _mixing_shares(jax.random.key(1), keys)
    assert len(np.unique(np.concatenate([first, second]))) == 8
    alone = _mixing_shares(jax.random.key(0), keys[1:])
    np.testing.assert_array_equal(first[1:], alone)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_an_unknown_loss_weight_of_v1_is_named(tiny, network):
    method, variables, batch = tiny
    with pytest.raises(ValueError, match=r"\['l7'\].*gradient_penalty"):
        method.objectives[network](
            variables[network]["params"], variables, None, batch, {"l7": 1.0}
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 5}, "even number >= 2, got 5"),
        ({"discriminator_activation": "relu"}, "leaky_relu, elu"),
        ({"padding": "WRAP"}, "'SYMMETRIC', 'REFLECT'"),
    ],
)
def test_impossible_networks_of_v1_are_refused(batch, options, message):
    with pytest.raises(ValueError, match=message):
        method = METHODS["deepfill_v1"](local_size=32, **options)
        jax.eval_shape(lambda key: method.init(key, batch), jax.random.key(0))


def test_an_image_smaller_than_the_window_is_refused(tiny):
    _, variables, batch = tiny
    method = METHODS["deepfill_v1"](width=4, local_size=64)
    with pytest.raises(ValueError, match="window of 64 x 64 does not fit"):
        jax.eval_shape(
            lambda p: method.objectives["generator"](p, variables, None, batch, {}),
            variables["generator"]["params"],
        )


def test_mixed_precision_of_v1_stays_close(tiny):
    method, variables, batch = tiny
    half = METHODS["deepfill_v1"](
        width=4, discriminator_width=2, local_size=16, compute_dtype="bfloat16"
    )
    image, mask = batch["image"], batch["mask"]
    full = quick(method.predict)(variables, None, image, mask)["coarse"]
    low = quick(half.predict)(variables, None, image, mask)["coarse"]
    assert low.dtype == jnp.float32
    # bfloat16 keeps 8 bits: 0.4 % a layer, 17 layers.
    np.testing.assert_allclose(full, low, atol=0.05)
