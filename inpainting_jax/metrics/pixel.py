"""Pixel-wise metrics: L1, L2, PSNR, total variation, and the seam of the hole.

Images are [B, H, W, C], float in [0, 1] or uint8 (divided by 255 here); the result has
one value per image, [B] float32. With `mask` [B, H, W, 1] (1 = hole) the value is that
of the hole alone: sums divided by hole pixels x channels, NaN where a hole is empty.

One word names several quantities in the literature. Here L1 and L2 are plain means
(no root, no 1/2, no percent), so that for a composite, whose known pixels are exact,
`image = ratio * hole`.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from inpainting_jax.types import Array

RING = 16
"""Known pixels this near to the hole, along rows and columns, are its ring."""

MIN_SQUARE = 1e-10
"""Mean squares below this count as this: identical images have 100 dB, not infinity."""

_LEVELS = (np.arange(256) / 255).astype(np.float32)


def as_pair(
    a: Array | np.ndarray, b: Array | np.ndarray, mask: Array | np.ndarray | None
) -> tuple[Array, Array, Array | None]:
    """The arguments of a metric as float32 in [0, 1], and the mask as bool; checked.

    Raises:
      ValueError: if shapes are not [B, H, W, C], differ, or the mask does not fit.
    """
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(
            f"metrics compare two batches [B, H, W, C] of one shape, got {a.shape} "
            f"and {b.shape}; add the batch axis, or resize one of them."
        )
    if mask is not None:
        if mask.shape != (*a.shape[:3], 1):
            raise ValueError(
                f"mask {mask.shape} does not fit images {a.shape}; it must be "
                f"{(*a.shape[:3], 1)}, one channel, 1 = hole."
            )
        mask = jnp.asarray(mask).astype(jnp.float32) > 0.5
    return _as_unit(a), _as_unit(b), mask


def _as_unit(image: Array | np.ndarray) -> Array:
    image = jnp.asarray(image)
    if image.dtype == jnp.uint8:
        # A table, since a division fused with the following difference rounds one side
        # only, and equal images would differ by 1e-8.
        return jnp.asarray(_LEVELS)[image]
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"images are uint8 or float in [0, 1], not {image.dtype}.")
    return image.astype(jnp.float32)


def region_mean(values: Array, mask: Array | None) -> Array:
    """[B] means of [B, H, W, C] over everything, or over mask [B, H, W, 1] (bool).

    Row by row: float32 loses digits in one sum over a large image. NaN for empty masks.
    """
    if mask is None:
        return values.mean((2, 3)).mean(1)
    total = jnp.where(mask, values, 0).mean((2, 3)).mean(1)
    return total / mask.astype(jnp.float32).mean((2, 3)).mean(1)


def ring(mask: Array | np.ndarray) -> Array:
    """[B, H, W, 1] float32: 1 on known pixels within `RING` pixels of the hole."""
    near = mask = jnp.asarray(mask).astype(jnp.float32)
    side = 2 * RING + 1
    for window in ((1, side, 1, 1), (1, 1, side, 1)):  # a maximum of maxima
        near = lax.reduce_window(near, -jnp.inf, lax.max, window, (1,) * 4, "SAME")
    return jnp.where(mask > 0.5, 0.0, near)


def l1(a: Array, b: Array, mask: Array | None = None) -> Array:
    """Mean |a - b|, in [0, 1]."""
    a, b, mask = as_pair(a, b, mask)
    return region_mean(jnp.abs(a - b), mask)


def l2(a: Array, b: Array, mask: Array | None = None) -> Array:
    """Mean (a - b)^2, in [0, 1]."""
    a, b, mask = as_pair(a, b, mask)
    return region_mean((a - b) ** 2, mask)


def psnr(a: Array, b: Array, mask: Array | None = None) -> Array:
    """-10 log10 of the mean square, dB in [0, 100]; exactly 100 if identical."""
    square = l2(a, b, mask)
    value = -10 * jnp.log10(jnp.maximum(square, MIN_SQUARE))
    return jnp.where(square <= MIN_SQUARE, 100.0, value)


def relative_l1(a: Array, b: Array, mask: Array | None = None) -> Array:
    """sum |a - b| / sum (a + b), 0 for two black images.

    What EdgeConnect and AOT-GAN print as "MAE": relative to brightness, for comparison
    with their tables only.
    """
    a, b, mask = as_pair(a, b, mask)
    total = region_mean(a + b, mask)
    return region_mean(jnp.abs(a - b), mask) / jnp.where(total == 0, 1, total)


def total_variation(
    image: Array, mask: Array | None = None, *, reduction: str = "sum"
) -> Array:
    """Absolute differences of vertical and horizontal neighbours, summed.

    Args:
      image: [B, H, W, C].
      mask: [B, H, W, 1]; counts only differences with at least one end in the hole.
      reduction: `sum` over pixels and channels, as TensorFlow and torchmetrics; `mean`
        adds the means of the two directions, and is NaN where no difference counts.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction={reduction!r} must be 'sum' or 'mean'.")
    image, _, mask = as_pair(image, image, mask)
    down = jnp.abs(image[:, 1:] - image[:, :-1])
    across = jnp.abs(image[:, :, 1:] - image[:, :, :-1])
    if mask is None:
        down_mask, across_mask = None, None
    else:
        down_mask = mask[:, 1:] | mask[:, :-1]
        across_mask = mask[:, :, 1:] | mask[:, :, :-1]
    if reduction == "mean":
        return region_mean(down, down_mask) + region_mean(across, across_mask)
    return _region_sum(down, down_mask) + _region_sum(across, across_mask)


def seam(a: Array, b: Array, mask: Array) -> Array:
    """[B] mean gradient across the hole's edge in `a`, over that in the original `b`.

    1 is right; above it a visible edge, below it a blurred one. NaN without an edge;
    the floor of 1/255 under the original's gradient keeps flat surroundings finite.
    """
    a, b, mask = as_pair(a, b, mask)
    down = (mask[:, 1:] ^ mask[:, :-1], lambda x: jnp.abs(x[:, 1:] - x[:, :-1]))
    across = (
        mask[:, :, 1:] ^ mask[:, :, :-1],
        lambda x: jnp.abs(x[:, :, 1:] - x[:, :, :-1]),
    )
    totals = [
        sum(_region_sum(change(image), edge) for edge, change in (down, across))
        for image in (a, b)
    ]
    edges = sum(edge.sum((2, 3)).sum(1) for edge, _ in (down, across))
    floor = edges.astype(jnp.float32) * a.shape[-1] / 255
    return totals[0] / jnp.maximum(totals[1], floor)


def _region_sum(values: Array, mask: Array | None) -> Array:
    values = values if mask is None else jnp.where(mask, values, 0)
    return values.sum((2, 3)).sum(1)
