"""Convolutions and their gradients in the form a CPU computes fastest.

Large convolutions of 3 x 3 go by Winograd's tiles (`layers/winograd.py`), forward and
for both gradients: 1.2 to 2.9 times as fast as the best of the forms below.

XLA's CPU backend differentiates a convolution by convolutions with inserted zeros or
giant windows, which fall off its fast path. Measured on 2 cores: the kernel's gradient
as one matrix product per tap is up to 3 times faster from about 24 x 48 channels at
batches of 32 on (16 times at dilation 16), and up to 2 times slower below, where XLA's
is kept; the features' gradient of a stride of 2 as interleaved small convolutions is
0.4 to 17 times as fast, mostly 2 to 4. Those are figures beside YNNPACK's convolutions;
beside XLA's own (`runtime.compiler_options`) products per tap are 0.8 to 1.8 times as
fast on such shapes. Results differ by rounding only. Other backends
keep XLA's own gradients.

Of up to 4 filters, a convolution is the sum of one product with all taps: up to 5 times
as fast forward.

"Spreading" is the transpose of a strided convolution: every feature adds its kernel,
scaled, to the output. Computed sub-pixel (Shi et al. 2016, arXiv 1609.05158): one
convolution gives each s x s block of the output as channels.
"""

import functools

import jax
import jax.numpy as jnp

from inpainting_jax import runtime
from inpainting_jax.layers import winograd

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_PER_TAP_CHANNELS = 24 * 48  # products of fewer channels cost more than they save
_PER_TAP_POSITIONS = 4096  # the same of output positions, over the batch
_PER_TAP_NUMBERS = 2**20  # of what a tap sees; more (4 MiB) leaves a CPU's cache
_FEW_FILTERS = 4  # up to which a product for all taps at once beats a convolution
_MOST_PRODUCTS = 2**23  # of it, over positions, taps and filters: 32 MiB
_TILED_PRODUCTS = 2**27  # from which Winograd's form is worth 0.4 s of compilation,
_TILES = 32  # of so many tiles,
_TILED_CHANNELS = 40  # and of so many channels (harmonic mean of both sides)
_TILED_WASTE = 1.5  # outputs computed for one wanted, at most
Margins = tuple[tuple[int, int], tuple[int, int]]


