"""Partial convolutions against naoto0804's U-Net and losses, and their two phases."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters, features, layers
from inpainting_jax.configs.partial_conv import PRESETS, get_config
from inpainting_jax.methods import METHODS
from inpainting_jax.methods.partial_conv import method as partial_conv
from inpainting_jax.methods.partial_conv.networks import (
    PartialBlock,
    to_native,
    to_signed,
)
from inpainting_jax.training.optimizers import build_optimizer
from inpainting_jax.training.phases import Plan
from inpainting_jax.training.state import create_state
from inpainting_jax.training.step import Step

PRECISE = 1e-4  # of the output's standard deviation: rounding of a deep network
PIXELS = {"valid": 1.0, "hole": 6.0, "tv": 0.1}


def relative_error(ours, theirs) -> float:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / theirs.std())


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("case", ["l5", "l7"])
def test_generator_equals_naoto(golden, recipe_weights, case):
    """By running statistics and by the batch's."""
    file = golden("pconv_unet_naoto")
    recipe = json.loads(str(file["meta"]))["recipe"]
    weights = recipe_weights(str(file[f"{case}/keys"]), recipe)
    converted = converters.convert(
        "partial_conv_naoto0804", weights, value_range="unit"
    )
    assert converted.overrides["depth"] == int(case[1])
    generator = METHODS["partial_conv"](**converted.overrides).networks["generator"]
    image = jnp.asarray(file[f"{case}/image_u8"] / 127.5 - 1, jnp.float32)
    mask = 1 - jnp.asarray(file[f"{case}/mask"])[..., None]
    for kind in ("eval", "train"):
        apply = jax.jit(
            lambda variables, train=kind == "train": generator.apply(
                variables, image, mask, train=train, mutable=["batch_stats"]
            )[0]
        )
        prediction, valid = apply(converted.variables["generator"])
        expected = file[f"{case}/y_{kind}"].transpose(0, 2, 3, 1)
        assert relative_error(to_native(prediction, "unit"), expected) < PRECISE
        stored = file[f"{case}/mask_out"].transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(np.repeat(valid, 3, axis=-1), stored)


@pytest.mark.parametrize(("depth", "expected"), [(7, 25_779_796), (8, 32_859_732)])
def test_parameter_counts(depth, expected):
    method = METHODS["partial_conv"](depth=depth)
    side = 2**depth
    batch = {
        "image": jnp.zeros((1, side, side, 3)),
        "mask": jnp.zeros((1, side, side, 1)),
    }
    shapes = jax.eval_shape(lambda key: method.init(key, batch), jax.random.key(0))
    assert count(shapes["generator"]["params"]) == expected


def test_stages_of_the_papers_network():
    """Sides and channels that leave each block at 512 px."""
    generator = METHODS["partial_conv"](**get_config("paper").model).networks[
        "generator"
    ]

    def stages(key):
        image, mask = jnp.zeros((1, 512, 512, 3)), jnp.zeros((1, 512, 512, 1))
        variables = generator.init(key, image, mask)
        _, kept = generator.apply(
            variables,
            image,
            mask,
            capture_intermediates=lambda module, _: isinstance(module, PartialBlock),
            mutable=["intermediates"],
        )
        return kept["intermediates"]

    kept = jax.eval_shape(stages, jax.random.key(0))
    found = {name: block["__call__"][0][0].shape[1:] for name, block in kept.items()}
    channels = (64, 128, 256, 512, 512, 512, 512, 512)
    for i, width in enumerate(channels, 1):
        side = 512 // 2**i
        assert found[f"enc{i}"] == (side, side, width)
        out = 3 if i == 1 else channels[i - 2]
        assert found[f"dec{i}"] == (2 * side, 2 * side, out)


