"""Sketches of images: the guide of sketch-guided inpainting, drawn on the device.

DeepFill v2 (Yu et al. 2019, Sec. 3.5) trains its guided variant on edges found by HED
(Xie & Tu 2015), a network. `edges` stands in for HED without any weights: a Canny-like
detector (Canny 1986) with the smoothing and the thresholds set so that contours remain
and fine texture does not. Unlike HED it knows no objects: strong texture draws lines
too, and an outline without contrast draws none. The caller confines the result to the
hole (`edges(image) * mask`), so that known pixels say nothing twice.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from inpainting_jax.types import Array

_LUMA = (0.299, 0.587, 0.114)
_LINK_STEPS = 6  # how many pixels a faint line is followed from a strong one


def edges(
    image: Array, *, sigma: float = 1.5, strong: float = 1.6, weak: float = 0.8
) -> Array:
    """Thin lines along the contours of an image, the substitute for HED.

    Gaussian smoothing, Sobel slopes, thinning to the ridge of the slope, then strong
    lines and the faint ones that continue them.

    Args:
      image: [B, H, W, 3] or [B, H, W, 1] float32 in [-1, 1].
      sigma: of the smoothing, pixels, > 0; larger ignores finer detail.
      strong: slope, in units of the image's root mean square slope, from which on a
        ridge is a line.
      weak: slope from which on a ridge continues a line; at most `strong`.

    Returns:
      [B, H, W, 1] float32, 1 on lines and 0 elsewhere. No gradient passes through.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3):
        raise ValueError(f"edges takes images [B, H, W, 1|3], got {image.shape}.")
    if not sigma > 0 or weak > strong:
        raise ValueError(f"need sigma > 0 and weak <= strong, got {sigma}, {weak}.")
    grey = image
    if image.shape[-1] == 3:
        grey = jnp.dot(image, np.array(_LUMA, image.dtype)[:, None])
    down, across = _slopes(_smooth(grey, sigma))
    slope = jnp.sqrt(down**2 + across**2)
    ridge = jnp.where(_is_ridge(slope, down, across), slope, 0)
    level = jnp.sqrt(jnp.mean(slope**2, axis=(1, 2, 3), keepdims=True))
    level = jnp.maximum(level, 0.02)  # an even image holds noise, not lines
    line = (ridge >= strong * level).astype(image.dtype)
    faint = (ridge >= weak * level).astype(image.dtype)
    for _ in range(_LINK_STEPS):
        line = _spread(line) * faint
    return line


def _filter(x: Array, taps: np.ndarray, axis: int) -> Array:
    """Correlates [B, H, W, 1] with `taps` along an axis; the border is repeated."""
    reach = len(taps) // 2
    widths = [(0, 0)] * 4
    widths[axis] = (reach, reach)
    padded = jnp.pad(x, widths, mode="edge")
    kernel = taps.reshape((-1, 1, 1, 1) if axis == 1 else (1, -1, 1, 1))
    return lax.conv_general_dilated(
        padded,
        jnp.asarray(kernel, x.dtype),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )


def _smooth(x: Array, sigma: float) -> Array:
    reach = int(3 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    return _filter(_filter(x, taps, 1), taps, 2)


def _slopes(x: Array) -> tuple[Array, Array]:
    """Sobel derivatives per pixel, downwards and to the right."""
    rise, mean = np.array([-0.5, 0, 0.5]), np.array([0.25, 0.5, 0.25])
    return _filter(_filter(x, rise, 1), mean, 2), _filter(_filter(x, rise, 2), mean, 1)


def _shift(x: Array, down: int, across: int) -> Array:
    """`x` moved so that each pixel holds its neighbour (down, across); 0 outside."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return padded[:, 1 + down : 1 + down + height, 1 + across : 1 + across + width]


def _is_ridge(slope: Array, down: Array, across: Array) -> Array:
    """Whether no neighbour along the gradient is steeper, of four directions.

    The first of two equal neighbours wins, so that lines stay one pixel thin.
    """
    steep = jnp.abs(down) > np.tan(np.pi * 3 / 8) * jnp.abs(across)
    level = jnp.abs(across) > np.tan(np.pi * 3 / 8) * jnp.abs(down)
    falling = down * across > 0  # the gradient runs along the falling diagonal

    def ridge(step_down: int, step_across: int) -> Array:
        before = slope > _shift(slope, -step_down, -step_across)
        return before & (slope >= _shift(slope, step_down, step_across))

    diagonal = jnp.where(falling, ridge(1, 1), ridge(1, -1))
    return jnp.where(steep, ridge(1, 0), jnp.where(level, ridge(0, 1), diagonal))


def _spread(x: Array) -> Array:
    """The largest value of each pixel's 3 x 3 neighbourhood."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
