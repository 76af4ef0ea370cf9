"""Adversarial losses on logits (Goodfellow et al. 2014; hinge form: Lim & Ye 2017).

`real_logits` and `fake_logits` are whatever the discriminator returned, [B, ...]; all
elements of an image count alike, as in SN-PatchGAN (Yu et al. 2019, Sec. 3.3), where
every element of the last feature map is a judgement. Computed in float32.
"""

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array


def _image_mean(values: Array) -> Array:
    """Mean over everything but the first axis, in float32."""
    values = values.astype(jnp.float32)
    return values.reshape(values.shape[0], -1).mean(axis=1)


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