def test_every_term_equals_naoto(golden, monkeypatch):
    """With the extractor of the golden file in VGG's place."""
    file = golden("losses_torch")
    image, output, valid = (
        jnp.asarray(file[name].transpose(0, 2, 3, 1))
        for name in ("image", "output", "mask_valid")
    )
    assert (valid == valid[..., :1]).all()
    kernels = [file[f"extractor/k{i}"].transpose(2, 3, 1, 0) for i in (1, 2, 3)]

    def extract(images):
        found = []
        for kernel, strides in zip(kernels, (1, 2, 2), strict=True):
            convolved = layers.convolve(
                images, jnp.asarray(kernel), strides=strides, padding="SYMMETRIC"
            )
            images = jax.nn.relu(convolved)
            found.append(images)
        return found

    terms_of = partial_conv.Terms(
        value_range="signed",
        features="vgg16",
        tv_region="all",
        l1_reduction="all",
        dtype="float32",
    )
    monkeypatch.setattr(terms_of, "extract", extract)
    weights = dict.fromkeys(partial_conv.TERMS, 1.0)
    terms = terms_of(output, image, 1 - valid[..., :1], weights)
    theirs = {"perceptual": "prc"}
    for name, term in terms.items():
        expected = file[f"pconv_loss/{theirs.get(name, name)}"]
        np.testing.assert_allclose(term.mean(), expected, rtol=5e-6, err_msg=name)


def test_reductions_and_regions_of_the_terms():
    """A hole of a quarter: means inside regions are 4 and 4/3 times those over all."""
    rng = np.random.default_rng(0)
    image, output = jnp.asarray(rng.uniform(-1, 1, (2, 1, 8, 8, 3)), jnp.float32)
    mask = jnp.zeros((1, 8, 8, 1)).at[:, :4, :4].set(1)

    def terms(**options):
        options = {"tv_region": "hole", "l1_reduction": "all", **options}
        terms_of = partial_conv.Terms(
            value_range="signed", features="none", dtype="float32", **options
        )
        return terms_of(output, image, mask, {})

    whole, region = terms(), terms(l1_reduction="region")
    np.testing.assert_allclose(region["hole"], 4 * whole["hole"], rtol=1e-5)
    np.testing.assert_allclose(region["valid"], 4 / 3 * whole["valid"], rtol=1e-5)
    # 56 pairs each way in all, 12 of them inside the hole.
    np.testing.assert_allclose(region["tv"], 56 / 12 * whole["tv"], rtol=1e-5)
    assert terms(tv_region="all")["tv"] > terms(tv_region="dilated")["tv"]
    assert terms(tv_region="dilated")["tv"] > whole["tv"]


@pytest.fixture(scope="module")
def small(fresh_variables):
    method = METHODS["partial_conv"](depth=3, width=4, features="random")
    rng = np.random.default_rng(0)
    mask = np.zeros((2, 16, 24, 1), np.float32)
    mask[0, 4:12, 6:20] = 1
    mask[1, 2:8, 10:22] = 1
    batch = {
        "image": jnp.asarray(rng.uniform(-1, 1, (2, 16, 24, 3)), jnp.float32),
        "mask": jnp.asarray(mask),
        "keys": jax.random.split(jax.random.key(1), 2),
    }
    return method, fresh_variables(method, jax.random.key(0), batch), batch


def test_the_second_phase_freezes_the_encoders_normalisation(small):
    """Statistics, scale and bias stay to the bit; all else of both sides moves."""
    method, variables, batch = small
    config = get_config("tiny")
    config.schedule = ("finetune",)
    config.phases.finetune.steps = 3
    phase = Plan(config, method.networks).at(0)
    chains = {"generator": build_optimizer(config.optimizers.generator)}
    state = create_state(jax.random.key(0), lambda key: variables, chains)
    step = Step(method, chains, prepare=lambda key, raw: raw)
    train = jax.jit(lambda state: step(state, batch, phase=phase)[0])
    for _ in range(3):
        state = train(state)
    before, after = variables["generator"], state.variables["generator"]
    paths = jax.tree_util.tree_leaves_with_path(before)
    leaves = zip(paths, jax.tree.leaves(after), strict=True)
    frozen = moved = 0
    for (path, old), new in leaves:
        names = [str(key.key) for key in path]
        if names[1].startswith("enc") and names[2] == "norm":
            np.testing.assert_array_equal(old, new, err_msg=str(names))
            frozen += 1
        else:
            assert not np.array_equal(old, new), names
            moved += 1
    assert (
        frozen == 8 and moved == 3 + 4 + 8
    )  # of 2 encoder norms, kernels, bias, norms


