"""Cascaded refinement: its layers against loops, its layout, terms and pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import features, layers, losses
from inpainting_jax.configs.cascaded_refinement import PRESETS, get_config
from inpainting_jax.methods import METHODS
from inpainting_jax.methods.cascaded_refinement import method as cascaded
from inpainting_jax.methods.cascaded_refinement.networks import (
    RefinementModule,
    image_pyramid,
    layout_pyramid,
    one_hot_layout,
    split_pictures,
)
from inpainting_jax.training.phases import Plan

SMALL = {"channels": (6, 4, 4)}
LABELLED = {**SMALL, "classes": 3}
EVERY = dict.fromkeys(cascaded.TERMS, 1.0)


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    mask = np.zeros((2, 16, 16, 1), np.float32)
    mask[0, 4:10, 5:12] = 1
    mask[1, 2:9, 3:6] = 1
    return {
        "image": jnp.asarray(rng.uniform(-1, 1, (2, 16, 16, 3)), jnp.float32),
        "mask": jnp.asarray(mask),
        "guide": jnp.asarray(rng.integers(0, 3, (2, 16, 16, 1)), jnp.float32),
        "keys": jax.random.split(jax.random.key(1), 2),
    }


def quickly(function):
    """Compiled unoptimised: each test runs its program once or twice."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def make(batch, **options):
    method = METHODS["cascaded_refinement"](**options)
    return method, quickly(method.init)(jax.random.key(0), batch)


def objective(method, variables, batch, weights):
    run = method.objectives["generator"]

    def evaluate(variables, batch):
        params = variables["generator"]["params"]
        return run(params, variables, jax.random.key(2), batch, weights)

    return quickly(evaluate)(variables, batch)


def naive_module(params, planes):
    """conv, layer normalisation, leaky ReLU, twice, by loops over the windows."""
    for name in ("conv1", "conv2"):
        kernel = np.asarray(params[name]["kernel"], np.float64)
        padded = np.pad(planes, ((1, 1), (1, 1), (0, 0)))
        out = np.zeros((*planes.shape[:2], kernel.shape[-1]))
        for row, column in np.ndindex(*planes.shape[:2]):
            window = padded[row : row + 3, column : column + 3]
            out[row, column] = np.einsum("ijc,ijcf->f", window, kernel)
        scale, bias = (params[name]["norm"][leaf] for leaf in ("scale", "bias"))
        out = (out - out.mean()) / out.std() * np.asarray(scale) + np.asarray(bias)
        planes = np.where(out > 0, out, 0.2 * out)
    return planes


def test_a_module_equals_loops(key):
    """Features first, then the planes; statistics of all of one image's values."""
    rng = np.random.default_rng(0)
    below = jnp.asarray(rng.normal(size=(2, 2, 3, 4)), jnp.float32)
    planes = jnp.asarray(rng.normal(size=(2, 4, 6, 2)), jnp.float32)
    module = RefinementModule(5)
    params = module.init(key, below, planes)["params"]
    params = jax.tree.map(
        lambda p: p + jnp.asarray(0.1 * rng.normal(size=p.shape), p.dtype), params
    )
    out = quickly(module.apply)({"params": params}, below, planes)
    doubled = layers.resize_bilinear(below, 4, 6)
    for i in range(2):
        seen = np.concatenate([doubled[i], planes[i]], axis=-1)
        # float32 sums of 54 products, divided by their deviation.
        np.testing.assert_allclose(out[i], naive_module(params, seen), atol=2e-5)


