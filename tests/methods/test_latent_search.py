"""Latent search: the spec's numbers, a search whose answer is known, the converter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import converters, load, masks
from inpainting_jax.losses import masked_l1_loss
from inpainting_jax.methods import METHODS
from inpainting_jax.methods.latent_search import (
    Search,
    context_loss,
    find_latents,
    importance_weights,
    prior_loss,
)

TINY = {
    "width": 4,
    "discriminator_width": 4,
    "latent_size": 8,
    "iterations": 5,
    "learning_rate": 0.05,
}


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameter_counts_and_stages_of_the_paper_preset():
    method = METHODS["latent_search"]()
    variables = jax.eval_shape(lambda key: method.init(key, {}), jax.random.key(0))
    assert count(variables["generator"]["params"]) == 18_872_323
    assert count(variables["discriminator"]["params"]) == 4_316_545
    _, state = jax.eval_shape(
        lambda v, z: method.networks["generator"].apply(
            v, z, capture_intermediates=True
        ),
        variables["generator"],
        jnp.zeros((2, 100)),
    )
    stages = state["intermediates"]
    shapes = [stages[f"deconv{i}"]["__call__"][0].shape[1:] for i in range(1, 5)]
    assert stages["project"]["__call__"][0].shape == (2, 4 * 4 * 1024)
    assert shapes == [(8, 8, 512), (16, 16, 256), (32, 32, 128), (64, 64, 3)]
    _, state = jax.eval_shape(
        lambda v, x: method.networks["discriminator"].apply(
            v, x, capture_intermediates=True
        ),
        variables["discriminator"],
        jnp.zeros((2, 64, 64, 3)),
    )
    stages = state["intermediates"]
    shapes = [stages[f"conv{i}"]["__call__"][0].shape[1:] for i in range(1, 5)]
    assert shapes == [(32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)]


def test_weights_around_one_missing_pixel():
    mask = jnp.zeros((1, 64, 64, 1)).at[0, 30, 30].set(1)
    weights = np.asarray(importance_weights(mask))
    assert (weights > 0).sum() == 48
    np.testing.assert_allclose(weights[weights > 0], 1 / 49, rtol=1e-6)
    assert weights[0, 30, 30, 0] == 0
    # Nearer the hole is heavier: the direction that an early release had reversed.
    assert weights[0, 30, 31, 0] > weights[0, 30, 40, 0] == 0


def test_weights_around_the_centre_block():
    mask = jnp.zeros((1, 64, 64, 1)).at[0, 16:48, 16:48].set(1)
    weights = np.asarray(importance_weights(mask))[0, ..., 0]
    assert (weights > 0).sum() == 38**2 - 32**2
    np.testing.assert_allclose(weights[15:11:-1, 32] * 49, [21, 14, 7, 0], atol=1e-5)
    np.testing.assert_allclose(weights[15, 15] * 49, 9, rtol=1e-6)


def test_weights_mirror_the_border():
    mask = jnp.zeros((1, 8, 8, 1)).at[0, 0, 0].set(1)
    # Mirrored with its edge, the corner is seen four times from its neighbour.
    np.testing.assert_allclose(importance_weights(mask)[0, 1, 1, 0] * 49, 4, rtol=1e-6)


def test_losses_by_hand():
    image = jnp.zeros((2, 2, 2, 3))
    generated = image.at[0, 0, 0].set(2.0).at[1, 1, 1].set(-1.0)
    weights = jnp.full((2, 2, 2, 1), 0.5)
    np.testing.assert_allclose(context_loss(generated, image, weights), [3.0, 1.5])
    ours = context_loss(generated, image, weights, norm="l2")
    np.testing.assert_allclose(ours, [3.0, 0.75])
    logits = jnp.array([[0.0], [2.0]])
    probability = 1 / (1 + np.exp(-np.array([0.0, 2.0])))
    np.testing.assert_allclose(prior_loss(logits), np.log(1 - probability), rtol=1e-6)
    ours = prior_loss(logits, non_saturating=True)
    np.testing.assert_allclose(ours, -np.log(probability), rtol=1e-6)


def _draw(key, many):
    return jax.random.uniform(key, (many, 2), minval=-1, maxval=1)


def _ramp(latents):
    """A generator whose latent can be read off its picture."""
    rows = jnp.linspace(-1, 1, 8)[None, :, None, None]
    columns = jnp.linspace(-1, 1, 8)[None, None, :, None]
    a, b = (latents[:, i, None, None, None] for i in range(2))
    return jnp.broadcast_to(a * rows + b * columns, (len(latents), 8, 8, 3))


def test_the_search_finds_the_latent_that_made_the_image(key):
    truth = jnp.array([[0.5, -0.25], [-0.9, 0.4]])
    mask = jnp.zeros((2, 8, 8, 1)).at[0, 2:6, 2:6].set(1).at[1, 0:3].set(1)
    found, losses = find_latents(
        key,
        _ramp,
        None,
        _ramp(truth) * (1 - mask),
        mask,
        draw=_draw,
        search=Search(iterations=400, norm="l2"),
        restarts=2,
    )
    np.testing.assert_allclose(found, truth, atol=1e-3)
    assert losses.shape == (2, 2)


def test_the_best_of_the_restarts_and_of_the_iterates_is_kept(key):
    image = _ramp(jnp.array([[0.5, -0.25]]))
    mask = jnp.zeros((1, 8, 8, 1)).at[0, 2:6, 2:6].set(1)

    def find(iterations, restarts, rate):
        search = Search(iterations=iterations, learning_rate=rate)
        return find_latents(
            key, _ramp, None, image, mask, draw=_draw, search=search, restarts=restarts
        )

    found, losses = find(0, 5, 0.01)
    weights = importance_weights(mask)
    each = jnp.stack(
        [context_loss(_ramp(z[None]), image, weights) for z in _draw(key, 5)]
    )[:, 0]
    np.testing.assert_allclose(losses[0], each, rtol=1e-5)
    np.testing.assert_array_equal(found[0], _draw(key, 5)[jnp.argmin(each)])
    # A rate this wild leaves the good place again: the best iterate must survive.
    _, wild = find(30, 5, 1.0)
    assert (wild <= losses).all()


def test_latents_stay_in_the_box_they_are_drawn_from(key):
    image = _ramp(jnp.array([[5.0, 5.0]]))
    mask = jnp.zeros((1, 8, 8, 1)).at[0, 2:6, 2:6].set(1)
    for clip in (1.0, None):
        search = Search(iterations=50, learning_rate=0.2, clip=clip)
        found, _ = find_latents(
            key, _ramp, None, image, mask, draw=_draw, search=search
        )
        assert (jnp.abs(found) <= 1).all() == (clip is not None)


def test_the_prior_draws_towards_what_the_discriminator_likes(key):
    """Without any weight on known pixels only the prior is left to move the latent."""
    image, mask = _ramp(jnp.zeros((1, 2))), jnp.zeros((1, 8, 8, 1))

    def judge(pictures):
        return 10 * pictures[:, -1, -1, :1]  # the corner's value is a + b

    for non_saturating in (False, True):
        search = Search(
            iterations=200,
            learning_rate=0.05,
            prior_weight=1.0,
            non_saturating=non_saturating,
        )
        found, _ = find_latents(
            key, _ramp, judge, image, mask, draw=_draw, search=search
        )
        np.testing.assert_allclose(found, [[1.0, 1.0]], atol=1e-3)


@pytest.mark.parametrize("shape", [(64, 64), (32, 96)])
def test_any_size_is_searched_at_64_pixels(key, shape, fresh_variables):
    method = METHODS["latent_search"](**TINY)
    variables = fresh_variables(method, key, {})
    image = jax.random.uniform(key, (1, *shape, 3), minval=-1, maxval=1)
    mask = jnp.zeros((1, *shape, 1)).at[:, 8:20, 30:50].set(1)
    stages = jax.jit(method.predict)(variables, key, image, mask, None)
    assert stages["prediction"].shape == image.shape
    assert (stages["completed"] == image).all(where=mask == 0)
    if shape == (64, 64):
        # The prediction is a picture of the generator, hole or not.
        assert jnp.abs(stages["prediction"] - image).mean() > 0.1


def test_without_a_discriminator_the_prior_is_left_out(key, fresh_variables):
    method = METHODS["latent_search"](**TINY, prior_weight=1.0)
    variables = fresh_variables(method, key, {})
    del variables["discriminator"]
    image, mask = jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 64, 64, 1)).at[:, 9].set(1)
    completed = jax.jit(method.predict)(variables, key, image, mask)["completed"]
    assert jnp.isfinite(completed).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l3"}, "norm must be 'l1' or 'l2', got 'l3'"),
        ({"window": 6}, "window must be an odd number"),
        ({"iterations": -1}, "iterations must be >= 0"),
        ({"prior": "cauchy"}, "unknown prior 'cauchy'; known: uniform, normal"),
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        METHODS["latent_search"](**options)


def _face_generator(rng, width=2, latent=6):
    """A state dict by the names of `gan-face-generate`, narrow."""
    channels = [8 * width, 4 * width, 2 * width, width, 3]
    tensors, before = {}, latent
    for i, after in enumerate(channels):
        name = f"netG_state_dict.main.{3 * i}.weight"
        tensors[name] = rng.normal(size=(before, after, 4, 4)).astype(np.float32) * 0.3
        if i < 4:
            norm = f"netG_state_dict.main.{3 * i + 1}"
            tensors |= {
                f"{norm}.weight": rng.normal(1, 0.1, after),
                f"{norm}.bias": rng.normal(0, 0.1, after),
                f"{norm}.running_mean": rng.normal(0, 0.1, after),
                f"{norm}.running_var": rng.uniform(0.5, 2, after),
                f"{norm}.num_batches_tracked": np.zeros((), np.int64),
            }
        before = after
    return tensors


def _scatter(features, kernel, strides, margin):
    """PyTorch's transposed convolution by loops; [C, H, W] and [I, O, kh, kw]."""
    _, height, width = features.shape
    side = kernel.shape[-1]
    out = np.zeros(
        (kernel.shape[1], strides * (height - 1) + side, strides * (width - 1) + side)
    )
    for row in range(height):
        for column in range(width):
            top, left = strides * row, strides * column
            out[:, top : top + side, left : left + side] += np.tensordot(
                features[:, row, column], kernel, 1
            )
    return out[:, margin : out.shape[1] - margin, margin : out.shape[2] - margin]