@pytest.mark.slow
def test_a_frozen_encoder_normalises_by_running_statistics(small):
    method, variables, batch = small
    generator = method.networks["generator"]

    def run(variables, **options):
        return generator.apply(
            variables,
            batch["image"],
            batch["mask"],
            train=True,
            mutable=["batch_stats"],
            **options,
        )[0][0]

    stats = variables["generator"]["batch_stats"]
    other = {
        name: jax.tree.map(lambda x: x + 0.5, norm) if name[:3] == "enc" else norm
        for name, norm in stats.items()
    }
    changed = {**variables["generator"], "batch_stats": other}
    free = run(variables["generator"])
    np.testing.assert_array_equal(free, run(changed))
    frozen = run(variables["generator"], freeze_encoder_norm=True)
    assert not np.allclose(frozen, free)
    assert not np.allclose(frozen, run(changed, freeze_encoder_norm=True))


def objective(method, variables, batch, weights):
    return method.objectives["generator"](
        variables["generator"]["params"], variables, None, batch, weights
    )


def test_terms_of_an_untrained_feature_network_say_so(small):
    method, variables, batch = small
    weights = {**PIXELS, "perceptual": 0.05, "style": 120.0}
    compiled = jax.jit(lambda v, b: objective(method, v, b, weights))
    total, aux = compiled(variables, batch)
    assert jnp.isfinite(total)
    assert "generator/style_random" in aux.metrics
    assert "generator/perceptual_random" in aux.metrics
    terms = {name.split("/")[-1]: value for name, value in aux.metrics.items()}
    expected = sum(weights[n] * terms[n] for n in PIXELS)
    expected += 0.05 * terms["perceptual_random"] + 120 * terms["style_random"]
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_weightless_features_are_not_computed(small, monkeypatch):
    method, variables, batch = small

    def fail(*args, **kwargs):
        raise AssertionError("loaded without need")

    monkeypatch.setattr(features, "feature_network", fail)
    weights = {**PIXELS, "style": 0.0}
    compiled = jax.jit(lambda v, b: objective(method, v, b, weights))
    total, aux = compiled(variables, batch)
    assert jnp.isfinite(total)
    assert not any("style" in name for name in aux.metrics)


def test_terms_of_features_without_a_network_are_refused(small):
    _, variables, batch = small
    method = METHODS["partial_conv"](depth=3, width=4)
    with pytest.raises(ValueError, match=r"\['style'\] need a feature network.*vgg16"):
        objective(method, variables, batch, {**PIXELS, "style": 120.0})
    with pytest.raises(ValueError, match=r"\['l7'\].*freeze_encoder_norm"):
        objective(method, variables, batch, {"l7": 1.0})


def test_wrong_arguments_are_refused(small):
    method, variables, batch = small
    with pytest.raises(ValueError, match=r"depth must lie in 2\.\.10"):
        METHODS["partial_conv"](depth=1)
    with pytest.raises(ValueError, match="'sum'"):
        METHODS["partial_conv"](window="sum")
    with pytest.raises(ValueError, match=r"multiples of 2\*\*depth"):
        image, mask = batch["image"][:, :12], batch["mask"][:, :12]
        method.predict(variables, None, image, mask)


@pytest.mark.parametrize("value_range", ["unit", "signed", "imagenet"])
def test_ranges_are_undone(value_range):
    image = jnp.linspace(-1, 1, 24).reshape(1, 2, 4, 3)
    native = to_native(image, value_range)
    np.testing.assert_allclose(to_signed(native, value_range), image, atol=1e-6)
    if value_range == "unit":
        assert native.min() == 0 and native.max() == 1


