"""Distances between predicted class probabilities and label maps."""

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array


def cross_entropy_loss(
    logits: Array, target: Array, weights: Array | None = None
) -> Array:
    """-log probability of the right class, the weighted mean over pixels.

    Args:
      logits: [B, H, W, C].
      target: [B, H, W, C], one-hot or probabilities; gets no gradient.
      weights: [B, H, W, 1] or None: 1 each. The sum is divided by the number of pixels
        whose weight is positive.

    Returns:
      [B] float32; 0 for an image without such pixels.

    Raises:
      ValueError: shapes that do not fit.
    """
    if logits.shape != target.shape:
        raise ValueError(f"logits {logits.shape} and target {target.shape} differ")
    if weights is None:
        weights = jnp.ones((*logits.shape[:3], 1))
    if weights.shape != (*logits.shape[:3], 1):
        raise ValueError(f"weights {weights.shape} do not fit logits {logits.shape}")
    likelihood = jax.nn.log_softmax(logits.astype(jnp.float32))
    entropy = -(jax.lax.stop_gradient(target) * likelihood).sum(-1, keepdims=True)
    count = (weights > 0).astype(jnp.float32).sum(axis=(1, 2, 3))
    return (entropy * weights).sum(axis=(1, 2, 3)) / jnp.maximum(count, 1.0)
