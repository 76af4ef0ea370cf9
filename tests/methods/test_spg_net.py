"""SPG-Net: the sizes written down for it, where labels come from, what teaches whom."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import layers
from inpainting_jax.methods import METHODS
from inpainting_jax.methods.spg_net.networks import ResidualBlock
from inpainting_jax.methods.spg_net.pipeline import Pipeline

CLASSES = 4
UNKNOWN = 255.0

# Compiled without optimisation: these run once.
quick = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def small(**options):
    sizes = {"classes": CLASSES, "width": 3, "depth": 2, "dilations": (1,)}
    sizes |= {"discriminator_width": 2, "discriminator_layers": 1, "scales": 2}
    sizes |= {"segmenter_width": 4, "segmenter_rates": (1,), "segmenter_stride": 8}
    return METHODS["spg_net"](**(sizes | options))


def drawn(method, side=16):
    """Random variables without compiling `init`; running variances are 1."""
    batch = {"image": (1, side, side, 3), "mask": (1, side, side, 1)}
    batch = {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in batch.items()}
    shapes = jax.eval_shape(method.init, jax.random.key(0), batch)
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key == "var":
            return jnp.ones(leaf.shape)
        scale = 1.0 if path[0].key == "segmenter" else 0.3
        return jnp.asarray(rng.normal(0, scale, leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="module")
def scene():
    """Two images of 16 pixels, holes of 6 x 6, and label maps."""
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.uniform(-1, 1, (2, 16, 16, 3)), jnp.float32),
        "mask": jnp.zeros((2, 16, 16, 1)).at[:, 5:11, 4:10].set(1),
        "guide": jnp.asarray(rng.integers(0, CLASSES, (2, 16, 16, 1)), jnp.float32),
    }


@pytest.fixture(scope="module")
def variables():
    return drawn(small())


@functools.lru_cache
def compiled(objective, weights):
    """A jitted objective at fixed weights, for several batches."""
    return quick(lambda p, v, b: objective(p, v, None, b, dict(weights)))


def loss_of(method, name, variables, batch, weights):
    """Loss and metrics of one objective."""
    run = compiled(method.objectives[name], tuple(weights.items()))
    return run(variables[name]["params"], variables, batch)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes_of(method, side=256):
    batch = {"image": (1, side, side, 3), "mask": (1, side, side, 1)}
    batch = {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in batch.items()}
    return jax.eval_shape(method.init, jax.random.key(0), batch)


@pytest.mark.parametrize(
    ("classes", "labels", "image"),
    [
        (8, 48_016_200, 48_000_515),
        (11, 48_035_019, 48_009_923),
        (35, 48_185_571, 48_085_187),
    ],
)
def test_parameter_counts(classes, labels, image):
    shapes = shapes_of(METHODS["spg_net"](classes=classes))
    assert count(shapes["label_generator"]["params"]) == labels
    assert count(shapes["image_generator"]["params"]) == image


@pytest.mark.parametrize("size", [(256, 256), (128, 64)])
def test_the_paper_s_network_halves_four_times(size):
    """64 rows leave a bottleneck of 4, smaller than its dilation of 8."""
    method = METHODS["spg_net"](classes=8)
    network = method.networks["label_generator"]
    planes = jax.ShapeDtypeStruct((1, *size, 11), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), planes)
    run = functools.partial(network.apply, capture_intermediates=True)
    out, stages = jax.eval_shape(run, shapes, planes)
    assert out.shape == (1, *size, 8)
    found = {
        name: stage["__call__"][0].shape[1:]
        for name, stage in stages["intermediates"].items()
        if name != "__call__"
    }
    for index, width in enumerate((64, 128, 256, 512)):
        low = tuple(n // 2 ** (index + 1) for n in size)
        assert found[f"down{index + 1}"] == (*low, width)
        assert found[f"up{4 - index}"] == (*(2 * n for n in low), width)
    assert {found[f"block{i}"] for i in range(1, 10)} == {(*low, 512)}


@pytest.mark.parametrize(("dilation", "same"), [(1, False), (3, False), (4, True)])
def test_blocks_too_small_to_reflect_are_padded_with_zeros(dilation, same):
    """Kernels without a centre see nothing of 4 rows at dilation 4."""

    def hollow(key, shape):
        del key
        return jnp.ones(shape).at[1, 1].set(0)

    conv = functools.partial(layers.ConvBlock, kernel_init=hollow)
    features = jnp.ones((1, 4, 4, 1))
    out, _ = ResidualBlock(conv, dilation).init_with_output(jax.random.key(0), features)
    assert (np.abs(out - features).max() == 0) == same


def test_true_labels_of_the_hole_never_enter_the_label_network(scene, variables):
    """Nor anything else that is not there at inference."""
    pipeline = Pipeline({}, CLASSES, (0.0,) * 3, False, True, True, True)
    known = pipeline.scene({}, scene, segmented=False).known
    assert (known * scene["mask"] == 0).all()
    np.testing.assert_array_equal(known.sum(axis=-1, keepdims=True), 1 - scene["mask"])
    method = small()
    run = quick(method.predict)
    hidden = jnp.where(scene["mask"] > 0, UNKNOWN, scene["guide"])
    stages = run(variables, None, scene["image"], scene["mask"], hidden)
    hole = np.asarray(scene["mask"]) > 0
    labels = np.asarray(stages["labels"])
    np.testing.assert_array_equal(labels[~hole], np.asarray(scene["guide"])[~hole])
    assert set(np.unique(labels[hole])) <= set(range(CLASSES))


def test_completed_labels_can_be_edited_and_handed_back(scene, variables):
    """Unchanged they paint the same picture; an edit is taken over, no more."""
    run = quick(small().predict)
    image, mask = scene["image"], scene["mask"]
    hidden = jnp.where(mask > 0, UNKNOWN, scene["guide"])
    first = run(variables, None, image, mask, hidden)
    again = run(variables, None, image, mask, first["labels"])
    np.testing.assert_array_equal(again["labels"], first["labels"])
    np.testing.assert_allclose(again["completed"], first["completed"], atol=1e-6)
    stated = hidden.at[:, 6:9, 5:8].set((first["labels"][:, 6:9, 5:8] + 1) % CLASSES)
    edited = run(variables, None, image, mask, stated)
    changed = np.asarray(edited["labels"] != first["labels"])
    assert changed[:, 6:9, 5:8].all()
    assert changed.sum() == 2 * 9
    assert np.abs(edited["completed"] - first["completed"]).max() > 1e-4


def test_unstated_labels_are_the_segmenter_s(scene, variables):
    method = small()
    stages = quick(method.predict)(variables, None, scene["image"], scene["mask"], None)
    masked = jnp.where(scene["mask"] > 0, 0, scene["image"])
    planes = jnp.concatenate([masked, scene["mask"]], axis=-1)
    segment = quick(method.networks["segmenter"].apply)
    seen = np.argmax(segment(variables["segmenter"], planes), axis=-1)
    known = np.asarray(scene["mask"])[..., 0] == 0
    np.testing.assert_array_equal(stages["labels"][..., 0][known], seen[known])
    assert len(np.unique(seen)) > 1


def test_without_guidance_labels_do_not_matter(scene, variables):
    """The same parameters, told nothing; with guidance they matter."""
    image, mask = scene["image"], scene["mask"]
    other = (scene["guide"] + 1) % CLASSES
    for guidance in (True, False):
        run = quick(small(guidance=guidance).predict)
        pictures = [
            run(variables, None, image, mask, guide)["completed"]
            for guide in (scene["guide"], other)
        ]
        difference = np.abs(pictures[0] - pictures[1]).max()
        assert (difference > 1e-3) == guidance


@pytest.mark.parametrize("composite", [True, False])
def test_known_labels_replace_predicted_ones_where_asked_for(
    scene, variables, composite
):
    method = small(label_composite=composite)
    run = quick(method.predict)
    hidden = jnp.where(scene["mask"] > 0, UNKNOWN, scene["guide"])
    labels = run(variables, None, scene["image"], scene["mask"], hidden)["labels"]
    known = np.asarray(scene["mask"]) == 0
    equal = np.asarray(labels)[known] == np.asarray(scene["guide"])[known]
    assert equal.all() == composite


@pytest.mark.parametrize("options", [{}, {"detach_labels": True}])
def test_the_image_teaches_the_label_network_end_to_end(scene, variables, options):
    """Through SP-Net's probabilities, in the joint phase, unless they are detached."""
    method = small(**options)

    @functools.partial(quick, static_argnames="weights")
    def norm(variables, weights):
        def loss(params):
            objective = method.objectives["label_generator"]
            return objective(params, variables, None, scene, dict(weights))[0]

        gradient = jax.grad(loss)(variables["label_generator"]["params"])
        return jnp.abs(gradient["down1"]["kernel"]).max()

    together = (("image_l1", 1.0), ("predicted_labels", 1.0))
    assert (norm(variables, together) > 1e-6) == (not options)
    assert norm(variables, together[:1]) == 0