def test_mixed_precision_stays_close(small):
    method, variables, batch = small
    half = METHODS["partial_conv"](depth=3, width=4, compute_dtype="bfloat16")
    full, low = (
        jax.jit(m.predict)(variables, None, batch["image"], batch["mask"])["prediction"]
        for m in (method, half)
    )
    assert low.dtype == jnp.float32
    # bfloat16 keeps 8 bits: 0.4 % a layer, 6 layers, values beyond 1 before clipping.
    assert jnp.abs(full - low).mean() < 0.02


def state_dict(method, variables, name_of):
    """The variables under a port's names, kernels turned back."""
    leaves = {"kernel": "weight", "bias": "bias", "scale": "weight"}
    leaves |= {"mean": "running_mean", "var": "running_var"}
    tensors = {}
    flat = jax.tree_util.tree_leaves_with_path(variables["generator"])
    for path, leaf in flat:
        _, block, part, kind = (str(key.key) for key in path)
        array = np.asarray(leaf)
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
        tensors[f"{name_of(block, part)}.{leaves[kind]}"] = array
    return tensors


def test_mmagics_names_come_back_as_they_were(fresh_variables):
    options = {"depth": 3, "width": 4, "first_bias": True, "value_range": "signed"}
    method = METHODS["partial_conv"](**options)
    batch = {"image": jnp.zeros((1, 8, 8, 3)), "mask": jnp.zeros((1, 8, 8, 1))}
    variables = fresh_variables(method, jax.random.key(0), batch)
    sides = {"enc": "encoder", "dec": "decoder"}

    def name_of(block, part):
        part = {"conv": "conv", "norm": "bn"}[part]
        return f"state_dict.generator.{sides[block[:3]]}.{block}.{part}"

    tensors = state_dict(method, variables, name_of)
    updater = "state_dict.generator.encoder.enc1.conv.weight_mask_updater"
    tensors[updater] = np.ones((4, 3, 7, 7))
    tensors["meta.epoch"] = np.zeros(())
    converted = converters.convert("partial_conv_mmagic", tensors)
    assert options.items() <= converted.overrides.items()
    jax.tree.map(np.testing.assert_array_equal, converted.variables, dict(variables))
    del tensors["state_dict.generator.decoder.dec2.bn.running_var"]
    with pytest.raises(ValueError, match=r"missing '.*dec2\.bn\.running_var'"):
        converters.convert("partial_conv_mmagic", tensors)


def test_a_saved_checkpoint_of_naoto_is_taken_apart(small):
    method, variables, _ = small

    def name_of(block, part):
        part = {"conv": "conv.input_conv", "norm": "bn"}[part]
        return f"model.{block[:3]}_{block[3:]}.{part}"

    tensors = state_dict(method, variables, name_of)
    tensors["model.enc_1.conv.mask_conv.weight"] = np.ones((4, 3, 7, 7))
    tensors["optimizer.state.0.exp_avg"] = np.zeros(3)
    converted = converters.convert("partial_conv_naoto0804", tensors)
    assert converted.overrides == {
        "depth": 3,
        "width": 4,
        "window": "one",
        "value_range": "imagenet",
        "tv_region": "all",
    }
    jax.tree.map(np.testing.assert_array_equal, converted.variables, dict(variables))
    with pytest.raises(ValueError, match="'bgr'"):
        converters.convert("partial_conv_naoto0804", tensors, value_range="bgr")


@pytest.mark.parametrize("preset", PRESETS)
def test_the_rate_falls_where_the_second_phase_begins(preset):
    config = get_config(preset)
    rate = config.optimizers.generator.learning_rate
    if preset == "finetune":
        assert rate == 5e-5 and config.schedule == ("finetune",)
    else:
        assert rate.boundaries == (config.phases.initial.steps,)
        assert "freeze_encoder_norm" not in config.phases.initial.loss_weights
    assert config.phases.finetune.loss_weights.freeze_encoder_norm == 1.0
    method = METHODS["partial_conv"](**config.model)
    assert config.data.image_size % method.multiple == 0