def spread(
    features: jax.Array,
    kernel: jax.Array,
    strides: int,
    *,
    precision: jax.lax.Precision | None = None,
) -> jax.Array:
    """out[s i + t] += features[i] kernel[t], over all i and taps t.

    Args:
      features: [B, H, W, C].
      kernel: [k, k, C, F].
      strides: s.
      precision: of the products.

    Returns:
      [B, s (H + m - 1), s (W + m - 1), F] with m = ceil(k / s); what lies beyond
      s (H - 1) + k is 0.
    """
    size, _, channels, filters = kernel.shape
    taps = -(-size // strides)
    extra = taps * strides - size
    kernel = jnp.pad(kernel, ((0, extra), (0, extra), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps, strides, taps, strides, channels, filters)
    kernel = kernel[::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    kernel = kernel.reshape(taps, taps, channels, -1)
    margin = (taps - 1, taps - 1)
    out = convolve_with_margins(
        features, kernel, 1, 1, (margin, margin), precision=precision
    )
    batch, height, width, _ = out.shape
    out = out.reshape(batch, height, width, strides, strides, filters)
    out = out.transpose(0, 1, 3, 2, 4, 5)
    return out.reshape(batch, height * strides, width * strides, filters)


def convolve_with_margins(
    features: jax.Array,
    kernel: jax.Array,
    strides: int,
    dilation: int,
    margins: Margins,
    *,
    precision: jax.lax.Precision | None = None,
) -> jax.Array:
    """Convolution with explicit zero margins ((top, bottom), (left, right)), each >= 0.

    Args:
      features: [B, H, W, C].
      kernel: [k, k, C, F], of the same dtype.
      strides: step of the window.
      dilation: distance of neighbouring taps.
      margins: zeros around the features.
      precision: of the products.
    """
    if jax.default_backend() == "cpu":
        return _convolve_cpu(features, kernel, strides, dilation, margins, precision)
    return _convolve(features, kernel, strides, dilation, margins, precision)


def _convolve(features, kernel, strides, dilation, margins, precision):
    return jax.lax.conv_general_dilated(
        features,
        kernel,
        (strides, strides),
        margins,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_LAYOUT,
        precision=precision,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _convolve_cpu(features, kernel, strides, dilation, margins, precision):
    """XLA's convolution, Winograd's, or for few filters a product of all taps."""
    if _tiles_pay(features, kernel, strides, dilation, margins):
        return winograd.convolve(
            features, kernel, dilation, margins, precision=precision
        )
    rows, columns, _, filters = kernel.shape
    products = features[..., 0].size * rows * columns * filters
    few = filters <= _FEW_FILTERS < kernel.shape[2] and rows * columns > 1
    if few and strides == 1 and products <= _MOST_PRODUCTS:
        return _convolve_few(features, kernel, dilation, margins, precision)
    return _convolve(features, kernel, strides, dilation, margins, precision)


def _tiles_pay(features, kernel, strides, dilation, margins):
    """Whether Winograd's form is faster: its sums cost as much as many products."""
    rows, columns, channels, filters = kernel.shape
    # A batch or an image split over devices stays with XLA: its tiles would travel.
    if (rows, columns, strides) != (3, 3, 1) or not runtime.alone_on_cpu():
        return False
    tiles = winograd.tiles_of(features.shape, dilation, margins)
    outputs = tiles.height * tiles.width
    return (
        features.dtype == jnp.float32
        and kernel.size * len(features) * outputs >= _TILED_PRODUCTS
        and len(features) * tiles.count >= _TILES
        and tiles.covered <= _TILED_WASTE * outputs
        and 2 * channels * filters >= _TILED_CHANNELS * (channels + filters)
    )


# Outlined, or what made the features is computed with a choice for every number.
_pad = runtime.outlined(jax.lax.pad, static_argnums=2)


def _convolve_few(features, kernel, dilation, margins, precision):
    """Every pixel times all taps; each output adds up the taps that it saw."""
    rows, columns, channels, filters = kernel.shape
    # Not jnp.pad: the margins of a features' gradient may be below 0.
    around = ((0, 0, 0), *((*margin, 0) for margin in margins), (0, 0, 0))
    zero = jnp.zeros((), features.dtype)
    padded = _pad(features, zero, around)
    batch, height, width, _ = padded.shape
    products = jax.lax.dot_general(
        padded,
        kernel.transpose(2, 0, 1, 3).reshape(channels, -1),
        (((3,), (0,)), ((), ())),
        precision=precision,
        preferred_element_type=jnp.float32,
    )
    products = products.reshape(batch, height, width, rows, columns, filters)
    height -= dilation * (rows - 1)
    width -= dilation * (columns - 1)
    out = jnp.zeros((batch, height, width, filters))
    for row in range(rows):
        for column in range(columns):
            top, left = row * dilation, column * dilation
            seen = products[:, top : top + height, left : left + width, row, column]
            out = out + seen
    return out.astype(features.dtype)


def _forward(features, kernel, *options):
    return _convolve_cpu(features, kernel, *options), (features, kernel)


def _backward(strides, dilation, margins, precision, saved, gradient):
    features, kernel = saved
    options = (strides, dilation, margins, precision)
    return (
        _features_gradient(features, kernel, gradient, *options),
        _kernel_gradient(features, kernel, gradient, *options),
    )


_convolve_cpu.defvjp(_forward, _backward)


def _features_gradient(features, kernel, gradient, strides, dilation, margins, prec):
    """The gradient spread by the kernel, cropped to where the features lie."""
    flipped = kernel.swapaxes(2, 3)
    (top, _), (left, _) = margins
    height, width = features.shape[1:3]
    if strides == 1:
        reach = [dilation * (size - 1) for size in kernel.shape[:2]]
        # Output row o adds to rows o - top .. o - top + reach of the features.
        around = tuple(
            (span - before, size + before - length)
            for span, before, size, length in zip(
                reach, (top, left), (height, width), gradient.shape[1:3], strict=True
            )
        )
        flipped = flipped[::-1, ::-1]
        return _convolve_cpu(gradient, flipped, 1, dilation, around, prec)
    if dilation > 1 or kernel.shape[0] != kernel.shape[1]:
        options = (strides, dilation, margins, prec)
        transpose = jax.linear_transpose(
            lambda x: _convolve(x, kernel, *options), features
        )
        return transpose(gradient)[0]
    full = spread(gradient, flipped, strides, precision=prec)
    short = [
        (0, max(0, before + size - got))
        for before, size, got in zip(
            (top, left), (height, width), full.shape[1:3], strict=True
        )
    ]
    full = jnp.pad(full, ((0, 0), *short, (0, 0)))
    return full[:, top : top + height, left : left + width]


def _kernel_gradient(features, kernel, gradient, strides, dilation, margins, prec):
    """XLA's, by tiles or by taps where that is faster."""
    if _tiles_pay(features, kernel, strides, dilation, margins):
        return winograd.kernel_gradient(
            features, gradient, dilation, margins, precision=prec
        )
    channels, filters = kernel.shape[2:]
    positions = gradient[..., 0].size
    sparse = dilation * (kernel.shape[0] - 1) >= features.shape[1]
    large = channels * filters >= _PER_TAP_CHANNELS and positions >= _PER_TAP_POSITIONS
    options = (strides, dilation, margins, prec)
    if large or sparse:
        return _kernel_gradient_in_parts(features, kernel, gradient, *options)
    transpose = jax.linear_transpose(lambda k: _convolve(features, k, *options), kernel)
    return transpose(gradient)[0]


def _kernel_gradient_in_parts(features, kernel, gradient, *options):
    """By taps, so many images at a time as a CPU's cache holds."""
    batch = len(features)
    numbers = gradient[..., 0].size * kernel.shape[2]
    sizes = [size for size in range(1, batch + 1) if batch % size == 0]
    fitting = [s for s in sizes if numbers * s // batch < _PER_TAP_NUMBERS] or [1]
    # A batch split over devices is not split again: its images would travel.
    if fitting[-1] == batch or jax.device_count() > 1:
        return _kernel_gradient_by_taps(features, kernel, gradient, *options)

    def add(total, part):
        images, slopes = part
        return total + _kernel_gradient_by_taps(images, total, slopes, *options), None

    parts = tuple(
        array.reshape(-1, fitting[-1], *array.shape[1:])
        for array in (features, gradient)
    )
    return jax.lax.scan(add, jnp.zeros(kernel.shape), parts)[0].astype(kernel.dtype)


def _kernel_gradient_by_taps(
    features, kernel, gradient, strides, dilation, margins, prec
):
    """One matrix product per tap: the features it saw times the gradient."""
    padded = jnp.pad(features, ((0, 0), *margins, (0, 0)))
    rows, columns, channels, filters = kernel.shape
    batch, height, width, _ = gradient.shape
    flat = gradient.reshape(-1, filters)
    products = []
    for row in range(rows):
        for column in range(columns):
            top, left = row * dilation, column * dilation
            seen = jax.lax.slice(
                padded,
                (0, top, left, 0),
                (
                    batch,
                    top + strides * (height - 1) + 1,
                    left + strides * (width - 1) + 1,
                    channels,
                ),
                (1, strides, strides, 1),
            )
            products.append(
                jax.lax.dot_general(
                    seen.reshape(-1, channels),
                    flat,
                    (((0,), (0,)), ((), ())),
                    precision=prec,
                    preferred_element_type=jnp.float32,
                )
            )
    stacked = jnp.stack(products).reshape(kernel.shape)
    return stacked.astype(kernel.dtype)
