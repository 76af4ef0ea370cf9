"""Completion by Iizuka et al. against otenim's port, the paper's shapes and phases."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters, layers, masks
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


def test_a_bottleneck_cell_sees_287_pixels(key):
    """With positive weights, no less and no more; columns of a low image stand for it.

    The layers' reach: 1 + 4 + 2 + 4 + 4 + 8 + 8 + 16 + 32 + 64 + 128 + 8 + 8.
    """
    network = METHODS["global_local"](width=2).networks["generator"]
    image, mask = jnp.ones((1, 4, 640, 3)), jnp.zeros((1, 4, 640, 1))
    shapes = jax.eval_shape(network.init, key, image, mask)
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1), shapes)

    @jax.jit
    @jax.grad
    def gradient(image):
        _, stages = network.apply(
            variables,
            image,
            mask,
            capture_intermediates=lambda module, _: module.name == "conv12",
        )
        return stages["intermediates"]["conv12"]["__call__"][0][0, 0, 80].sum()

    columns = np.flatnonzero(np.abs(gradient(image)).sum(axis=(0, 1, 3)))
    assert columns[-1] - columns[0] + 1 == 287
    assert columns.size == 287
    assert columns[0] <= 320 <= columns[-1]


# Compiled without optimisation: these run once.
quick = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def small(**options):
    return METHODS["global_local"](
        **{"width": 4, "discriminator_width": 2, "local_size": 16, **options}
    )


@pytest.mark.slow
def test_phases_leave_the_other_network_alone(batch, fresh_variables):
    """Statistics included: in the second phase the completion network is frozen."""
    from inpainting_jax.training.optimizers import build_optimizer
    from inpainting_jax.training.phases import Plan
    from inpainting_jax.training.state import create_state
    from inpainting_jax.training.step import Step

    config, method = configs.get_config("paper"), small()
    assert [config.phases[n].steps for n in config.schedule] == [
        90_000,
        10_000,
        400_000,
    ]
    plan = Plan(config, method.networks)
    chains = {name: build_optimizer(spec) for name, spec in config.optimizers.items()}
    init = functools.partial(fresh_variables, method, batch=batch)
    state = create_state(jax.random.key(0), init, chains)
    step = Step(method, chains, prepare=lambda key, raw: raw)

    def changed(phase):
        """The (network, collection) that are not passed through, by tracing alone."""
        jaxpr, shapes = jax.make_jaxpr(
            lambda state: step(state, batch, phase=phase)[0].variables,
            return_shape=True,
        )(state)
        given = set(map(id, jaxpr.jaxpr.invars))
        same = [id(leaf) in given for leaf in jaxpr.jaxpr.outvars]
        same = jax.tree.unflatten(jax.tree.structure(shapes), same)
        return {
            (network, name)
            for network, collections in same.items()
            for name, tree in collections.items()
            if not all(jax.tree.leaves(tree))
        }

    kinds = ("params", "batch_stats")
    completion = {("generator", kind) for kind in kinds}
    judging = {("discriminator", kind) for kind in kinds}
    for first, last, expected in (
        (0, 89_999, completion),
        (90_000, 99_999, judging),
        (100_000, 499_999, completion | judging),
    ):
        assert plan.at(first) == plan.at(last)
        assert changed(plan.at(first)) == expected


@pytest.mark.parametrize(
    ("judged", "independent_window", "same"),
    [("composite", False, True), ("raw", False, False), ("composite", True, False)],
)
def test_what_the_discriminator_is_shown(
    batch, fresh_variables, judged, independent_window, same
):
    """Without holes a composite is the real image, seen through the same window."""
    method = small(judged=judged, independent_window=independent_window)
    batch = batch | {"mask": jnp.zeros_like(batch["mask"])}
    variables = fresh_variables(method, jax.random.key(0), batch)
    own = variables["discriminator"]["params"]
    objective = functools.partial(method.objectives["discriminator"], loss_weights={})
    _, aux = quick(objective)(own, variables, None, batch)
    real, fake = (aux.metrics[f"discriminator/{n}_logits"] for n in ("real", "fake"))
    assert np.isclose(real, fake, atol=1e-6) == same


@pytest.mark.parametrize(("non_saturating", "sign"), [(True, 1), (False, -1)])
def test_a_discriminator_without_opinion(batch, fresh_variables, non_saturating, sign):
    """Logits of 0 cost it 2 ln 2, and the completion network alpha ln 2."""
    method = small(non_saturating=non_saturating)
    variables = fresh_variables(method, jax.random.key(0), batch)
    silent = jax.tree.map(jnp.zeros_like, variables["discriminator"]["params"])
    variables["discriminator"]["params"] = silent
    weights = {"mse": 1.0, "adversarial": 4e-4}

    @quick
    def run(variables, batch):
        parts = [
            objective(variables[name]["params"], variables, None, batch, weights)
            for name, objective in method.objectives.items()
        ]
        prediction, _ = method.networks["generator"].apply(
            variables["generator"],
            batch["image"],
            batch["mask"],
            train=True,
            mutable=["batch_stats"],
        )
        return *parts, prediction

    (loss, aux), (judged, _), prediction = run(variables, batch)
    assert judged == pytest.approx(2 * np.log(2))
    mse = aux.metrics["generator/mse"]
    assert loss - mse == pytest.approx(sign * 4e-4 * np.log(2), rel=1e-3)
    # The error of the hole, in [0, 1], over all pixels of the image.
    error = (prediction - batch["image"]) / 2 * batch["mask"]
    assert mse == pytest.approx(float((error**2).mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "hole", "known"),
    [
        ({}, [0, 0, 0], [0.5, 0.3, 0.1]),
        ({"subtract_mean": False}, [0.25, 0.45, 0.65], [0.75, 0.75, 0.75]),
        ({"signed": True}, [0, 0, 0], [1.0, 0.6, 0.2]),
    ],
)
def test_the_hole_is_filled_with_the_mean_colour(options, hole, known):
    method = small(mean_colour=(0.25, 0.45, 0.65), **options)
    network = method.networks["generator"]
    image = jnp.full((1, 1, 2, 3), 0.5).at[0, 0, 0].set(jnp.nan)
    mask = jnp.array([1.0, 0.0]).reshape(1, 1, 2, 1)
    filled = network.apply({}, image, mask, method=network._filled)[0, 0]
    np.testing.assert_allclose(filled, [hole, known], atol=1e-6)


def test_holes_have_the_sides_of_the_paper():
    for preset, side, low, high in (("paper", 256, 96, 128), ("faces", 160, 48, 96)):
        draw = masks.sampler(configs.get_config(preset).masks)
        keys = jax.random.split(jax.random.key(0), 512)
        holes = jax.jit(jax.vmap(lambda key: draw(key, side, side)))(keys)  # noqa: B023
        sides = np.asarray(layers.hole_boxes(holes))[:, 2:]
        assert (sides.min(), sides.max()) == (low, high)


def as_mmagic(weights):
    """otenim's tensors under mmagic's names."""
    parts = [f"encoder.enc{i}" for i in range(1, 7)]
    parts += [f"dilation_neck.dilation_convs.{i}" for i in range(4)]
    parts += [f"decoder.dec{i}" for i in range(1, 8)]
    renamed = {}
    for name, array in weights.items():
        *module, leaf = name.split(".")
        if module[0] in ("model_gd", "model_ld"):
            branch = "disc." + {"g": "global", "l": "local"}[module[0][6]] + "_disc"
            kind, number = module[1].rstrip("0123456789"), module[1][-1]
            place = "fc.linear" if kind == "linear" else f"conv{number}.{kind}"
            renamed[f"{branch}.{place}.{leaf}"] = array
        elif module == ["linear1"]:
            renamed[f"disc.fc.{leaf}"] = array
        else:
            number = int(module[0].lstrip("deconvb"))
            kind = "bn" if module[0].startswith("bn") else "conv"
            renamed[f"generator.{parts[number - 1]}.{kind}.{leaf}"] = array
    return {f"state_dict.{name}": array for name, array in renamed.items()}


def test_both_layouts_hold_the_same_networks(otenim):
    _, weights = otenim("glcic_completion_otenim")
    weights |= otenim("glcic_discriminator_otenim", "celeba/")[1]
    ours = converters.convert("global_local_otenim", weights)
    renamed = as_mmagic(weights) | {"optimizer.state.0.step": np.zeros(1)}
    theirs = converters.convert("global_local_mmagic", renamed)
    jax.tree.map(np.testing.assert_array_equal, ours.variables, theirs.variables)
    assert set(ours.variables) == {"generator", "discriminator"}
    assert ours.overrides["norm_last"] and ours.overrides["local_first"]
    assert theirs.overrides["signed"] and "norm_last" not in theirs.overrides
    for converted in (ours, theirs):
        assert converted.overrides["local_size"] == 32
        METHODS["global_local"](**converted.overrides)


def test_a_layer_without_bias_gets_zeros(otenim):
    weights = as_mmagic(otenim("glcic_completion_otenim")[1])
    name = "state_dict.generator.encoder.enc3.conv.bias"
    assert weights.pop(name).any()
    converted = converters.convert("global_local_mmagic", weights)
    assert not converted.variables["generator"]["params"]["conv3"]["bias"].any()
    del weights["state_dict.generator.decoder.dec7.conv.bias"]
    with pytest.raises(ValueError, match=r"missing 'state_dict.*dec7\.conv\.bias'"):
        converters.convert("global_local_mmagic", weights)


def test_missing_and_left_over_tensors_are_named(otenim):
    weights = otenim("glcic_completion_otenim")[1]
    del weights["bn4.running_var"]
    weights["conv18.weight"] = np.zeros(1)
    with pytest.raises(ValueError, match=r"missing 'bn4\.running_var'.*'conv18\.w"):
        converters.convert("global_local_otenim", weights)
    with pytest.raises(ValueError, match="missing"):
        converters.convert("global_local_otenim", {})


def test_bgr_weights_give_the_same_picture_with_colours_reversed(otenim):
    weights = otenim("glcic_completion_otenim")[1]
    image = jax.random.uniform(jax.random.key(0), (1, 16, 16, 3)) * 2 - 1
    mask = jnp.zeros((1, 16, 16, 1)).at[:, 4:9, 4:9].set(1)
    pictures = []
    for order, pixels in (("rgb", image[..., ::-1]), ("bgr", image)):
        converted = converters.convert(
            "global_local_otenim", weights, channel_order=order
        )
        method = METHODS["global_local"](**converted.overrides)
        inpaint = quick(method.inpaint)
        pictures.append(inpaint(converted.variables, None, pixels, mask))
    np.testing.assert_allclose(pictures[0][..., ::-1], pictures[1], atol=1e-4)
    with pytest.raises(ValueError, match=r"'rgb' .* or 'bgr', got 'grb'"):
        converters.convert("global_local_otenim", weights, channel_order="grb")


def test_wrong_choices_are_named(batch):
    with pytest.raises(ValueError, match=r"\['l7'\].*mse, mse_hole, l1_hole"):
        small().objectives["generator"]({}, {}, None, batch, {"l7": 1.0})
    with pytest.raises(ValueError, match="even number >= 2, got 3"):
        small(width=3)
    with pytest.raises(ValueError, match=r"'both'.* Known: composite, raw"):
        small(judged="both")
    with pytest.raises(ValueError, match=r"unknown preset 'huge'.*faces"):
        configs.get_config("huge")
