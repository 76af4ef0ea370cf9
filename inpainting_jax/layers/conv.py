"""Convolution as every layer here computes it, and the plain block built on it.

Local vocabulary: `padding` is one of
  "SAME"       TensorFlow's zero padding; at stride 2 one more row after than before,
  "SYMMETRIC"  zeros, dilation * (k - 1) // 2 on both sides (PyTorch's habit),
  "REFLECT"    as SYMMETRIC, filled by reflection without repeating the edge,
  "VALID"      none,
or explicit ((top, bottom), (left, right)) zeros. SAME and SYMMETRIC agree at stride 1
with odd kernels; at stride 2 they differ by one pixel and weights do not carry over.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax import runtime
from inpainting_jax.layers.activations import elu
from inpainting_jax.layers.conv_gradients import Margins, convolve_with_margins
from inpainting_jax.layers.resize import upsample_nearest
from inpainting_jax.layers.subpixel import convolve_doubled

Padding = str | Sequence[tuple[int, int]]


def convolve(
    features: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int = 1,
    padding: Padding = "SAME",
    dilation: int = 1,
    upsample: int = 1,
    precision: jax.lax.Precision | None = None,
) -> jax.Array:
    """Convolves [B, H, W, C] with a kernel [k, k, C, F], in the dtype of the features.

    Args:
      features: [B, H, W, C].
      kernel: [k, k, C, F], cast to the dtype of the features.
      bias: [F] or None.
      strides: step of the window in both directions.
      padding: see the module's docstring.
      dilation: distance of neighbouring kernel taps.
      upsample: repeats each pixel so many times in both directions first.
      precision: of the products; None follows JAX's setting.

    Returns:
      [B, H', W', F].
    """
    if upsample == 2 and _is_doubled_convolution(kernel, strides, padding, dilation):
        out = convolve_doubled(features, kernel, precision=precision)
        return out if bias is None else out + bias.astype(out.dtype)[None, None, None]
    if upsample > 1:
        features = upsample_nearest(features, upsample)
    features, padding = apply_padding(features, kernel.shape[:2], padding, dilation)
    margins = _margins(
        features.shape[1:3], kernel.shape[:2], strides, padding, dilation
    )
    kernel = kernel.astype(features.dtype)
    out = convolve_with_margins(
        features, kernel, strides, dilation, margins, precision=precision
    )
    if bias is None:
        return out
    return out + bias.astype(out.dtype)[None, None, None, :]


def _is_doubled_convolution(
    kernel: jax.Array, strides: int, padding: Padding, dilation: int
) -> bool:
    """Whether `convolve_doubled` does the same, and faster: 1.4 to 3 times on a CPU."""
    plain = kernel.shape[:2] == (3, 3) and strides == dilation == 1
    zeros = padding in ("SAME", "SYMMETRIC")
    return plain and zeros and runtime.alone_on_cpu()


def _margins(
    size: Sequence[int],
    kernel_size: Sequence[int],
    strides: int,
    padding: Padding,
    dilation: int,
) -> Margins:
    """`padding` (SAME, VALID or explicit) as zeros before and after, per axis."""
    if padding == "VALID":
        return ((0, 0), (0, 0))
    if padding != "SAME":
        (top, bottom), (left, right) = padding
        return ((top, bottom), (left, right))
    margins = []
    for length, taps in zip(size, kernel_size, strict=True):
        steps = -(-length // strides) - 1
        total = max(steps * strides + dilation * (taps - 1) + 1 - length, 0)
        margins.append((total // 2, total - total // 2))
    return tuple(margins)


def apply_padding(
    features: jax.Array, kernel_size: Sequence[int], padding: Padding, dilation: int
) -> tuple[jax.Array, Padding]:
    """Turns `padding` into what XLA takes: features (padded if REFLECT) and the rest.

    Raises:
      ValueError: if the name is unknown.
    """
    if not isinstance(padding, str):
        return features, tuple(padding)
    if padding in ("SAME", "VALID"):
        return features, padding
    margins = tuple((dilation * (size - 1) // 2,) * 2 for size in kernel_size)
    if padding == "SYMMETRIC":
        return features, margins
    if padding == "REFLECT":
        return jnp.pad(features, ((0, 0), *margins, (0, 0)), mode="reflect"), "VALID"
    raise ValueError(
        f"unknown padding {padding!r}: use 'SAME', 'SYMMETRIC', 'REFLECT', 'VALID' or"
        " ((top, bottom), (left, right))"
    )


class ConvBlock(nn.Module):
    """Convolution, then an optional normalisation, then an activation.

    Parameters: `kernel` (k, k, C, features) and `bias` (features), as in the TensorFlow
    checkpoints; those of the normalisation under `norm`.

    Attributes:
      features: channels that leave the layer.
      norm: builds the normalisation, e.g. `partial(nn.BatchNorm,
        use_running_average=not train)`; None for none.
      norm_last: normalise after the activation instead of before it.
      activation: None for a linear layer.
      upsample: repeats each pixel so many times before the convolution.
      dtype: of the computation; None keeps that of the input. Parameters are float32.
    """

    features: int
    kernel_size: Sequence[int] = (3, 3)
    strides: int = 1
    dilation: int = 1
    upsample: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    norm: Callable[..., nn.Module] | None = None
    norm_last: bool = False
    activation: Callable[[jax.Array], jax.Array] | None = elu
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()
    dtype: Any = None

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, features.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
        out = convolve(
            features if self.dtype is None else features.astype(self.dtype),
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            upsample=self.upsample,
        )
        steps = [self.activation, self.norm and self.norm(name="norm")]
        for step in steps if self.norm_last else steps[::-1]:
            out = out if step is None else step(out)
        return out


class UpsampleConv(nn.Module):
    """Repeats each pixel `factor` times, then applies `conv` (parameters under `conv`).

    Attributes:
      features: channels that leave the layer.
      conv: builds the convolution: `ConvBlock`, `GatedConv` or a partial of one.
    """

    features: int
    factor: int = 2
    conv: Callable[..., nn.Module] = ConvBlock

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        conv = self.conv(self.features, upsample=self.factor, name="conv")
        return conv(features)
