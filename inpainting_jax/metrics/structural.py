"""Structural similarity: SSIM in its published variants, and MS-SSIM.

Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural
Similarity"; Wang et al. 2003, "Multiscale Structural Similarity for Image Quality
Assessment". Arguments and results as in `pixel`. The default is the one on which
TensorFlow, pytorch-msssim, mmagic and scikit-image with gaussian weights agree: 11x11
gaussian of sigma 1.5, no padding, biased covariances, mean over colours. Windows,
padding and grey conversion change the digits visibly; `SSIM_PRESETS` names what others
used.
"""

import functools
import types
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from inpainting_jax.metrics.pixel import as_pair, region_mean
from inpainting_jax.types import Array

SSIM_PRESETS: Mapping[str, Mapping[str, Any]] = types.MappingProxyType(
    {
        "mmagic": {},
        "lama": {"padding": "SAME_ZERO"},
        "torchmetrics": {"padding": "SAME_REFLECT"},
        "skimage": {"window": "uniform", "size": 7, "sample_covariance": True},
        "edgeconnect": {
            "window": "uniform",
            "size": 51,
            "sample_covariance": True,
            "grey": True,
        },
    }
)
"""Keyword options of `ssim` that reproduce a code base's number."""

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales, fine to coarse; their sum is 1.0001, as published."""

_C1, _C2 = 0.01**2, 0.03**2  # for a range of 1


def ssim(
    a: Array,
    b: Array,
    mask: Array | None = None,
    *,
    window: str = "gaussian",
    size: int = 11,
    sigma: float = 1.5,
    padding: str = "VALID",
    sample_covariance: bool = False,
    grey: bool = False,
) -> Array:
    """Structural similarity, [B] in [-1, 1]; 1 for identical images.

    Args:
      a: [B, H, W, C] in [0, 1] or uint8.
      b: the same shape.
      mask: [B, H, W, 1], 1 = hole: the mean of `ssim_map` over the hole instead.
      window: `gaussian` or `uniform`.
      size: side of the window, odd, pixels.
      sigma: of the gaussian, pixels.
      padding: `VALID` counts whole windows only; every pixel counts with `SAME_ZERO`,
        which pads with black (LaMa and the pytorch-ssim family), and `SAME_REFLECT`,
        which mirrors without the edge (torchmetrics). Ignored with a mask.
      sample_covariance: scales covariances by n / (n - 1), n = size^2 (scikit-image).
      grey: compares 8-bit grey images, round(.299 R + .587 G + .114 B).

    Raises:
      ValueError: if a side is below `size`, shapes differ or an option is unknown.
    """
    a, b, mask = as_pair(a, b, mask)
    modes = {"VALID": "none", "SAME_ZERO": "zero", "SAME_REFLECT": "reflect"}
    if padding not in modes:
        raise ValueError(f"padding={padding!r} must be one of {', '.join(modes)}.")
    check_side(a.shape, size, "SSIM")
    if grey:
        a, b = _grey(a), _grey(b)
    taps = _taps(window, size, sigma)
    factor = size**2 / (size**2 - 1) if sample_covariance else 1.0
    if mask is not None:
        return region_mean(_similarity(a, b, taps, "edge", factor)[0], mask)
    return region_mean(_similarity(a, b, taps, modes[padding], factor)[0], None)


def ssim_map(a: Array, b: Array) -> Array:
    """[B, H, W] SSIM of the window around every pixel, mean over colours.

    The default window; images are padded by repeating the edge symmetrically, so the
    map has their size.
    """
    a, b, _ = as_pair(a, b, None)
    check_side(a.shape, 11, "SSIM")
    return _similarity(a, b, _taps("gaussian", 11, 1.5), "edge", 1.0)[0].mean(-1)


def ms_ssim(a: Array, b: Array, mask: Array | None = None, *, scales: int = 5) -> Array:
    """Multi-scale structural similarity, [B] in [0, 1]; 1 for identical images.

    Contrast terms of the finer scales times SSIM of the coarsest, each to its weight,
    per colour, then the mean (TensorFlow, pytorch-msssim). Between scales 2x2 means;
    odd sizes repeat the edge.

    Args:
      a: [B, H, W, C] in [0, 1] or uint8.
      b: the same shape.
      mask: [B, H, W, 1], 1 = hole: every scale's mean is weighted by the share of hole
        in its pixels, over maps with repeated edges. Our own extension, NaN where the
        hole is empty.
      scales: 1 to 5; fewer for small images, with renormalised weights. Name the number
        beside the value: it is another quantity.

    Raises:
      ValueError: if a side is below 10 * 2^(scales - 1) + 1 (161 for five scales).
    """
    a, b, mask = as_pair(a, b, mask)
    check_scales(a.shape, scales)
    weights = np.array(MS_SSIM_WEIGHTS[:scales])
    if scales < len(MS_SSIM_WEIGHTS):
        weights = weights / weights.sum()
    taps = _taps("gaussian", 11, 1.5)
    share = None if mask is None else mask.astype(jnp.float32)
    product = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            a, b = _halve(a), _halve(b)
            share = None if share is None else _halve(share)
        mode = "none" if share is None else "edge"
        similarity, contrast = _similarity(a, b, taps, mode, 1.0)
        term = similarity if scale == scales - 1 else contrast
        if share is None:
            mean = term.mean((1, 2))
        else:
            mean = (term * share).mean((1, 2)) / share.mean((1, 2))
        product = product * _power(mean, float(weight))
    return product.mean(-1)


def check_side(shape: tuple[int, ...], least: int, name: str) -> None:
    """Raises if H or W of a batch shape is below `least`."""
    if min(shape[1:3]) < least:
        raise ValueError(
            f"{name} with this window needs sides of at least {least} pixels, got "
            f"{shape[1]}x{shape[2]}; enlarge the images or take a smaller window."
        )


def check_scales(shape: tuple[int, ...], scales: int) -> None:
    """Raises unless MS-SSIM of so many scales fits a batch shape."""
    if not 1 <= scales <= len(MS_SSIM_WEIGHTS):
        raise ValueError(f"scales={scales} must be 1 to {len(MS_SSIM_WEIGHTS)}.")
    least = 10 * 2 ** (scales - 1) + 1
    if min(shape[1:3]) < least:
        raise ValueError(
            f"MS-SSIM of {scales} scales needs sides of at least {least} pixels, got "
            f"{shape[1]}x{shape[2]}; enlarge the images or lower scales= "
            f"(at most {most_scales(*shape[1:3])} here)."
        )


def most_scales(height: int, width: int) -> int:
    """The most scales of `ms_ssim` that fit, 0 below 11 pixels, at most 5."""
    fitting = [s for s in range(1, 6) if 10 * 2 ** (s - 1) + 1 <= min(height, width)]
    return max(fitting, default=0)


def _taps(window: str, size: int, sigma: float) -> tuple[float, ...]:
    """[size] weights of one axis, sum 1."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size={size} must be odd and positive.")
    if window == "uniform":
        return (1 / size,) * size
    if window != "gaussian":
        raise ValueError(f"window={window!r} must be 'gaussian' or 'uniform'.")
    taps = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    return tuple((taps / taps.sum()).tolist())