@pytest.mark.parametrize("side", [(256, 512), (256, 256)])
def test_the_papers_network(side):
    """Sides and channels of its modules, and the number of its parameters."""
    config = get_config("paper")
    generator = METHODS["cascaded_refinement"](**config.model).networks["generator"]
    height, width = side
    blank = jnp.zeros((1, height, width, 3)), jnp.zeros((1, height, width, 1))

    def stages(key):
        variables = generator.init(key, *blank)
        drawn, kept = generator.apply(
            variables,
            *blank,
            capture_intermediates=lambda module, _: isinstance(
                module, RefinementModule
            ),
            mutable=["intermediates"],
        )
        return drawn, kept["intermediates"], variables["params"]

    drawn, kept, params = jax.eval_shape(stages, jax.random.key(0))
    assert drawn.shape == (1, 9, height, width, 3)
    channels = (1024,) * 5 + (512, 512)
    for i, features_out in enumerate(channels):
        rows = 4 * 2**i
        shape = (rows, rows * width // height, features_out)
        assert kept[f"module{i}"]["__call__"][0].shape[1:] == shape
    before, expected = 0, channels[-1] * 27 + 27
    for features_out in channels:
        first = 9 * (before + 20) * features_out
        expected += first + 9 * features_out**2 + 4 * features_out
        before = features_out
    assert count(params) == expected == 97_875_483


def test_the_layout_has_a_class_for_unlabelled_pixels():
    guide = jnp.asarray([0.0, 1.0, 2.0, 255.0]).reshape(1, 2, 2, 1)
    layout = one_hot_layout(guide, 3)
    np.testing.assert_array_equal(layout[0].reshape(4, 4), np.eye(4))
    small, large = layout_pyramid(layout, 2)
    np.testing.assert_array_equal(small, np.full((1, 1, 1, 4), 0.25))
    assert large is layout


def test_small_maps_hold_the_colour_of_the_known_pixels():
    image = jnp.asarray([[0.5, jnp.nan], [0.7, jnp.nan]]).reshape(1, 2, 2, 1)
    image = jnp.repeat(image, 3, axis=-1)
    mask = jnp.asarray([[0.0, 1.0], [0.0, 1.0]]).reshape(1, 2, 2, 1)
    small, large = image_pyramid(image, mask, 2)
    np.testing.assert_allclose(small[0, 0, 0], [0.6, 0.6, 0.6, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(large[0, :, 1], [[0, 0, 0, 1]] * 2)
    (empty,) = image_pyramid(image, jnp.ones_like(mask), 1)
    np.testing.assert_array_equal(empty, np.tile([0, 0, 0, 1], (1, 2, 2, 1)))


def test_colours_of_the_pictures_stand_in_blocks():
    """The authors' order: reds of all pictures, greens, blues."""
    drawn = jnp.arange(9.0).reshape(1, 1, 1, 9)
    pictures = split_pictures(drawn, 3)
    expected = [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    np.testing.assert_array_equal(pictures[0, :, 0, 0], expected)


def test_the_picture_that_fits_the_known_pixels_is_taken(batch):
    image, mask = batch["image"], batch["mask"]
    right = jnp.where(mask > 0.5, 5.0, image)  # wrong in the hole alone
    wrong = image + 0.1
    pictures = jnp.stack([wrong, right, wrong], axis=1)
    taken = cascaded.closest_picture(pictures, image, mask)
    np.testing.assert_array_equal(taken, right)
    first = cascaded.closest_picture(pictures, image, jnp.ones_like(mask))
    np.testing.assert_array_equal(first, wrong)


@pytest.mark.slow
def test_the_objective_is_the_diversity_loss_of_weighed_layers(batch, key):
    """With the random VGG16, against a sum over layers written out."""
    method, variables = make(batch, **LABELLED, pictures=2, features="random")
    weights = {"input": 2.0, "conv1_2": 3.0, "conv2_2": 0.5}
    total, aux = objective(method, variables, batch, weights)
    shown = cascaded.hide_labels(batch, 0.5)
    pictures = quickly(method.networks["generator"].apply)(
        {"params": variables["generator"]["params"]},
        batch["image"],
        batch["mask"],
        shown,
    )
    network = features.feature_network("random")
    taps = ("conv1_2", "conv2_2")
    look = quickly(lambda image: network(image, taps, pooling="average_same"))
    truth = look(batch["image"])
    layout = one_hot_layout(batch["guide"], 3)
    scale = 2 * jnp.asarray([0.229, 0.224, 0.225])[None, None, None, None]
    pixels = jnp.abs(pictures - batch["image"][:, None]) / scale
    by_class = 2.0 * jnp.einsum("bkhw,bhwn->bkn", pixels.mean(-1), layout) / 256
    metrics = {"generator/input": pixels.mean()}
    ours = [look(pictures[:, i]) for i in (0, 1)]
    for i, (tap, weight) in enumerate(zip(taps, (3.0, 0.5), strict=True)):
        both = jnp.stack([picture[i] for picture in ours], axis=1)
        distances = losses.class_distances(both, truth[i], layout)
        by_class = by_class + weight * distances
        metrics[f"generator/{tap}_random"] = distances.sum(axis=2).mean()
    expected = losses.diversity_loss(by_class).mean()
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert set(aux.metrics) == {*metrics, "l1_hole"}
    for name, value in metrics.items():
        np.testing.assert_allclose(aux.metrics[name], value, rtol=1e-5)


def test_the_second_phase_divides_by_the_means_of_the_first(batch):
    method, variables = make(batch, **SMALL, features="random", balance=True)
    weights = {"input": 1.0, "conv1_2": 1.0}
    first, aux = objective(method, variables, batch, weights)
    pixels, tap = (aux.metrics[f"generator/{n}"] for n in ("input", "conv1_2_random"))
    np.testing.assert_allclose(first, pixels + tap, rtol=1e-5)
    recorded = aux.updates["generator"]["balance"]
    assert recorded["count"] == 1 and recorded["conv5_2"] == 0
    variables = {"generator": {**variables["generator"], "balance": recorded}}
    switched = {"input": 1.0, "conv1_2": 10.0, "balanced": 1.0}
    second, aux = objective(method, variables, batch, switched)
    np.testing.assert_allclose(second, 11 * pixels, rtol=1e-5)
    assert not aux.updates  # frozen
    method, variables = make(batch, **SMALL, features="random")
    with pytest.raises(ValueError, match=r"model\.balance=True"):
        objective(method, variables, batch, switched)


def test_the_hole_counts_as_often_as_told(batch):
    method, variables = make(batch, **SMALL, hole_weight=3.0)
    total, aux = objective(method, variables, batch, {"input": 1.0})
    image, mask = batch["image"], batch["mask"]
    stages = quickly(method.predict)(variables, None, image, mask)
    plain = METHODS["cascaded_refinement"](**SMALL)
    _, other = objective(plain, variables, batch, {"input": 1.0})
    params = variables["generator"]["params"]
    draw = quickly(plain.networks["generator"].apply)
    prediction = draw({"params": params}, image, mask)[:, 0]
    hole = losses.weighted_l1_loss(prediction, image, mask).mean()
    expected = other.metrics["generator/input"] + 2 * hole
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["l1_hole"], other.metrics["l1_hole"])
    np.testing.assert_array_equal(stages["prediction"], jnp.clip(prediction, -1, 1))


def test_labels_in_the_hole_are_hidden_from_some_images(batch):
    keys = jax.random.split(jax.random.key(5), 64)
    many = {
        "keys": keys,
        "mask": jnp.repeat(batch["mask"], 32, axis=0),
        "guide": jnp.repeat(batch["guide"], 32, axis=0),
    }
    hidden = cascaded.hide_labels(many, 0.5)
    hole = many["mask"] > 0.5
    assert (jnp.where(hole, 0, hidden) == jnp.where(hole, 0, many["guide"])).all()
    unknown = jnp.where(hole, hidden == 255, True).all(axis=(1, 2, 3))
    given = jnp.where(hole, hidden == many["guide"], True).all(axis=(1, 2, 3))
    assert (unknown ^ given).all() and 16 < unknown.sum() < 48
    alone = {name: array[3:4] for name, array in many.items()}
    np.testing.assert_array_equal(cascaded.hide_labels(alone, 0.5), hidden[3:4])
    np.testing.assert_array_equal(cascaded.hide_labels(many, 0.0), many["guide"])


def test_a_stated_label_changes_the_completion_and_none_need_be_given(batch):
    method, variables = make(batch, **LABELLED, condition="layout", pictures=2)
    assert (method.guide_kind, method.guide_classes) == ("labels", 3)

    predict = quickly(method.predict)

    def complete(guide, image=batch["image"]):
        return predict(variables, None, image, batch["mask"], guide)

    blank = jnp.full_like(batch["guide"], 255)
    stages = complete(batch["guide"])
    assert set(stages) == {"picture0", "picture1", "prediction", "completed"}
    edited = jnp.where(batch["mask"] > 0.5, 1.0, batch["guide"])
    assert jnp.abs(complete(edited)["completed"] - stages["completed"]).max() > 1e-3
    np.testing.assert_array_equal(
        complete(None)["completed"], complete(blank)["completed"]
    )
    # From the layout alone: the image matters to the choice of the picture only.
    other = complete(batch["guide"], -batch["image"])
    np.testing.assert_array_equal(other["picture0"], stages["picture0"])


def test_labelled_completions_do_not_read_the_hole(batch):
    method, variables = make(batch, **LABELLED, pictures=2)
    image, mask = batch["image"], batch["mask"]

    def total(image):
        stages = method.predict(variables, None, image, mask, batch["guide"])
        return sum(jnp.sum(stage**2) for stage in stages.values()), stages

    run = quickly(jax.grad(total, has_aux=True))
    gradient, stages = run(image)
    assert (jnp.where(mask > 0.5, gradient, 0) == 0).all()
    _, other = run(jnp.where(mask > 0.5, jnp.nan, image))
    jax.tree.map(np.testing.assert_array_equal, other, stages)


def test_any_multiple_of_the_coarsest_pixel_works(batch):
    method, variables = make(batch, **SMALL)
    assert method.multiple == method.min_size == 4
    image, mask = jnp.zeros((1, 4, 12, 3)), jnp.ones((1, 4, 12, 1))
    completed = quickly(method.inpaint)(variables, None, image, mask)
    assert completed.shape == image.shape and jnp.isfinite(completed).all()
    with pytest.raises(ValueError, match="multiples of 4, got 4 x 10"):
        method.inpaint(variables, None, image[:, :, :10], mask[:, :, :10])


def test_wrong_arguments_are_refused(batch):
    build = METHODS["cascaded_refinement"]
    with pytest.raises(ValueError, match="'sketch'"):
        build(condition="sketch")
    with pytest.raises(ValueError, match="say how many classes"):
        build(condition="layout")
    with pytest.raises(ValueError, match=r"0\.\.254"):
        build(classes=255)
    with pytest.raises(ValueError, match="at least one module"):
        build(channels=())
    method, variables = make(batch, **LABELLED)
    with pytest.raises(ValueError, match=r"\['conv1_2'\] need a feature network"):
        objective(method, variables, batch, {"conv1_2": 1.0})
    with pytest.raises(ValueError, match=r"\['l1'\].*conv5_2, balanced"):
        objective(method, variables, batch, {"l1": 1.0})
    del batch["guide"]
    with pytest.raises(ValueError, match=r"config\.data\.guide=labels"):
        objective(method, variables, batch, {"input": 1.0})


def test_weightless_layers_are_not_computed(batch, monkeypatch):
    method, variables = make(batch, **SMALL, features="random")
    network = features.feature_network("random")
    asked = []

    class Watched:
        norm = network.norm

        def __call__(self, image, taps, *, pooling):
            asked.append((tuple(taps), pooling))
            return network(image, taps, pooling=pooling)

    monkeypatch.setattr(features, "feature_network", lambda *a, **k: Watched())
    weights = {**EVERY, "conv4_2": 0.0, "conv5_2": 0.0}
    run = method.objectives["generator"]
    params = variables["generator"]["params"]
    jax.eval_shape(lambda p: run(p, variables, None, batch, weights), params)
    assert asked == [(cascaded.TAPS[:3], "average_same")] * 2


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_name_terms_and_sizes_that_exist(preset):
    config = get_config(preset)
    method = METHODS["cascaded_refinement"](**config.model)
    assert config.data.image_size % method.multiple == 0
    assert config.data.image_size // method.multiple == 4  # the coarsest map
    assert bool(method.guide_channels) == (config.data.guide == "labels")
    plan = Plan(config, method.objectives)
    terms = cascaded.Terms(features=config.model.features, dtype="float32")
    for at in (0, plan.total_steps - 1):
        terms.check(dict(plan.at(at).loss_weights), config.model.balance)


def test_mixed_precision_stays_close(batch):
    method, variables = make(batch, **SMALL)
    half = METHODS["cascaded_refinement"](**SMALL, compute_dtype="bfloat16")
    full, low = (
        quickly(m.predict)(variables, None, batch["image"], batch["mask"])["prediction"]
        for m in (method, half)
    )
    assert low.dtype == jnp.float32
    # bfloat16 keeps 8 bits: 0.4 % a layer, 7 layers, values of size 1.
    assert jnp.abs(full - low).mean() < 0.03
