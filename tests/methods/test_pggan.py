"""PGGAN: the sizes written down for it, its two heads, its weighted objective."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.configs import pggan as configs
from inpainting_jax.methods import METHODS
from inpainting_jax.methods.pggan.networks import ResidualBlock

WEIGHTS = {"l1": 0.995, "adversarial_global": 0.0025, "adversarial_patch": 0.0025}

# Compiled without optimisation: these run once.
quick = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def small(**options):
    given = {"width": 4, "discriminator_width": 2, "dilations": (1, 2)}
    return METHODS["pggan"](**(given | options))


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes_of(preset, side=256):
    """The method of a preset and its variables' shapes, nothing allocated."""
    config = configs.get_config(preset)
    method = METHODS["pggan"](**config.model)
    batch = {
        "image": jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32),
        "mask": jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32),
    }
    return method, jax.eval_shape(method.init, jax.random.key(0), batch)


@pytest.mark.parametrize("preset", ["paper", "res"])
def test_parameter_counts(preset):
    """Dilation costs no parameters."""
    _, shapes = shapes_of(preset)
    assert count(shapes["generator"]["params"]) == 11_391_811
    parts = dict.fromkeys(("trunk", "patch", "global"), 0)
    for name, layer in shapes["discriminator"]["params"].items():
        parts[name.rstrip("0123456789").removesuffix("_dense")] += count(layer)
    assert parts == {"trunk": 659_648, "patch": 2_106_881, "global": 10_498_561}


@pytest.mark.parametrize("size", [(256, 256), (128, 128), (320, 192)])
def test_the_generator_keeps_the_size(size):
    method, shapes = shapes_of("paper")
    image, mask = (jnp.zeros((1, 1, 1, c)) for c in (3, 1))
    image, mask = (
        jax.ShapeDtypeStruct((1, *size, x.shape[-1]), x.dtype) for x in (image, mask)
    )
    network = method.networks["generator"]
    run = functools.partial(network.apply, capture_intermediates=True)
    out, stages = jax.eval_shape(run, shapes["generator"], image, mask)
    assert out.shape == (1, *size, 3)
    sizes = {
        name: stage["__call__"][0].shape[1:]
        for name, stage in stages["intermediates"].items()
        if name != "__call__"
    }
    height, width = size
    assert sizes["conv1"] == sizes["up2"] == (height, width, 64)
    assert sizes["conv2"] == sizes["up1"] == (height // 2, width // 2, 128)
    quarter = (height // 4, width // 4, 256)
    assert sizes["conv3"] == quarter
    assert {sizes[f"block{i}"] for i in range(1, 10)} == {quarter}


@pytest.mark.parametrize(
    ("side", "patch", "halvings"), [(256, 30, 3), (128, 14, 2), (64, 6, 1), (32, 2, 0)]
)
def test_the_heads_fit_images_of_any_size(side, patch, halvings):
    method, shapes = shapes_of("paper", side)
    image = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    network = method.networks["discriminator"]
    logits = jax.eval_shape(network.apply, shapes["discriminator"], image)
    assert logits["global"].shape == (2, 1)
    assert logits["patch"].shape == (2, patch, patch, 1)
    names = shapes["discriminator"]["params"]
    assert sum(name.startswith("global") for name in names) == halvings + 1
    dense = names["global_dense"]["kernel"].shape
    assert dense == (16 * (512 if halvings else 256), 1)


def test_a_patch_judgement_sees_70_pixels(key):
    """Columns of a low image stand for both directions; all weights positive."""
    network = small().networks["discriminator"]
    image = jnp.ones((1, 32, 192, 3))
    shapes = jax.eval_shape(network.init, key, image)
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1), shapes)

    @quick
    @jax.grad
    def gradient(image):
        return network.apply(variables, image)["patch"][0, 0, 11, 0]

    columns = np.flatnonzero(np.abs(gradient(image)).sum(axis=(0, 1, 3)))
    assert columns.size == columns[-1] - columns[0] + 1 == 70


