"""Transposed convolution, computed as an ordinary convolution of the small image.

A transposed convolution of stride s is s * s interleaved convolutions, one per position
of an output pixel inside its s x s block (see `conv_gradients.spread`): equal results,
and no product with an inserted zero is ever formed.

Kernels are [k, k, C, F] as those of `flax.linen.ConvTranspose`: a PyTorch kernel
[I, O, kh, kw] becomes one by transposition to [kh, kw, I, O] and a spatial flip.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax.layers.conv_gradients import spread

PADDINGS = ("SAME", "SYMMETRIC", "VALID")


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
        is PyTorch's padding of 1. "SYMMETRIC": [s H, s W], as PyTorch crops it with
        padding (k - 1) // 2 and the output padding that this size takes. "VALID":
        [s H + max(k - s, 0), ...], nothing cropped.

    Returns:
      [B, H', W', F].

    Raises:
      ValueError: unknown padding.
    """
    if padding not in PADDINGS:
        raise ValueError(
            f"unknown padding {padding!r}: use one of {', '.join(PADDINGS)}"
        )
    if padding == "SYMMETRIC" and strides == 1:
        padding = "SAME"
    kernel = kernel.astype(features.dtype)
    if padding != "VALID" and strides > 1:
        out = _cropped_spread(features, kernel, strides, padding)
    elif features.shape[1:3] == (1, 1) and strides <= kernel.shape[0]:
        # One pixel becomes a kernel's worth: the general way, which pads it with zeros
        # all around, multiplies k * k times as much.
        out = jnp.einsum("bijc,yxcf->byxf", features, kernel)[:, ::-1, ::-1]
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


def _cropped_spread(
    features: jax.Array, kernel: jax.Array, strides: int, padding: str
) -> jax.Array:
    """The spread kernels, cropped to `strides` times the size."""
    size = kernel.shape[0]
    if padding == "SYMMETRIC":
        start = (size - 1) // 2
    else:
        total = size + strides - 2
        before = size - 1 if strides > size - 1 else -(-total // 2)
        start = size - 1 - before
    height, width = (strides * length for length in features.shape[1:3])
    full = spread(features, kernel[::-1, ::-1], strides)
    # A kernel that is cropped in front may end before the last row: zeros follow.
    lack = (
        max(0, start + height - full.shape[1]),
        max(0, start + width - full.shape[2]),
    )
    full = jnp.pad(full, ((0, 0), (0, lack[0]), (0, lack[1]), (0, 0)))
    return full[:, start : start + height, start : start + width]


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
