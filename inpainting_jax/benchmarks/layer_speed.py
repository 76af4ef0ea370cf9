"""Convolutions of the networks here, forward and gradient, ours and XLA's own.

"XLA" is the same layer on `lax.conv_general_dilated` (or `lax.conv_transpose`), with
the gradient that JAX derives; ours chooses its form per backend and shape in
`layers/conv_gradients.py`. Shapes are those of DeepFill v2 at 256 x 256, batch 2, and
of the U-Net of partial convolutions.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax import layers
from inpainting_jax.benchmarks import speed_cases
from inpainting_jax.benchmarks.speed_cases import Case, Variant
from inpainting_jax.benchmarks.speed_report import OURS
from inpainting_jax.layers.transposed import convolve_transposed

BATCH = 2
_LAYOUT = ("NHWC", "HWIO", "NHWC")
Layer = Callable[[jax.Array, jax.Array], jax.Array]


class Shape(NamedTuple):
    """One layer: its kind, side of its input, and its numbers."""

    kind: str
    side: int
    channels: int
    filters: int
    size: int = 3
    strides: int = 1
    dilation: int = 1

    def __str__(self) -> str:
        numbers = f"{self.size}x{self.size} {self.channels}->{self.filters}"
        text = f"{self.kind} {numbers} at {self.side}"
        text += f" stride {self.strides}" if self.strides > 1 else ""
        return text + (f" dilation {self.dilation}" if self.dilation > 1 else "")


SHAPES = (
    *(Shape("plain", 64, 96, 192, dilation=2**i) for i in range(5)),
    Shape("plain", 128, 48, 48),
    Shape("plain", 128, 48, 96),
    Shape("plain", 256, 24, 48),
    Shape("plain", 256, 5, 48, size=5),
    Shape("plain", 128, 48, 192, strides=2),
    Shape("plain", 256, 64, 128, size=5, strides=2),
    Shape("gated", 64, 96, 192),
    Shape("partial", 64, 128, 256, strides=2),
    Shape("partial", 64, 192, 64),
    Shape("upsampling", 64, 96, 96),
    Shape("upsampling", 128, 48, 48),
    Shape("transposed", 64, 128, 64, size=4, strides=2),
)


def _xla_convolution(
    features: jax.Array, kernel: jax.Array, *, strides: int = 1, dilation: int = 1
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        features,
        kernel,
        (strides, strides),
        "SAME",
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_LAYOUT,
    )


def _gate(out: jax.Array) -> jax.Array:
    feature, gate = jnp.split(out, 2, axis=-1)
    return layers.elu(feature) * jax.nn.sigmoid(gate)


def _xla_partial(features: jax.Array, kernel: jax.Array, *, strides: int) -> jax.Array:
    """The definition, with every count of valid taps over all channels."""
    valid = jnp.broadcast_to(_valid(features.shape), features.shape)
    out = _xla_convolution(features * valid, kernel, strides=strides)
    ones = jnp.ones((*kernel.shape[:3], 1), kernel.dtype)
    count = _xla_convolution(valid, ones, strides=strides)
    taps = ones.size
    return jnp.where(count > 0, out * (taps / jnp.maximum(count, 1)), 0)


def _valid(shape: Sequence[int]) -> jax.Array:
    """Known pixels [B, H, W, 1] around a square hole."""
    hole = np.zeros((*shape[:3], 1), np.float32)
    side = shape[1]
    hole[:, side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
    return jnp.asarray(1 - hole)


def forms(shape: Shape) -> dict[str, Layer]:
    """Ours and XLA's form of a layer as functions of features and kernel."""
    moves = {"strides": shape.strides, "dilation": shape.dilation}
    if shape.kind == "transposed":
        options = {"strides": (shape.strides,) * 2, "padding": "SAME"}
        theirs = functools.partial(
            jax.lax.conv_transpose, dimension_numbers=_LAYOUT, **options
        )
        ours = functools.partial(convolve_transposed, strides=shape.strides)
        return {OURS: ours, "XLA": theirs}
    if shape.kind == "partial":

        def partial(features: jax.Array, kernel: jax.Array) -> jax.Array:
            valid = _valid(features.shape)
            options = {"strides": shape.strides}
            return layers.partial_conv(features, valid, kernel, **options)[0]

        return {
            OURS: partial,
            "XLA": functools.partial(_xla_partial, strides=shape.strides),
        }

    if shape.kind == "upsampling":
        return {
            OURS: functools.partial(layers.convolve, upsample=2),
            "XLA": lambda x, k: _xla_convolution(layers.upsample_nearest(x), k),
        }

    def built(convolution: Callable[..., jax.Array]) -> Layer:
        def layer(features: jax.Array, kernel: jax.Array) -> jax.Array:
            out = convolution(features, kernel, **moves)
            return _gate(out) if shape.kind == "gated" else out

        return layer

    return {OURS: built(layers.convolve), "XLA": built(_xla_convolution)}


def case(shape: Shape, backward: bool) -> Case:
    """A layer's output, or its gradients by features and kernel."""
    rng = np.random.default_rng(0)
    size = (BATCH, shape.side, shape.side, shape.channels)
    features = rng.normal(size=size).astype(np.float32)
    taps = (shape.size, shape.size, shape.channels, shape.filters)
    kernel = rng.normal(size=taps).astype(np.float32) / np.sqrt(np.prod(taps[:3]))
    variants, counts = {}, (float("nan"), float("nan"))
    for name, layer in forms(shape).items():
        arguments = [features, kernel]
        function = layer
        if backward:
            out = jax.eval_shape(layer, features, kernel)
            cotangent = np.random.default_rng(1).normal(size=out.shape)
            arguments.append(cotangent.astype(np.float32))
            function = functools.partial(_gradients, layer)
        call, flops, moved = speed_cases.work(function, *arguments)
        # One count for all: that of the form which knows no short cuts.
        counts = (flops, moved)
        read = _flatten if backward else np.asarray
        variants[name] = Variant(call, read)
    direction = "gradients" if backward else "forward"
    return Case(f"{shape}, {direction}", variants, *counts)


def _gradients(layer: Layer, features, kernel, cotangent):
    """Gradients of a layer by features and kernel."""
    return jax.vjp(layer, features, kernel)[1](cotangent)


def _flatten(found: Sequence[jax.Array]) -> np.ndarray:
    """Arrays of different size as one, each in units of its own deviation."""
    arrays = [np.asarray(array).ravel() for array in found]
    return np.concatenate([array / array.std() for array in arrays])


def cases() -> Iterator[Case]:
    """All cases, one after the other."""
    for shape in SHAPES:
        for backward in (False, True):
            yield case(shape, backward)


def run(
    *, output: str, data: Sequence[str], count: int, repeats: int, baseline: str = ""
) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    Args:
      output: folder to write to.
      data: not used: noise serves.
      count: not used.
      repeats: timed rounds.
      baseline: an earlier `report.json` of this suite, or "".
    """
    del data, count
    speed_cases.run("layers", cases(), output, repeats, baseline)
