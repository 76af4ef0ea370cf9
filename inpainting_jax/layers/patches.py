"""Square patches of feature maps: cut out, laid back, and measured.

The only patch layout of the library: [B, h, w, k * k * C], height offset slowest,
channel fastest. (`jax.lax.conv_general_dilated_patches` is channel-major.)
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

PatchNorm = Literal["max", "daa233"]


def same_margins(size: int, window: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side of `size` under TensorFlow's SAME padding."""
    steps = -(-size // stride)
    total = max((steps - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def extract_patches(
    features: jax.Array, size: int, *, stride: int = 1, fill: float = 0.0
) -> jax.Array:
    """Cuts `size` x `size` patches every `stride` pixels, with SAME padding.

    Args:
      features: [B, H, W, C].
      size: side of a patch.
      stride: distance between neighbouring patches.
      fill: value outside the image.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), size * size * C].
    """
    _, height, width, _ = features.shape
    margins = [same_margins(side, size, stride) for side in (height, width)]
    padded = jnp.pad(features, ((0, 0), *margins, (0, 0)), constant_values=fill)
    rows, columns = -(-height // stride), -(-width // stride)
    taps = [
        padded[
            :,
            top : top + (rows - 1) * stride + 1 : stride,
            left : left + (columns - 1) * stride + 1 : stride,
        ]
        for top in range(size)
        for left in range(size)
    ]
    return jnp.concatenate(taps, axis=-1)


def fold_patches(patches: jax.Array, size: int, *, stride: int) -> jax.Array:
    """Adds overlapping patches up at their places; the adjoint of `extract_patches`.

    Args:
      patches: [B, h, w, size * size * C].
      size: side of a patch, a multiple of `stride`.
      stride: distance between neighbouring patches.

    Returns:
      [B, h * stride, w * stride, C] sums. A pixel is covered by up to
      (size / stride)^2 patches, fewer at the border (see `patch_coverage`).
    """
    batch, rows, columns, length = patches.shape
    overlap, channels = size // stride, length // size**2
    blocks = patches.reshape(
        batch, rows, columns, overlap, stride, overlap, stride, channels
    )
    total = 0.0
    for down in range(overlap):
        for right in range(overlap):
            total += jnp.pad(
                blocks[:, :, :, down, :, right],
                (
                    (0, 0),
                    (down, overlap - 1 - down),
                    (right, overlap - 1 - right),
                    *((0, 0),) * 3,
                ),
            )
    rows_out, columns_out = total.shape[1] * stride, total.shape[2] * stride
    image = total.transpose(0, 1, 3, 2, 4, 5)
    image = image.reshape(batch, rows_out, columns_out, channels)
    top, _ = same_margins(rows * stride, size, stride)
    left, _ = same_margins(columns * stride, size, stride)
    return image[:, top : top + rows * stride, left : left + columns * stride]


def patch_coverage(height: int, width: int, size: int, stride: int) -> np.ndarray:
    """How many patches cover each pixel, [height, width, 1] float32."""
    sides = []
    for side in (height, width):
        before, _ = same_margins(side, size, stride)
        count = np.zeros(side + 2 * size, np.float32)
        for start in range(0, side, stride):
            count[start : start + size] += 1
        sides.append(count[before : before + side])
    return (sides[0][:, None] * sides[1][None, :])[:, :, None]


def inverse_patch_norms(patches: jax.Array, *, rule: PatchNorm = "max") -> jax.Array:
    """One over the length of each patch, float32, finite for patches of zeros.

    Args:
      patches: [..., D].
      rule: "max": length, but at least 1e-4 (DeepFill, nipponjo, mmagic); "daa233":
        sqrt(sum(w^2 + 1e-4)), which shortens faint patches further.

    Returns:
      [...] float32.

    Raises:
      ValueError: on an unknown rule.
    """
    squares = jnp.square(patches.astype(jnp.float32))
    if rule == "max":
        # Inside the root, so that the gradient at a patch of zeros is 0 and not NaN.
        return jax.lax.rsqrt(jnp.maximum(jnp.sum(squares, axis=-1), 1e-8))
    if rule == "daa233":
        return jax.lax.rsqrt(jnp.sum(squares + 1e-4, axis=-1))
    raise ValueError(f"unknown patch norm {rule!r}: use 'max' or 'daa233'")