def test_the_converted_face_generator_equals_a_naive_one():
    rng = np.random.default_rng(0)
    tensors = _face_generator(rng)
    converted = converters.convert("dcgan_gan_face_generate", tensors)
    assert converted.overrides["width"] == 2
    method = METHODS["latent_search"](**converted.overrides)
    latent = rng.normal(size=6)
    features = latent[:, None, None]
    for i in range(5):
        kernel = tensors[f"netG_state_dict.main.{3 * i}.weight"]
        features = _scatter(features, kernel, *((1, 0) if i == 0 else (2, 1)))
        if i < 4:
            norm = f"netG_state_dict.main.{3 * i + 1}"
            scale, bias, mean, var = (
                tensors[f"{norm}.{leaf}"][:, None, None]
                for leaf in ("weight", "bias", "running_mean", "running_var")
            )
            features = (features - mean) / np.sqrt(var + 1e-5) * scale + bias
            features = np.maximum(features, 0)
    ours = method.networks["generator"].apply(
        converted.variables["generator"], jnp.asarray(latent[None], jnp.float32)
    )
    expected = np.tanh(features).transpose(1, 2, 0)
    np.testing.assert_allclose(ours[0], expected, atol=1e-5)


def test_a_face_generator_without_a_layer_is_refused():
    tensors = _face_generator(np.random.default_rng(0))
    del tensors["netG_state_dict.main.9.weight"]
    with pytest.raises(ValueError, match=r"missing 'netG_state_dict\.main\.9\.weight'"):
        converters.convert("dcgan_gan_face_generate", tensors)


@pytest.mark.slow
def test_the_search_fits_eight_pictures_of_the_shipped_generator(key):
    """What overfitting is to a network: hole L1 falls 3 times in the card's steps.

    The pictures are the generator's own, so that the search alone is at stake.
    """
    mask = masks.center(key, 64, 64)[None].repeat(8, axis=0)

    def fit(iterations):
        inpainter = load("latent_search", iterations=iterations)
        generator = inpainter.method.networks["generator"]
        latents = jax.random.uniform(key, (8, 100), minval=-1, maxval=1)
        truth = generator.apply(inpainter.variables["generator"], latents)
        stages = jax.jit(inpainter.method.predict)(
            inpainter.variables, jax.random.key(1), truth, mask
        )
        return float(masked_l1_loss(stages["prediction"], truth, mask).mean())

    before, after = fit(0), fit(load("latent_search").card["overrides"]["iterations"])
    print(f"hole L1 {before:.4f} -> {after:.4f}: {before / after:.1f} times less")
    assert before / after >= 3
