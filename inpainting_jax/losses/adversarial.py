"""Adversarial losses on logits.

`real_logits` and `fake_logits` are whatever the discriminator returned, [B, ...]; all
elements of an image count alike, as in PatchGAN, where every element of the last
feature map is a judgement. Computed in float32, from logits: no log of a rounded 0.

Sources: minimax and non-saturating, Goodfellow et al. 2014 (and the Laplacian-pyramid
GAN, Denton et al. 2015); least-squares, Mao et al. 2017; hinge, Lim and Ye 2017;
Wasserstein, Arjovsky et al. 2017. `scale` multiplies both halves of a discriminator's
loss: the code of DeepFill (neuralgym) and nipponjo's have 0.5, mmagic's and the
equations 1.
"""

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array


def _image_mean(values: Array) -> Array:
    """Mean over everything but the first axis, in float32."""
    values = values.astype(jnp.float32)
    return values.reshape(values.shape[0], -1).mean(axis=1)


def _float32(logits: Array) -> Array:
    return logits.astype(jnp.float32)


def minimax_discriminator_loss(
    real_logits: Array, fake_logits: Array, *, scale: float = 1.0
) -> Array:
    """-log D(real) - log(1 - D(fake)), D = sigmoid(logits) (Goodfellow et al. 2014).

    Args:
      real_logits: [B, ...] on real images.
      fake_logits: [B, ...] on completed images.
      scale: factor on each half.

    Returns:
      [B] losses; 2 ln 2 times `scale` for a discriminator that cannot tell.
    """
    real = _image_mean(jax.nn.softplus(-_float32(real_logits)))
    fake = _image_mean(jax.nn.softplus(_float32(fake_logits)))
    return scale * (real + fake)


def minimax_generator_loss(fake_logits: Array) -> Array:
    """log(1 - D(fake)), the saturating form; [B, ...] logits to [B] losses <= 0."""
    return -_image_mean(jax.nn.softplus(_float32(fake_logits)))


def non_saturating_generator_loss(fake_logits: Array) -> Array:
    """-log D(fake): a strong gradient where D is sure; [B, ...] to [B] losses >= 0."""
    return _image_mean(jax.nn.softplus(-_float32(fake_logits)))


def least_squares_discriminator_loss(
    real_logits: Array, fake_logits: Array, *, scale: float = 0.5
) -> Array:
    """(D(real) - 1)^2 + D(fake)^2 (Mao et al. 2017, Eq. 9 with a = 0, b = c = 1).

    Args:
      real_logits: [B, ...] on real images.
      fake_logits: [B, ...] on completed images.
      scale: factor on each half; 0.5 in the paper.

    Returns:
      [B] losses.
    """
    real = _image_mean((_float32(real_logits) - 1.0) ** 2)
    fake = _image_mean(_float32(fake_logits) ** 2)
    return scale * (real + fake)


def least_squares_generator_loss(fake_logits: Array, *, scale: float = 1.0) -> Array:
    """`scale` * (D(fake) - 1)^2; 1 in every code compared, 0.5 in Mao et al.'s Eq. 9.

    Args:
      fake_logits: [B, ...] on completed images.
      scale: factor.

    Returns:
      [B] losses.
    """
    return scale * _image_mean((_float32(fake_logits) - 1.0) ** 2)


def hinge_discriminator_loss(
    real_logits: Array, fake_logits: Array, *, scale: float = 0.5
) -> Array:
    """Hinge loss of a discriminator: pushes real logits above 1 and fake ones below -1.

    Args:
      real_logits: [B, ...] on real images.
      fake_logits: [B, ...] on completed images.
      scale: factor on each half. The code of DeepFill v2 has 0.5, so that a
        discriminator that always says 0 scores 1; the paper's equation has 1.

    Returns:
      [B] losses.
    """
    real = _image_mean(jax.nn.relu(1.0 - real_logits))
    fake = _image_mean(jax.nn.relu(1.0 + fake_logits))
    return scale * (real + fake)


def hinge_generator_loss(fake_logits: Array) -> Array:
    """Hinge loss of a generator, -mean D(fake); [B, ...] logits to [B] losses."""
    return -_image_mean(fake_logits)


def wasserstein_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """Critic's loss mean D(fake) - mean D(real) (Arjovsky et al. 2017), [B]."""
    return _image_mean(fake_logits) - _image_mean(real_logits)


def wasserstein_generator_loss(fake_logits: Array) -> Array:
    """-mean D(fake), as the hinge's; [B, ...] logits to [B] losses."""
    return -_image_mean(fake_logits)


def feature_matching_loss(
    real_features: list[Array], fake_features: list[Array]
) -> Array:
    """Mean L1 distance of a discriminator's features (Salimans 2016; pix2pixHD 2018).

    Args:
      real_features: [B, ...] of each layer on real images; they get no gradient.
      fake_features: the same layers on completed images.

    Returns:
      [B], the mean over layers.

    Raises:
      ValueError: another number of layers, or none.
    """
    if len(real_features) != len(fake_features) or not real_features:
        raise ValueError(
            f"features of {len(real_features)} layers cannot match those of "
            f"{len(fake_features)}: pass the same layers of both, at least one"
        )
    distances = [
        _image_mean(jnp.abs(jax.lax.stop_gradient(real) - fake))
        for real, fake in zip(real_features, fake_features, strict=True)
    ]
    return sum(distances) / len(distances)
