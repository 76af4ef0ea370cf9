"""Gated convolution: a learned soft mask on every channel (Yu et al. 2019, Sec. 3.1).

"Free-Form Image Inpainting with Gated Convolution", https://arxiv.org/abs/1806.03589.
The paper's two filters W_f and W_g are one kernel here, features first, as in the
authors' code. Widths quoted there (`cnum`) count both halves: 48 there is 24 here.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax.layers.activations import elu
from inpainting_jax.layers.conv import Padding, convolve

Activation = Callable[[jax.Array], jax.Array]


def gated_conv(
    features: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int = 1,
    padding: Padding = "SAME",
    dilation: int = 1,
    upsample: int = 1,
    activation: Activation | None = elu,
) -> jax.Array:
    """Convolves, then multiplies activated features by the sigmoid of their gates.

    Args:
      features: [B, H, W, C].
      kernel: [k, k, C, 2F]; output channels are F features, then their F gates.
      bias: [2F] or None.
      strides: step of the window in both directions.
      padding: "SAME", "SYMMETRIC", "REFLECT", "VALID" or explicit (see `layers.conv`).
      dilation: distance of neighbouring kernel taps.
      upsample: repeats each pixel so many times in both directions first.
      activation: of the feature half; None leaves it linear.

    Returns:
      [B, H', W', F].

    Raises:
      ValueError: if the kernel has an odd number of output channels.
    """
    if kernel.shape[-1] % 2:
        raise ValueError(
            f"a gated kernel holds features and gates, so its {kernel.shape[-1]} output"
            " channels must be an even number"
        )
    out = convolve(
        features,
        kernel,
        strides=strides,
        padding=padding,
        dilation=dilation,
        upsample=upsample,
    )
    # What the gate computes costs less to compute again, in one pass of the backward
    # pass, than to write and read back: five arrays of the output's size a layer.
    return jax.checkpoint(functools.partial(_gate, activation))(out, bias)


def _gate(activation, out, bias):
    """The features [..., F] of a convolution [..., 2F] times their gates."""
    if bias is not None:
        out = out + bias.astype(out.dtype)[None, None, None, :]
    feature, gate = jnp.split(out, 2, axis=-1)
    if activation is not None:
        feature = activation(feature)
    return feature * jax.nn.sigmoid(gate)


class GatedConv(nn.Module):
    """`gated_conv` with its parameters: `kernel` (k, k, C, 2F) and `bias` (2F).

    Attributes:
      features: F, the channels that leave the layer (half of those convolved).
      upsample: repeats each pixel so many times before the convolution.
      activation: of the feature half; None leaves it linear.
      dtype: of the computation; None keeps that of the input. Parameters are float32.
    """

    features: int
    kernel_size: Sequence[int] = (3, 3)
    strides: int = 1
    dilation: int = 1
    upsample: int = 1
    padding: Padding = "SAME"
    activation: Activation | None = elu
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()
    dtype: Any = None

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        convolved = 2 * self.features
        shape = (*self.kernel_size, features.shape[-1], convolved)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (convolved,))
        return gated_conv(
            features if self.dtype is None else features.astype(self.dtype),
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            upsample=self.upsample,
            activation=self.activation,
        )
