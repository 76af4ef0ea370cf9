"""Transposed convolution, computed as ordinary convolutions of the small image.

A transposed convolution of stride s is s * s interleaved convolutions, one per position
of an output pixel inside its s x s block ("sub-pixel" form, Shi et al. 2016,
https://arxiv.org/abs/1609.05158). Computed so, no product with an inserted zero is ever
formed: equal results, and several times faster on a CPU.

Kernels are [k, k, C, F] as those of `flax.linen.ConvTranspose`: a PyTorch kernel
[I, O, kh, kw] becomes one by transposition to [kh, kw, I, O] and a spatial flip.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

PADDINGS = ("SAME", "VALID")


def convolve_transposed(
    features: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int = 2,
    padding: str = "SAME",
) -> jax.Array:
    """Transposed convolution of [B, H, W, C] with a kernel [k, k, C, F].

    Args:
      features: [B, H, W, C].
      kernel: [k, k, C, F], cast to the dtype of the features.
      bias: [F] or None.
      strides: how many times larger the result is, in both directions.
      padding: "SAME": [s H, s W], as TensorFlow and Flax crop it; for k = 4, s = 2 that
        is PyTorch's padding of 1. "VALID": [s H + max(k - s, 0), ...], nothing cropped.

    Returns:
      [B, H', W', F].

    Raises:
      ValueError: unknown padding.
    """
    if padding not in PADDINGS:
        raise ValueError(f"unknown padding {padding!r}: use 'SAME' or 'VALID'")
    kernel = kernel.astype(features.dtype)
    if padding == "SAME" and strides > 1:
        out = _interleaved(features, kernel, strides)
    else:
        out = jax.lax.conv_transpose(
            features,
            kernel,
            (strides, strides),
            padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    if bias is None:
        return out
    return out + bias.astype(out.dtype)[None, None, None, :]


def _interleaved(features: jax.Array, kernel: jax.Array, strides: int) -> jax.Array:
    """One convolution to s * s * F channels; its phases become neighbouring pixels."""
    batch, height, width, channels = features.shape
    size, filters = kernel.shape[0], kernel.shape[-1]
    taps, first = _phases(size, strides)
    # A tap that a phase lacks reads the row of zeros appended to the kernel.
    padded = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
    phased = padded[taps[:, :, None, None], taps[None, None]]
    reach = taps.shape[0]
    phased = phased.transpose(0, 2, 4, 1, 3, 5).reshape(reach, reach, channels, -1)
    spread = int(first.max() - first.min())
    before = int(-first.min())
    margin = (before, spread + reach - 1 - before)
    out = jax.lax.conv_general_dilated(
        features,
        phased,
        (1, 1),
        (margin, margin),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ).reshape(batch, height + spread, width + spread, strides, strides, filters)
    starts = first - first.min()
    rows = [out[:, s : s + height, :, i] for i, s in enumerate(starts)]
    out = jnp.stack(rows, axis=2)  # [B, H, s, W + spread, s, F]
    columns = [out[:, :, :, s : s + width, i] for i, s in enumerate(starts)]
    out = jnp.stack(columns, axis=4)  # [B, H, s, W, s, F]
    return out.reshape(batch, height * strides, width * strides, filters)


def _phases(size: int, strides: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel taps by phase [taps, s] (`size` = none), and each phase's first offset."""
    total = size + strides - 2
    before = size - 1 if strides > size - 1 else -(-total // 2)
    phase = np.arange(strides)
    first = -((before - phase) // strides)  # ceil((phase - before) / strides)
    reach = -(-size // strides)
    taps = strides * (first[None] + np.arange(reach)[:, None]) + before - phase[None]
    return np.where(taps < size, taps, size), first


class TransposedConvBlock(nn.Module):
    """Transposed convolution, then an optional normalisation, then an activation.

    Parameters: `kernel` (k, k, C, features) and `bias` (features); those of the
    normalisation under `norm`.

    Attributes:
      features: channels that leave the layer.
      norm: builds the normalisation; None for none.
      norm_last: normalise after the activation instead of before it.
      activation: None for a linear layer.
      dtype: of the computation; None keeps that of the input. Parameters are float32.
    """

    features: int
    kernel_size: Sequence[int] = (4, 4)
    strides: int = 2
    padding: str = "SAME"
    use_bias: bool = True
    norm: Callable[..., nn.Module] | None = None
    norm_last: bool = False
    activation: Callable[[jax.Array], jax.Array] | None = nn.relu
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()
    dtype: Any = None

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, features.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
        out = convolve_transposed(
            features if self.dtype is None else features.astype(self.dtype),
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
        )
        steps = [self.activation, self.norm and self.norm(name="norm")]
        for step in steps if self.norm_last else steps[::-1]:
            out = out if step is None else step(out)
        return out
