"""Activations in the form that compiles to vector instructions everywhere."""

import jax
import jax.numpy as jnp


def elu(features: jax.Array) -> jax.Array:
    """x where x > 0, else exp(x) - 1 (Clevert et al. 2016, Equation 15, alpha 1).

    Flax's takes `expm1`, which XLA's CPU backend leaves scalar in loops of, say, 12
    channels: a gate of them took 6 times as long, forward and backward. What `expm1`
    saves is precision near 0, of which 6e-8 is left to float32; shorter floats are
    computed as float32.

    Args:
      features: any shape.

    Returns:
      The same shape and dtype.
    """
    short = jnp.finfo(features.dtype).bits < 32
    x = features.astype(jnp.float32) if short else features
    # The inner `where` keeps infinities out of the gradient of what is not chosen.
    below = jnp.exp(jnp.where(x > 0, jnp.zeros_like(x), x)) - 1
    return jnp.where(x > 0, x, below).astype(features.dtype)
