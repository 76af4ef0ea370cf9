"""The Context Encoder against outputs of BoyuanJiang's port, and its geometry."""

import functools
import importlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters, images, masks
from inpainting_jax.methods import METHODS
from inpainting_jax.methods.context_encoder import View, views
from inpainting_jax.methods.context_encoder.method import build_reconstruction
from inpainting_jax.methods.context_encoder.networks import drop

SOURCE = "context_encoder_boyuan"
PRECISE = 1e-4  # of the output's standard deviation; measured 7e-6, in training 3e-5
PROBABILITY = 1e-5  # absolute; measured 6e-8
L2 = {"l2": 1.0}
FILL = jnp.array([[[[117, 104, 123]]]]) * 2 / 255 - 1
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
    objective = method.objectives["generator"]
    l2, aux = jax.jit(lambda params: objective(params, variables, None, batch, L2))(
        params
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
    apply = functools.partial(
        method.networks["generator"].apply, train=True, mutable=["batch_stats"]
    )
    square, _ = jax.jit(apply)(variables["generator"], seen)
    assert relative_error(square, expected) < PRECISE


def test_discriminator_equals_the_port(small):
    method, variables, file = small
    square = centre_batch(file["small/image_u8"])["image"][:, 32:96, 32:96]
    logits = method.networks["discriminator"].apply(variables["discriminator"], square)
    difference = jax.nn.sigmoid(logits) - file["small/D/y_eval"]
    assert np.abs(difference).max() < PROBABILITY


@pytest.mark.slow
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


def hole(*box, height=128, width=128):
    mask = np.zeros((1, height, width, 1), np.float32)
    top, left, tall, wide = box
    mask[0, top : top + tall, left : left + wide] = 1
    return jnp.asarray(mask)


def noise(height=128, width=128):
    values = np.random.default_rng(0).uniform(-1, 1, (1, height, width, 3))
    return jnp.asarray(values, jnp.float32)


def test_a_centre_hole_is_seen_as_it_is():
    """The blank square of overlap 4 is [36, 92), of colour 117, 104, 123."""
    image, mask = noise(), hole(36, 36, 56, 56)
    boxes = views.view_boxes(mask, CENTER)
    np.testing.assert_array_equal(boxes, [[0, 0, 128]])
    seen = views.look(image, mask, boxes, CENTER, FILL)
    np.testing.assert_array_equal(seen, images.composite(image, FILL, mask))
    np.testing.assert_allclose(
        seen[0, 36, 91], [-0.08235294, -0.18431373, -0.03529412], atol=1e-7
    )
    square = image[:, 32:96, 32:96]
    np.testing.assert_array_equal(views.target(image, boxes, CENTER), square)
    back = views.put_back(square, image, mask, boxes, CENTER)
    np.testing.assert_array_equal(back, image)


def test_a_smaller_centre_hole_changes_nothing_of_the_view():
    image, mask = noise(), hole(50, 40, 9, 30)
    boxes = views.view_boxes(mask, CENTER)
    np.testing.assert_array_equal(boxes, [[0, 0, 128]])
    seen = views.look(image, mask, boxes, CENTER, FILL)
    blank = hole(36, 36, 56, 56)
    np.testing.assert_array_equal(seen, images.composite(image, FILL, blank))


@pytest.mark.parametrize("view", [CENTER, View(64, 32, 2, True), View(128, 128)])
@pytest.mark.parametrize("size", [(128, 128), (200, 150), (40, 300), (1, 9)])
@pytest.mark.parametrize("where", ["corner", "edge", "middle", "all", "all but one"])
def test_holes_lie_in_what_is_predicted(view, size, where):
    height, width = size
    boxes = {
        "corner": (0, 0, 1, 1),
        "edge": (0, width // 3, height, max(width // 4, 1)),
        "middle": (height // 3, width // 3, max(height // 5, 1), width // 3),
        "all": (0, 0, height, width),
        "all but one": (0, 1, height, width - 1),
    }
    mask = hole(*boxes[where], height=height, width=width)
    top, left, tall, wide = boxes[where]
    (y, x, side), *_ = np.asarray(views.view_boxes(mask, view))
    margin = (view.size - view.inner) / 2 / view.size * side
    tolerance = 1e-4 * side  # positions are float32
    assert y + margin <= top + tolerance and x + margin <= left + tolerance
    assert y + side - margin >= top + tall - tolerance
    assert x + side - margin >= left + wide - tolerance
    predicted = jnp.full((1, view.output, view.output, 3), 5.0)
    image = noise(height, width)
    back = views.put_back(predicted, image, mask, views.view_boxes(mask, view), view)
    np.testing.assert_allclose(
        np.asarray(back)[np.broadcast_to(mask, back.shape) > 0], 5, rtol=1e-6
    )


def test_a_view_stays_in_the_image_where_the_hole_lets_it():
    mask = hole(190, 10, 20, 20, height=300, width=300)
    # Centred at row 136; column -20 - 36 would be needed to have the hole at 36.
    np.testing.assert_array_equal(views.view_boxes(mask, CENTER), [[136, -26, 128]])
    whole = View(128, 128)
    np.testing.assert_array_equal(views.view_boxes(mask, whole), [[136, 0, 128]])


def test_an_edge_repeated_from_the_hole_has_the_mean_colour():
    image, mask = noise(), hole(0, 0, 128, 64)
    boxes = views.view_boxes(mask, CENTER)
    seen = views.look(image, mask, boxes, CENTER, FILL)
    mean = image[:, :, 64:].mean(axis=(1, 2))
    assert boxes[0, 1] < 0
    np.testing.assert_allclose(seen[:, 64, 0], mean, atol=1e-5)
    np.testing.assert_array_equal(seen[:, 64, 64], FILL[:, 0, 0])


@pytest.fixture(scope="module", params=["random", "channelwise"])
def variant(request, fresh_variables):
    """The variants that no preset of the shared tests has, with compiled gradients."""
    sizes = {"width": 4, "discriminator_width": 4, "bottleneck": 8}
    sizes["image_size"] = 99 if request.param == "channelwise" else 32
    method = METHODS["context_encoder"](variant=request.param, **sizes)
    batch = {
        "image": jnp.concatenate([noise(40, 36), -noise(40, 36)]),
        "mask": jnp.concatenate([hole(10, 6, 9, 20, height=40, width=36)] * 2),
        "keys": jax.random.split(jax.random.key(2), 2),
    }
    weights = {"l2": 0.999}
    if "discriminator" in method.networks:
        weights["adversarial"] = 0.001

    def compiled(objective):
        def loss(params, variables):
            return objective(params, variables, None, batch, weights)

        return jax.jit(jax.value_and_grad(loss, has_aux=True))

    steps = {name: compiled(f) for name, f in method.objectives.items()}
    return method, fresh_variables(method, jax.random.key(0), batch), batch, steps


def test_every_variant_completes_images_of_another_size(variant):
    method, variables, batch, _ = variant
    image, mask = batch["image"], batch["mask"]
    dirty = jnp.where(mask > 0, jnp.nan, image)
    predict = jax.jit(method.predict)
    stages = predict(variables, None, dirty, mask)
    assert all(jnp.isfinite(stage).all() for stage in stages.values())
    assert stages["prediction"].shape == image.shape
    known = np.broadcast_to(mask == 0, image.shape)
    np.testing.assert_array_equal(
        np.asarray(stages["completed"])[known], np.asarray(image)[known]
    )
    expected = predict(variables, None, image, mask)["completed"]
    np.testing.assert_array_equal(stages["completed"], expected)
    assert (np.asarray(stages["completed"]) != np.asarray(image))[~known].mean() > 0.99


@pytest.mark.slow
def test_every_variant_trains_all_its_parameters(variant):
    _, variables, _, steps = variant
    for name, step in steps.items():
        (value, aux), gradient = step(variables[name]["params"], variables)
        assert jnp.isfinite(value)
        still = jax.tree.map(lambda g: not np.any(g), gradient)
        assert not any(jax.tree.leaves(still)), still
        stats = variables[name].get("batch_stats")
        assert set(aux.updates) == ({name} if stats else set())
        for old, new in zip(
            jax.tree.leaves(stats), jax.tree.leaves(aux.updates), strict=True
        ):
            assert not np.array_equal(old, new)


def test_a_discriminator_without_opinion_costs_two_logarithms(variant):
    _, variables, _, steps = variant
    if "discriminator" in steps:  # feature learning has none
        silent = jax.tree.map(jnp.zeros_like, variables["discriminator"]["params"])
        (loss, _), _ = steps["discriminator"](silent, variables)
        assert float(loss) == pytest.approx(2 * np.log(2))  # summed, not halved


def test_feature_learning_has_no_adversarial_loss():
    method = METHODS["context_encoder"](variant="channelwise")
    assert set(method.networks) == set(method.objectives) == {"generator"}
    with pytest.raises(ValueError, match=r"\['adversarial'\].*known: l2$"):
        method.objectives["generator"](None, {}, None, {}, {"adversarial": 1.0})


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("center", (10 * 0.5 * 960 + 0.5 * 3136) / 4096),  # ring of 4: 64^2 - 56^2
        ("random", (3 * 0.5 * 3996 + 0.5 * 100) / 4096),  # outside and inside the hole
        ("channelwise", 0.5),
    ],
)
def test_squared_errors_weigh_by_place(variant, expected):
    reconstruct = build_reconstruction(
        variant, CENTER, ring_weight=10.0, known_weight=3.0
    )
    square, mask = jnp.zeros((1, 64, 64, 3)), hole(9, 9, 10, 10, height=64, width=64)
    value = reconstruct(square + 0.5**0.5, square, mask)
    np.testing.assert_allclose(value, [expected], rtol=1e-6)


def test_the_channelwise_variant_has_alexnet_s_sizes():
    method = METHODS["context_encoder"](variant="channelwise")
    shapes = shapes_of(method)["generator"]["params"]
    assert shapes["channelwise"]["kernel"].shape == (256, 36, 36)
    assert shapes["channelwise"]["kernel"].size == 331_776
    image = jnp.zeros((1, 227, 227, 3))
    out, caught = jax.eval_shape(
        lambda params: method.networks["generator"].apply(
            {"params": params}, image, capture_intermediates=True
        ),
        shapes,
    )
    sides = {
        k: v["__call__"][0].shape[1]
        for k, v in caught["intermediates"].items()
        if k != "__call__"
    }
    assert [sides[f"conv{i}"] for i in range(1, 6)] == [55, 27, 13, 13, 13]
    # Before each map loses two pixels on every side.
    assert [sides[f"deconv{i}"] - 4 for i in range(1, 6)] == [11, 21, 41, 81, 161]
    assert sides["channelwise"] == 6 and out.shape == image.shape
    free = METHODS["context_encoder"](variant="channelwise", pool_free=True)
    assert set(shapes_of(free)["generator"]["params"]) - set(shapes) == {
        "pool1",
        "pool2",
        "pool5",
    }


def test_dropout_belongs_to_the_image():
    keys = jax.random.split(jax.random.key(0), 3)
    features = jnp.ones((3, 6, 6, 20))
    dropped = drop(features, keys, 0.5)
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert float(dropped.mean()) == pytest.approx(1, abs=0.1)
    np.testing.assert_array_equal(drop(features[1:], keys[1:], 0.5), dropped[1:])
    assert not jnp.array_equal(dropped[0], dropped[1])
    with pytest.raises(ValueError, match="needs keys"):
        drop(features, None, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "centre"}, "unknown variant 'centre'.*center, random"),
        ({"image_size": 100}, "50 must be a power of two"),
        ({"overlap": 32}, "overlap must lie in 0..31"),
        ({"variant": "channelwise", "image_size": 64}, "at least 99"),
    ],
)
def test_settings_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        shapes_of(METHODS["context_encoder"](**options))


