"""Losses against the values of the TensorFlow original and of four PyTorch codes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import layers, losses

CLOSE = 1e-6  # relative: sums of a few thousand float32


@pytest.fixture
def tf(golden):
    return golden("losses_tf_original")


@pytest.fixture
def torch(golden):
    return golden("losses_torch")


@pytest.mark.parametrize(
    ("name", "discriminator", "generator", "scale"),
    [
        ("hinge", "hinge_discriminator_loss", "hinge_generator_loss", 0.5),
        (
            "ls",
            "least_squares_discriminator_loss",
            "least_squares_generator_loss",
            0.5,
        ),
        ("log", "minimax_discriminator_loss", "non_saturating_generator_loss", 0.5),
        (
            "wgan",
            "wasserstein_discriminator_loss",
            "wasserstein_generator_loss",
            None,
        ),
    ],
)
def test_adversarial_losses_equal_neuralgym(tf, name, discriminator, generator, scale):
    real, fake = jnp.asarray(tf["pos"]), jnp.asarray(tf["neg"])
    options = {} if scale is None else {"scale": scale}
    ours = getattr(losses, discriminator)(real, fake, **options).mean()
    np.testing.assert_allclose(ours, tf[f"{name}/d"], rtol=CLOSE)
    ours = getattr(losses, generator)(fake).mean()
    np.testing.assert_allclose(ours, tf[f"{name}/g"], rtol=CLOSE)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("vanilla", "minimax_discriminator_loss", "non_saturating_generator_loss"),
        ("lsgan", "least_squares_discriminator_loss", "least_squares_generator_loss"),
        ("hinge", "hinge_discriminator_loss", "hinge_generator_loss"),
        ("wgan", "wasserstein_discriminator_loss", "wasserstein_generator_loss"),
    ],
)
def test_adversarial_losses_equal_mmagic(torch, name, discriminator, generator):
    """mmagic keeps the halves apart and without the factor 0.5."""
    real = jnp.asarray(torch["gan/real_logits"])
    fake = jnp.asarray(torch["gan/fake_logits"])
    options = {} if name == "wgan" else {"scale": 1.0}
    ours = getattr(losses, discriminator)(real, fake, **options).mean()
    theirs = torch[f"gan/mmagic_{name}_d_real"] + torch[f"gan/mmagic_{name}_d_fake"]
    np.testing.assert_allclose(ours, theirs, rtol=CLOSE)
    ours = getattr(losses, generator)(fake).mean()
    np.testing.assert_allclose(ours, torch[f"gan/mmagic_{name}_g"], rtol=CLOSE)


@pytest.mark.parametrize(
    ("name", "kind"), [("hinge", "hinge"), ("ls", "least_squares")]
)
def test_adversarial_losses_equal_nipponjo(torch, name, kind):
    real = jnp.asarray(torch["gan/real_logits"])
    fake = jnp.asarray(torch["gan/fake_logits"])
    ours = getattr(losses, f"{kind}_discriminator_loss")(real, fake, scale=0.5)
    np.testing.assert_allclose(ours.mean(), torch[f"gan/nipponjo_{name}_d"], rtol=CLOSE)
    ours = getattr(losses, f"{kind}_generator_loss")(fake).mean()
    np.testing.assert_allclose(ours, torch[f"gan/nipponjo_{name}_g"], rtol=CLOSE)


def _small_critic(kernel, bias, dense, *, padding):
    """The critic of the golden files: 5x5 stride 2, leaky ReLU, dense.

    PyTorch's (symmetric padding) flattens channels first.
    """

    def critic(image):
        features = layers.convolve(image, kernel, bias, strides=2, padding=padding)
        features = nn.leaky_relu(features, 0.2)
        if padding == "SYMMETRIC":
            features = features.transpose(0, 3, 1, 2)
        return features.reshape(len(features), -1) @ dense

    return critic


def test_gradient_penalty_equals_the_tensorflow_original(tf):
    kernel, bias, dense = (
        jnp.asarray(tf[f"gp/{n}"]) for n in ("kernel", "kernel_bias", "dense")
    )
    critic = _small_critic(kernel, bias, dense, padding="SAME")
    real, fake, alpha, mask = (
        jnp.asarray(tf[f"gp/{n}"]) for n in ("real", "fake", "alpha", "mask")
    )
    between = jnp.asarray(tf["gp/interpolates"])
    np.testing.assert_allclose(critic(between), tf["gp/critic_out"], rtol=1e-5)
    for name, part in (("nomask", None), ("masked", mask)):
        ours = losses.gradient_penalty(critic, real, fake, alpha[:, 0], mask=part)
        assert ours.shape == (3,)
        np.testing.assert_allclose(ours.mean(), tf[f"gp/value_{name}"], rtol=1e-5)


@pytest.mark.parametrize("per_pixel", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_gradient_penalty_equals_mmagic(torch, per_pixel, masked):
    kernel = jnp.asarray(torch["gp/kernel"].transpose(2, 3, 1, 0))
    bias, dense = jnp.asarray(torch["gp/kernel_bias"]), jnp.asarray(torch["gp/dense"])
    critic = _small_critic(kernel, bias, dense, padding="SYMMETRIC")
    real, fake, mask = (
        jnp.asarray(torch[f"gp/{n}"].transpose(0, 2, 3, 1))
        for n in ("real", "fake", "mask")
    )
    alpha = 1 - jnp.asarray(torch["gp/alpha"]).reshape(-1)  # it lies on the real side
    ours = losses.gradient_penalty(
        critic,
        real,
        fake,
        alpha,
        mask=mask if masked else None,
        per_pixel=per_pixel,
        divide_by_mask=True,
    )
    kind = "pixel" if per_pixel else "HWC"
    theirs = torch[f"gp/mmagic_{kind}_{'masked' if masked else 'nomask'}"]
    np.testing.assert_allclose(ours.mean(), theirs, rtol=1e-5)


def test_discount_equals_both_codes(tf, torch):
    for name, gamma in (("", 0.9), ("_2", 0.8)):
        np.testing.assert_allclose(
            losses.discount_weights(16, 24, gamma=gamma),
            tf[f"spatial_discount_mask{name}"],
            rtol=CLOSE,
        )
    ours = losses.discount_weights(16, 12)
    theirs = torch["spatial_discount_daa233"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(ours, theirs, rtol=CLOSE)


def test_hole_mean_square_equals_glcic(torch):
    image, output, valid = (
        jnp.asarray(torch[n].transpose(0, 2, 3, 1))
        for n in ("image", "output", "mask_valid")
    )
    ours = losses.weighted_l2_loss(output, image, 1 - valid[..., :1]).mean()
    if (valid == valid[..., :1]).all():
        np.testing.assert_allclose(ours, torch["glcic_completion_mse"], rtol=CLOSE)
    ours = losses.weighted_l2_loss(output, image, 1 - valid).mean()
    np.testing.assert_allclose(ours, torch["glcic_completion_mse"], rtol=CLOSE)


def test_hole_and_known_l1_equal_the_partial_convolution_port(torch):
    image, output, valid = (
        jnp.asarray(torch[n].transpose(0, 2, 3, 1))
        for n in ("image", "output", "mask_valid")
    )
    ours = losses.weighted_l1_loss(output, image, 1 - valid).mean()
    np.testing.assert_allclose(ours, torch["pconv_loss/hole"], rtol=CLOSE)
    ours = losses.weighted_l1_loss(output, image, valid).mean()
    np.testing.assert_allclose(ours, torch["pconv_loss/valid"], rtol=CLOSE)


def test_penalties_of_a_linear_critic(key):
    """D(x) = sum(a x) has the slope |a|, masked |a sqrt(mask)|."""
    slope = jax.random.normal(key, (1, 4, 6, 3))
    real = jnp.zeros((2, 4, 6, 3))
    mask = jnp.zeros((1, 4, 6, 1)).at[:, :2].set(1.0)

    def critic(image):
        return (image * slope).sum(axis=(1, 2, 3))

    norm = jnp.sqrt((slope**2 * mask).sum())
    ours = losses.gradient_penalty(critic, real, real + 1, jnp.zeros(2), mask=mask)
    np.testing.assert_allclose(ours, jnp.full(2, (norm - 1) ** 2), rtol=1e-5)
    ours = losses.r1_penalty(critic, real)
    np.testing.assert_allclose(ours, jnp.full(2, (slope**2).sum()), rtol=1e-5)


def test_penalty_of_a_flat_critic_has_a_finite_gradient():
    real = jnp.zeros((2, 4, 4, 3))

    def penalty(scale):
        return losses.gradient_penalty(
            lambda x: scale * x.sum(axis=(1, 2, 3)), real, real, jnp.zeros(2)
        ).mean()

    value, gradient = jax.value_and_grad(penalty)(0.0)
    np.testing.assert_allclose(value, 1.0, rtol=1e-5)
    assert jnp.isfinite(gradient)


def test_saturating_and_other_form_meet_where_the_critic_cannot_tell():
    logits = jnp.zeros((1, 5))
    ln2 = np.log(2)
    np.testing.assert_allclose(
        losses.minimax_generator_loss(logits), [-ln2], rtol=CLOSE
    )
    np.testing.assert_allclose(
        losses.non_saturating_generator_loss(logits), [ln2], rtol=CLOSE
    )
    np.testing.assert_allclose(
        losses.minimax_discriminator_loss(logits, logits), [2 * ln2], rtol=CLOSE
    )
    # log(1 - D) by its definition, at a logit where nothing is rounded.
    ours = losses.minimax_generator_loss(jnp.full((1, 1), 1.5))
    np.testing.assert_allclose(ours, [np.log(1 - 1 / (1 + np.exp(-1.5)))], rtol=1e-6)
    far = losses.minimax_discriminator_loss(jnp.full((1, 1), -500.0), logits)
    np.testing.assert_allclose(far, [500 + ln2], rtol=CLOSE)


def test_overlap_weights_count_ring_and_inside():
    weights = losses.overlap_weights(64, 64, 4)
    assert weights.shape == (1, 64, 64, 1)
    assert (weights == 10).sum() == 960
    assert (weights == 1).sum() == 3136
    image = jnp.zeros((2, 64, 64, 3))
    ours = losses.weighted_l2_loss(image + 2, image, weights)
    np.testing.assert_allclose(ours, np.full(2, 4 * weights.mean()), rtol=CLOSE)
    assert (losses.overlap_weights(8, 8, 0) == 1).all()
    with pytest.raises(ValueError, match=r"overlap must lie in 0\.\.3"):
        losses.overlap_weights(8, 8, 4)


def test_squares_by_hand():
    a = jnp.zeros((2, 2, 2, 3))
    b = a.at[0, 0, 0, 0].set(0.5).at[1].set(-2.0)
    np.testing.assert_allclose(losses.l2_loss(a, b), [0.25 / 12, 4.0], rtol=CLOSE)
    mask = jnp.zeros((2, 2, 2, 1)).at[0, 0, 0].set(1.0)
    ours = losses.masked_l2_loss(a, b, mask)
    np.testing.assert_allclose(ours, [0.25 / 3, 0.0], rtol=CLOSE)


def test_feature_matching_moves_the_fake_side_only():
    real = [jnp.ones((2, 3)), jnp.zeros((2, 4, 4, 1))]
    fake = [jnp.zeros((2, 3)), jnp.full((2, 4, 4, 1), 3.0)]
    np.testing.assert_allclose(losses.feature_matching_loss(real, fake), [2.0, 2.0])
    gradient = jax.grad(lambda r: losses.feature_matching_loss(r, fake).sum())(real)
    assert all((g == 0).all() for g in gradient)
    with pytest.raises(ValueError, match="2 layers cannot match those of 1"):
        losses.feature_matching_loss(real, fake[:1])