@functools.partial(jax.jit, static_argnames=("taps", "mode", "factor"))
def _similarity(
    a: Array, b: Array, taps: tuple[float, ...], mode: str, factor: float
) -> tuple[Array, Array]:
    """SSIM and contrast maps [B, H', W', C]; `mode` pads: none, zero, reflect, edge."""
    # Variances are differences of near equals; centring the range saves digits.
    a, b = a - 0.5, b - 0.5
    reach = len(taps) // 2
    pad = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    if mode == "zero":
        a, b = (jnp.pad(x, pad, constant_values=-0.5) for x in (a, b))
    elif mode in ("edge", "reflect"):
        how = "symmetric" if mode == "edge" else "reflect"
        a, b = (jnp.pad(x, pad, mode=how) for x in (a, b))
    stack = _blur(jnp.concatenate([a, b, a * a, b * b, a * b], -1), taps)
    mean_a, mean_b, square_a, square_b, product = jnp.split(stack, 5, axis=-1)
    spread = factor * (square_a - mean_a**2 + square_b - mean_b**2)
    covariance = factor * (product - mean_a * mean_b)
    mean_a, mean_b = mean_a + 0.5, mean_b + 0.5
    contrast = (2 * covariance + _C2) / (spread + _C2)
    brightness = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return brightness * contrast, contrast


def _blur(x: Array, taps: tuple[float, ...]) -> Array:
    """Separable filter without padding, as shifted sums.

    Grouped convolution is several times slower on CPU, and this cannot fall to the few
    bits that accelerators give to convolutions.
    """
    for axis in (1, 2):
        length = x.shape[axis] - len(taps) + 1
        shifted = [
            tap * lax.slice_in_dim(x, k, k + length, axis=axis)
            for k, tap in enumerate(taps)
        ]
        x = sum(shifted[1:], shifted[0])
    return x


def _halve(x: Array) -> Array:
    """2x2 means; an odd last row or column is repeated."""
    pad = ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0))
    x = jnp.pad(x, pad, mode="symmetric")
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def _power(x: Array, weight: float) -> Array:
    """relu(x) ** weight with gradient 0, not infinity, at 0; NaN stays NaN."""
    positive = jnp.where(x <= 0, 1.0, x)
    return jnp.where(x <= 0, 0.0, positive**weight)


def _grey(image: Array) -> Array:
    """[B, H, W, 1] grey of 8 bits from [B, H, W, 3] in [0, 1]."""
    if image.shape[-1] != 3:
        raise ValueError(f"grey=True needs 3 colours, got {image.shape[-1]} channels.")
    weights = jnp.array([0.299, 0.587, 0.114])
    grey = (image * weights[None, None, None]).sum(-1, keepdims=True)
    return jnp.floor(grey * 255 + 0.5) / 255
