"""Partial convolution: a convolution over the valid pixels only (Liu et al. 2018).

"Image Inpainting for Irregular Holes Using Partial Convolutions", Sec. 3.1,
https://arxiv.org/abs/1804.07723. Here, and only here, masks are turned round: `valid` =
1 - mask, 1 = known. Zero padding counts as invalid, so borders are re-weighted too;
with everything valid this is partial-convolution padding (https://arxiv.org/abs/1811.11718).

Trap: code bases disagree about the factor in front of the sum, and weights carry it:
"volume" is the paper's and NVIDIA's, "area" PConv-Keras's, "one" naoto0804's.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax.layers.conv import Padding, convolve

WINDOWS = ("volume", "area", "one")


def partial_conv(
    features: jax.Array,
    valid: jax.Array | None,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int = 1,
    padding: Padding = "SAME",
    dilation: int = 1,
    window: str = "volume",
) -> tuple[jax.Array, jax.Array]:
    """Convolves what is valid and scales each sum by (window size / valid taps).

    The result does not depend on features where `valid` is 0, not even if they are NaN.

    Args:
      features: [B, H, W, C].
      valid: [B, H, W, 1], or [B, H, W, C] if channels have holes of their own (after
        joining two branches); 1 = known, 0 = hole. No gradient. None: all is known.
      kernel: [k, k, C, F].
      bias: [F] or None; added after scaling, not where the window is all hole.
      strides: step of the window in both directions.
      padding: "SAME", "SYMMETRIC", "VALID" or explicit zeros (see `layers.conv`).
      dilation: distance of neighbouring kernel taps.
      window: what counts as the window's size, if valid taps are counted in all C
        channels: "volume" k k C, "area" k k, "one" 1.

    Returns:
      [B, H', W', F] features, exactly 0 where the window held nothing valid, and the
      new valid, float32, 1 where it held something: [B, H', W', 1], or [B, H', W', F]
      if `valid` had C > 1 channels.

    Raises:
      ValueError: if `valid` does not fit the features, or the window is unknown.
    """
    if window not in WINDOWS:
        raise ValueError(f"unknown window {window!r}; known: {', '.join(WINDOWS)}")
    if valid is None:
        valid = jnp.ones((*features.shape[:3], 1), jnp.float32)
    if valid.shape[:3] != features.shape[:3] or (
        valid.shape[3] not in (1, features.shape[3])
    ):
        raise ValueError(
            f"valid must be {[*features.shape[:3], 1]} or {list(features.shape)}, got"
            f" {list(valid.shape)}"
        )
    moves = {"strides": strides, "padding": padding, "dilation": dilation}
    valid = jax.lax.stop_gradient(valid).astype(jnp.float32)
    known = jnp.where(valid > 0, features * valid.astype(features.dtype), 0)
    out = convolve(known, kernel, **moves).astype(jnp.float32)
    # Up to 512 * 9 taps are counted: too many for bfloat16, hence the precision.
    taps = jnp.ones((*kernel.shape[:2], 1, 1), jnp.float32)
    highest = jax.lax.Precision.HIGHEST
    count = convolve(
        jnp.sum(valid, axis=-1, keepdims=True), taps, precision=highest, **moves
    )
    new_valid = jnp.clip(count, 0, 1)
    area, channels = kernel.shape[0] * kernel.shape[1], features.shape[3]
    size = {"volume": area * channels, "area": area, "one": 1}[window]
    # A valid of one channel stands for all of them.
    ratio = size * valid.shape[3] / channels
    out = out * (ratio / jnp.maximum(count, 1e-8) * new_valid)
    if bias is not None:
        out = (out + bias.astype(jnp.float32)[None, None, None, :]) * new_valid
    if valid.shape[3] > 1:
        new_valid = jnp.broadcast_to(new_valid, out.shape)
    return out.astype(features.dtype), new_valid


class PartialConv(nn.Module):
    """`partial_conv` with its parameters: `kernel` (k, k, C, features) and `bias`.

    Attributes:
      features: channels that leave the layer.
      dtype: of the computation; None keeps that of the input. Parameters and the
        counting of valid pixels are float32.
    """

    features: int
    kernel_size: Sequence[int] = (3, 3)
    strides: int = 1
    dilation: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.he_normal()
    window: str = "volume"
    dtype: Any = None

    @nn.compact
    def __call__(
        self, features: jax.Array, valid: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        shape = (*self.kernel_size, features.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return partial_conv(
            features if self.dtype is None else features.astype(self.dtype),
            valid,
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            window=self.window,
        )
