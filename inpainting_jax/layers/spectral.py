"""Spectral normalisation: a kernel divided by its largest singular value.

Miyato et al. 2018, https://arxiv.org/abs/1802.05957. The kernel is read as a matrix
[k * k * C, F], as in the DeepFill v2 code (PyTorch's is the transpose; same value).
The left vector `u` [1, F] is not a parameter: it lives in collection `spectral_stats`.
Flax's own `SpectralNorm` keeps it in `batch_stats`, which train steps average.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax.layers.conv import Padding, convolve

_EPSILON = 1e-12


def spectral_normalize(
    kernel: jax.Array, u: jax.Array, *, iterations: int = 1
) -> tuple[jax.Array, jax.Array]:
    """Divides a kernel by its spectral norm, estimated by power iteration from `u`.

    Args:
      kernel: [..., F], float32.
      u: [1, F], any length above 0; the better it is known, the fewer iterations.
      iterations: at least 1.

    Returns:
      The normalised kernel and the new `u` [1, F] of unit length (no gradient).

    Raises:
      ValueError: if `iterations` is below 1 or `u` has another shape.

    Differs from the DeepFill v2 code: gradients stop at `u` and `v`, which is standard
    practice; the value is the same.
    """
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    if u.shape != (1, kernel.shape[-1]):
        raise ValueError(
            f"u must be [1, {kernel.shape[-1]}] for this kernel, got {list(u.shape)}"
        )
    matrix = kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32)
    fixed = jax.lax.stop_gradient(matrix)
    u = jax.lax.stop_gradient(u).astype(jnp.float32)
    for _ in range(iterations):
        v = _unit(u @ fixed.T)
        u = _unit(v @ fixed)
    sigma = jnp.sum((v @ matrix) * u)
    # A kernel of zeros stays zero instead of turning into NaN.
    scale = 1 / jnp.maximum(sigma, _EPSILON)
    return (kernel * scale).astype(kernel.dtype), u


def _unit(vector: jax.Array) -> jax.Array:
    return vector / (jnp.linalg.norm(vector) + _EPSILON)


class SNConv(nn.Module):
    """Convolution with a spectrally normalised kernel.

    Parameters: `kernel` (k, k, C, features), `bias`. Collection `spectral_stats` holds
    `u` (1, features), which is replaced only when `update_stats` is true (make the
    collection mutable then). With false the same iteration runs and is not stored.

    Attributes:
      features: channels that leave the layer.
      iterations: power iterations per call.
      dtype: of the convolution; None keeps that of the input. The norm is float32.
    """

    features: int
    kernel_size: Sequence[int] = (5, 5)
    strides: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    iterations: int = 1
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()
    dtype: Any = None

    @nn.compact
    def __call__(self, features: jax.Array, *, update_stats: bool) -> jax.Array:
        shape = (*self.kernel_size, features.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        stored = self.variable("spectral_stats", "u", self._start_vector)
        kernel, u = spectral_normalize(kernel, stored.value, iterations=self.iterations)
        if update_stats and not self.is_initializing():
            stored.value = u
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return convolve(
            features if self.dtype is None else features.astype(self.dtype),
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
        )

    def _start_vector(self) -> jax.Array:
        init = nn.initializers.truncated_normal(1.0)
        return init(self.make_rng("params"), (1, self.features))
