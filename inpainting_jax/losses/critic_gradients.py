"""Penalties on the gradient of a critic with respect to the images it judges.

`critic` maps images [B, H, W, C] to logits [B, ...] and must treat images one by one
(no batch normalisation): the gradient of the sum of logits is then each image's own.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array

Critic = Callable[[Array], Array]


def gradient_penalty(
    critic: Critic,
    real: Array,
    fake: Array,
    alpha: Array,
    *,
    mask: Array | None = None,
    per_pixel: bool = False,
    divide_by_mask: bool = False,
) -> Array:
    """(|grad D| - 1)^2 between real and fake images (WGAN-GP, Gulrajani et al. 2017).

    Args:
      critic: see the module's docstring.
      real: [B, H, W, C].
      fake: [B, H, W, C].
      alpha: [B] uniform in [0, 1]; the gradient is taken at real + alpha (fake - real).
        mmagic and daa233 put `alpha` on the real image: pass 1 - alpha to agree.
      mask: [B, H, W, 1] or [1, H, W, 1]; only the gradient of these pixels counts (Yu
        et al. 2018, Eq. 7: the hole). None: all count.
      per_pixel: one norm per pixel, averaged (mmagic), instead of one per image.
      divide_by_mask: divide the result by the mean of `mask` (mmagic).

    Returns:
      [B] penalties, without their weight (10 in both papers).
    """
    between = real + alpha[:, None, None, None] * (fake - real)
    gradient = _image_gradient(critic, between)
    if mask is not None:
        gradient = gradient * mask
    axes = (3,) if per_pixel else (1, 2, 3)
    # Keeps the root's own gradient finite where a critic is flat.
    norm = jnp.sqrt((gradient**2).sum(axis=axes) + 1e-12)
    penalty = (norm - 1.0) ** 2
    penalty = penalty.mean(axis=(1, 2)) if per_pixel else penalty
    if mask is not None and divide_by_mask:
        penalty = penalty / mask.mean()
    return penalty


def r1_penalty(critic: Critic, real: Array) -> Array:
    """|grad D|^2 on real images, zero-centred (Mescheder et al. 2018, Eq. 9), [B].

    Its weight there is gamma / 2 with gamma = 10; the factor is the caller's.
    """
    return (_image_gradient(critic, real) ** 2).sum(axis=(1, 2, 3))


def _image_gradient(critic: Critic, image: Array) -> Array:
    """Of each image's logits (summed if there are several) to its own pixels."""
    return jax.grad(lambda x: critic(x).astype(jnp.float32).sum())(image)