@pytest.mark.parametrize(
    ("position", "inner", "outer"),
    [("none", 3, 5), ("first", 9, 11), ("second", 3, 11)],
)
def test_one_convolution_of_a_block_is_dilated(key, position, inner, outer):
    """How many pixels the first and the second see, at dilation 4."""
    block = ResidualBlock(4, position, False)
    features = jnp.ones((1, 1, 32, 1))
    shapes = jax.eval_shape(block.init, key, features)
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1), shapes)

    @quick
    @jax.jacobian
    def gradient(features):
        out, stages = block.apply(variables, features, capture_intermediates=True)
        first = stages["intermediates"]["conv1"]["__call__"][0]
        return first[0, 0, 16, 0], out[0, 0, 16, 0]

    spans = [np.ptp(np.flatnonzero(part)) + 1 for part in gradient(features)]
    assert spans == [inner, outer]


@pytest.fixture(scope="module")
def prepared(fresh_variables):
    """A small method with variables, and a batch of 32 pixels."""
    method = small()
    rng = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(rng.uniform(-1, 1, (2, 32, 32, 3)), jnp.float32),
        "mask": jnp.zeros((2, 32, 32, 1)).at[:, 8:20, 8:24].set(1),
    }
    return method, fresh_variables(method, jax.random.key(0), batch), batch


def with_discriminator(variables, change):
    """`variables` whose discriminator's parameters `change(name, layer)` replaced."""
    params = variables["discriminator"]["params"]
    params = {name: change(name, layer) for name, layer in params.items()}
    own = {**variables["discriminator"], "params": params}
    return {**variables, "discriminator": own}


def test_logits_of_zero_cost_ln_two(prepared):
    method, variables, batch = prepared
    silent = with_discriminator(
        variables, lambda _, layer: jax.tree.map(jnp.zeros_like, layer)
    )

    @quick
    def run(variables):
        return [
            method.objectives[name](
                variables[name]["params"], variables, None, batch, WEIGHTS
            )
            for name in ("generator", "discriminator")
        ]

    (loss, aux), (judged, judged_aux) = run(silent)
    assert aux.metrics["generator/adversarial_global"] == pytest.approx(np.log(2))
    assert aux.metrics["generator/adversarial_patch"] == pytest.approx(np.log(2))
    l1 = float(aux.metrics["generator/l1"])
    assert loss == pytest.approx(0.995 * l1 + 0.005 * np.log(2), rel=1e-6)
    assert judged == pytest.approx(4 * np.log(2))
    assert judged_aux.metrics["discriminator/patch"] == pytest.approx(2 * np.log(2))


@pytest.mark.parametrize(
    ("weights", "reached"),
    [
        ({"adversarial_global": 1.0}, {"trunk", "global"}),
        ({"adversarial_patch": 1.0}, {"trunk", "patch"}),
        ({"l1": 1.0}, {"trunk", "global", "patch"}),
    ],
)
def test_both_heads_teach_the_trunk(prepared, weights, reached):
    """A head without weight is left alone; in a phase without any, both learn."""
    method, variables, batch = prepared

    @quick
    @jax.grad
    def gradient(params):
        objective = method.objectives["discriminator"]
        return objective(params, variables, None, batch, weights)[0]

    changed = {
        name.rstrip("0123456789").removesuffix("_dense")
        for name, layer in gradient(variables["discriminator"]["params"]).items()
        if any(np.abs(leaf).max() > 1e-9 for leaf in jax.tree.leaves(layer))
    }
    assert changed == reached


def test_each_head_teaches_the_generator_by_its_weight(prepared):
    """Other parameters of a head without weight leave the generator's gradient."""
    method, variables, batch = prepared

    @functools.partial(quick, static_argnames="weights")
    def gradient(variables, weights):
        def loss(params):
            objective = method.objectives["generator"]
            return objective(params, variables, None, batch, dict(weights))[0]

        return jax.grad(loss)(variables["generator"]["params"])["last"]["kernel"]

    for head, other in (("global", "patch"), ("patch", "global")):

        def shifted(name, layer, head=head):
            change = 0.1 if name.startswith(head) else 0.0
            return jax.tree.map(lambda leaf: leaf + change, layer)

        weights = (("l1", 1.0), (f"adversarial_{other}", 1.0))
        before = gradient(variables, weights)
        after = gradient(with_discriminator(variables, shifted), weights)
        np.testing.assert_array_equal(before, after)
        both = gradient(variables, (*weights, (f"adversarial_{head}", 1.0)))
        assert np.abs(both - before).max() > 1e-6