def test_segmented_labels_train_as_at_inference(scene, variables):
    """SP-Net then gets the segmenter's labels: the true ones outside do not matter."""
    method, known = small(), scene["mask"] == 0
    other = jnp.where(known, (scene["guide"] + 1) % CLASSES, scene["guide"])
    for switch in (0.0, 1.0):
        weights = {"segmented_labels": switch, "image_l1": 1.0, "predicted_labels": 1.0}
        losses = [
            loss_of(method, "image_generator", variables, batch, weights)[0]
            for batch in (scene, {**scene, "guide": other})
        ]
        assert (losses[0] == losses[1]) == bool(switch)


@pytest.mark.parametrize(
    ("mode", "kind", "judge", "maker"),
    [
        ("bce", "label", 2 * np.log(2), np.log(2)),
        ("bce", "image", 2 * np.log(2), np.log(2)),
        ("hinge", "label", 2, 0),
        ("lsgan", "label", 0.5, 1),
    ],
)
def test_logits_of_zero_cost_what_the_mode_says(
    scene, variables, mode, kind, judge, maker
):
    """Summed over two scales; features of zero differ by nothing."""
    method = small(gan_mode=mode)
    silent = {
        name: jax.tree.map(jnp.zeros_like, own) if "discriminator" in name else own
        for name, own in variables.items()
    }
    weights = {f"{kind}_adversarial": 1.0, f"{kind}_matching": 1.0}
    name = f"{kind}_discriminator"
    assert loss_of(method, name, silent, scene, weights)[0] == pytest.approx(2 * judge)
    total, aux = loss_of(method, f"{kind}_generator", silent, scene, weights)
    assert total == pytest.approx(2 * maker, abs=1e-6)
    assert aux.metrics[f"{kind}_generator/matching"] == 0


