"""Channel-wise fully connected layer: one dense map per feature map.

Pathak et al. 2016, "Context Encoders: Feature Learning by Inpainting", Sec. 3.1,
https://arxiv.org/abs/1604.07379. Every position reaches every other, but only within
its own channel: C * (H W)^2 weights instead of (C H W)^2. A 1x1 convolution after it
mixes the channels.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def channelwise_fc(
    features: jax.Array, kernel: jax.Array, bias: jax.Array | None = None
) -> jax.Array:
    """Multiplies each channel of [B, H, W, C] by its own [H W, H W] matrix.

    Args:
      features: [B, H, W, C].
      kernel: [C, H W, H W], from input to output positions, both row by row; cast to
        the dtype of the features.
      bias: [C, H W] or None.

    Returns:
      [B, H, W, C].

    Raises:
      ValueError: a kernel made for another size or number of channels.
    """
    batch, height, width, channels = features.shape
    positions = height * width
    if kernel.shape != (channels, positions, positions):
        raise ValueError(
            f"kernel {kernel.shape} does not fit features {features.shape}: expected "
            f"{(channels, positions, positions)}"
        )
    flat = features.reshape(batch, positions, channels)
    out = jnp.einsum("bpc,cpq->bqc", flat, kernel.astype(features.dtype))
    if bias is not None:
        out = out + bias.T.astype(out.dtype)[None]
    return out.reshape(batch, height, width, channels)


class ChannelwiseFC(nn.Module):
    """`channelwise_fc` with its parameters `kernel` (C, HW, HW) and `bias` (C, HW).

    Features must keep the size they had at `init`.

    Attributes:
      use_bias: whether there is a bias.
      kernel_init: of the kernel; by default of unit variance per channel's map.
      dtype: of the computation; None keeps that of the input. Parameters are float32.
    """

    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal(
        batch_axis=0
    )
    dtype: Any = None

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        channels, positions = features.shape[3], features.shape[1] * features.shape[2]
        kernel = self.param(
            "kernel", self.kernel_init, (channels, positions, positions)
        )
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (channels, positions))
        features = features if self.dtype is None else features.astype(self.dtype)
        return channelwise_fc(features, kernel, bias)