def test_one_file_or_both_are_told_apart(golden):
    file = golden(SOURCE)
    generator, judge = stored_weights(file, "G"), stored_weights(file, "D")
    alone = converters.convert(SOURCE, generator)
    assert set(alone.variables) == {"generator"}
    assert (alone.overrides["width"], alone.overrides["bottleneck"]) == (4, 40)
    assert "discriminator_width" not in alone.overrides
    saved = {f"state_dict.{k}": v for k, v in judge.items()}
    saved["epoch"] = np.zeros(())
    assert set(converters.convert(SOURCE, saved).variables) == {"discriminator"}
    both = {f"G.{k}": v for k, v in generator.items()}
    both |= {f"D.state_dict.{k}": v for k, v in judge.items()}
    converted = converters.convert(SOURCE, both)
    assert set(converted.variables) == {"generator", "discriminator"}
    assert converted.overrides["discriminator_width"] == 4


def test_missing_extra_and_misshapen_tensors_are_named(golden):
    weights = stored_weights(golden(SOURCE), "G")
    without = {k: v for k, v in weights.items() if k != "main.15.running_var"}
    with pytest.raises(ValueError, match=r"missing 'main\.15\.running_var'"):
        converters.convert(SOURCE, without)
    with pytest.raises(ValueError, match=r"Not part of it: 'main\.30\.weight'"):
        converters.convert(SOURCE, {**weights, "main.30.weight": np.zeros(3)})
    odd = {**weights, "main.20.weight": np.zeros((32, 8, 4, 4))}
    with pytest.raises(ValueError, match=r"'main\.20\.weight'.*deconv2/kernel"):
        converters.convert(SOURCE, odd)
    with pytest.raises(ValueError, match="missing 'main"):
        converters.convert(SOURCE, {})