def test_features_of_the_discriminator_are_matched_in_the_hole(scene, variables):
    """Sums over scales and layers of mean differences in the hole, by hand."""
    method = small()
    pipeline = Pipeline(method.networks, CLASSES, (0.0,) * 3, False, True, True, True)
    known = pipeline.scene({}, scene, segmented=False)
    condition = jnp.concatenate([known.masked_image, known.truth], axis=-1)

    @quick
    def judged(variables):
        arguments = (variables, known.masked_image, known.truth, known.mask)
        fake, _ = pipeline.paint(*arguments, train=True)
        return [
            pipeline.judge("image_discriminator", variables, condition, shown)[0]
            for shown in (scene["image"], fake)
        ]

    expected, mask = 0.0, np.asarray(scene["mask"])
    for (_, real), (_, fake) in zip(*judged(variables), strict=True):
        for ours, theirs in zip(real, fake, strict=True):
            difference = np.abs(np.asarray(ours - theirs))
            side = difference.shape[1]
            inside = np.zeros((2, side, side, 1))
            for y, x in np.argwhere(mask[0, ..., 0]):  # one hole for both images
                rows, columns = (
                    slice(n * side // 16, -(-(n + 1) * side // 16)) for n in (y, x)
                )
                inside[:, rows, columns] = 1
            expected += (difference * inside).mean()
    weights = {"image_matching": 1.0}
    loss, _ = loss_of(method, "image_generator", variables, scene, weights)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert expected > 0.01


@pytest.mark.parametrize(
    ("conditional", "channels"), [(True, (7, 10)), (False, (4, 3))]
)
def test_discriminators_see_the_condition_where_asked_for(scene, conditional, channels):
    method = small(conditional=conditional)
    shapes = shapes_of(method, side=16)
    for kind, number in zip(("label", "image"), channels, strict=True):
        judges = shapes[f"{kind}_discriminator"]["params"]["judges"]
        assert judges["scale1"]["conv1"]["kernel"].shape == (4, 4, number, 2)
        name = f"{kind}_discriminator"

        def loss(variables, name=name):
            own = variables[name]["params"]
            return method.objectives[name](own, variables, None, scene, {})[0]

        assert jax.eval_shape(loss, shapes).shape == ()


def test_options_of_the_input(scene, variables):
    """The hole's colour, and the mask as a further plane."""
    image, mask = scene["image"], scene["mask"]
    shapes = shapes_of(small(feed_mask=True), side=16)
    for kind in ("label", "image"):
        kernel = shapes[f"{kind}_generator"]["params"]["down1"]["kernel"]
        assert kernel.shape == (7, 7, 3 + CLASSES + 1, 3)
    grey, black = (
        quick(small(hole_value=(value,) * 3).predict)(
            variables, None, image, mask, scene["guide"]
        )["completed"]
        for value in (0.0, -1.0)
    )
    assert np.abs(grey - black).max() > 1e-3


def test_instance_normalisation_has_neither_parameters_nor_statistics():
    shapes = shapes_of(small(norm="instance"), side=16)
    assert set(shapes["label_generator"]) == {"params"}
    assert set(shapes["label_generator"]["params"]["down1"]) == {"kernel", "bias"}
    assert set(shapes["image_discriminator"]) == {"params"}
    assert "batch_stats" in shapes_of(small(), side=16)["image_discriminator"]


def test_cross_entropy_leaves_out_void_and_weighs_the_hole(scene, variables):
    """By hand, of SP-Net's own logits."""
    method = small(void_class=3, hole_weight=5.0)
    loss, _ = loss_of(method, "label_generator", variables, scene, {"label_ce": 1.0})
    pipeline = Pipeline(method.networks, CLASSES, (0.0,) * 3, False, True, True, True)
    known = pipeline.scene({}, scene, segmented=False)

    @quick
    def predict(variables):
        return pipeline.predict_labels(
            variables, known.masked_image, known.known, known.mask, train=True
        )[0]

    logits = np.asarray(predict(variables), np.float64)
    likelihood = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    truth = np.asarray(scene["guide"])[..., 0].astype(int)
    own = -np.take_along_axis(likelihood, truth[..., None], -1)[..., 0]
    weight = np.where(truth == 3, 0, 1 + 4 * np.asarray(scene["mask"])[..., 0])
    expected = (own * weight).sum((1, 2)) / (truth != 3).sum((1, 2))
    assert loss == pytest.approx(expected.mean(), rel=1e-4)


def test_chance_features_are_named(scene):
    """And compare nothing outside the hole."""
    scene = {
        name: jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        for name, x in scene.items()
    }
    method = small(features="random")
    weights = {"image_perceptual": 1.0}
    empty = {**scene, "mask": jnp.zeros_like(scene["mask"])}
    for batch, zero in ((scene, False), (empty, True)):
        loss, aux = loss_of(method, "image_generator", drawn(method), batch, weights)
        assert aux.metrics["image_generator/perceptual_random"] == loss
        assert (loss == 0) == zero


def test_data_without_labels_is_refused_with_the_remedy(scene, variables):
    batch = {name: scene[name] for name in ("image", "mask")}
    method = small()
    for name, objective in method.objectives.items():
        with pytest.raises(ValueError, match=r"label maps.*config\.data\.guide=labels"):
            objective(variables[name]["params"], variables, None, batch, {})


def test_wrong_choices_are_named(scene, variables):
    method, own = small(), variables["segmenter"]["params"]
    run = method.objectives["segmenter"]
    with pytest.raises(ValueError, match=r"\['l1'\].*image_l1, predicted_labels"):
        run(own, variables, None, scene, {"l1": 1.0})
    with pytest.raises(ValueError, match=r"image_perceptual.*features=alexnet"):
        run(own, variables, None, scene, {"image_perceptual": 1.0})
    for options, message in (
        ({"norm": "layer"}, "'layer'.*Known: batch, instance"),
        ({"gan_mode": "wgan"}, "'wgan'.*bce, hinge, lsgan"),
        ({"features": "vgg16"}, "'vgg16'.*alexnet"),
        ({"scales": 0}, "above 0.*'scales': 0"),
        ({"classes": 1}, r"2\.\.255"),
        ({"segmenter_stride": 4}, "8 or 16"),
        ({"void_class": 4}, "void_class 4 is none of the 4"),
        ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            small(**options)