@pytest.mark.parametrize(("judged", "same"), [("composite", True), ("raw", False)])
def test_what_the_discriminator_is_shown(prepared, judged, same):
    """Without holes a composite is the real image."""
    _, variables, batch = prepared
    method = small(judged=judged)
    batch = batch | {"mask": jnp.zeros_like(batch["mask"])}

    @quick
    def run(variables):
        own = variables["discriminator"]["params"]
        objective = method.objectives["discriminator"]
        return objective(own, variables, None, batch, WEIGHTS)[1].metrics

    metrics = run(variables)
    for head in ("global", "patch"):
        real, fake = (
            metrics[f"discriminator/{head}_{n}_logits"] for n in ("real", "fake")
        )
        assert np.isclose(real, fake, atol=1e-6) == same


def test_the_hole_weighs_as_much_as_asked(prepared):
    method, variables, batch = prepared
    heavy = small(hole_weight=3.0)

    @quick
    def terms(variables):
        own = variables["generator"]["params"]
        both = [
            each.objectives["generator"](own, variables, None, batch, {"l1": 1.0})
            for each in (method, heavy)
        ]
        prediction, _ = method.networks["generator"].apply(
            variables["generator"],
            batch["image"],
            batch["mask"],
            train=True,
            mutable=["batch_stats"],
        )
        l1 = jnp.abs(prediction - batch["image"]).mean()
        return both[0][0], both[1][0], both[0][1].metrics["l1_hole"], l1

    plain, weighted, hole, l1 = terms(variables)
    assert plain == pytest.approx(float(l1), rel=1e-5)
    share = float(batch["mask"].mean())
    assert weighted - plain == pytest.approx(2 * share * float(hole), rel=1e-5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dilated_position", "none"),
        ("dilated_position", "second"),
        ("resize", "bilinear"),
        ("mean_colour", (0.1, 0.2, 0.3)),
    ],
)
def test_options_of_the_generator_change_the_picture(prepared, option, value):
    """With the same parameters: none of these has any of its own."""
    method, variables, batch = prepared
    pictures = [
        quick(each.inpaint)(variables, None, batch["image"], batch["mask"])
        for each in (method, small(**{option: value}))
    ]
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-3


def test_masks_are_seen_where_they_are_asked_for():
    _, shapes = shapes_of("paper")
    batch = {"image": jnp.zeros((1, 32, 32, 3)), "mask": jnp.zeros((1, 32, 32, 1))}
    for options, channels in (
        ({"use_mask": False}, (3, 3)),
        ({"judge_mask": True}, (4, 4)),
    ):
        init = small(**options).init
        params = jax.eval_shape(init, jax.random.key(0), batch)
        first = params["generator"]["params"]["conv1"]["kernel"]
        trunk = params["discriminator"]["params"]["trunk1"]["kernel"]
        assert (first.shape[2], trunk.shape[2]) == channels
    assert shapes["generator"]["params"]["conv1"]["kernel"].shape[2] == 4


def test_ablations_differ_from_the_paper_in_one_thing():
    paper = configs.get_config()
    assert dict(paper.phases.joint.loss_weights) == WEIGHTS
    for preset, adversarial in (
        ("patch_only", (0.0, 0.005)),
        ("global_only", (0.005, 0.0)),
    ):
        config = configs.get_config(preset)
        weights = config.phases.joint.loss_weights
        assert (weights.adversarial_global, weights.adversarial_patch) == adversarial
        config.phases.joint.loss_weights = paper.phases.joint.loss_weights
        config.preset = "paper"
        assert config.to_dict() == paper.to_dict()


def test_wrong_choices_are_named(prepared):
    method, variables, batch = prepared
    with pytest.raises(ValueError, match=r"\['adversarial'\].*adversarial_patch"):
        method.objectives["generator"](
            variables["generator"]["params"], variables, None, batch, {"adversarial": 1}
        )
    with pytest.raises(ValueError, match=r"'third'.* Known: none, first, second"):
        small(dilated_position="third")
    with pytest.raises(ValueError, match="hole_weight above 0"):
        small(hole_weight=0)
    with pytest.raises(ValueError, match=r"unknown preset 'huge'.*global_only"):
        configs.get_config("huge")
