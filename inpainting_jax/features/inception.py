"""The Inception network of FID, from a user's file.

Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, as trained by TensorFlow
("inception-2015-12-05") and used by Heusel et al. 2017, https://arxiv.org/abs/1706.08500.
No package carries these weights. The file is PyTorch's, in torchvision's naming, with
1008 classes; torchvision's own classifier has 1000, other weights, and gives no FID.

Three twists against torchvision's network: average pools leave the padding out of
their mean, the second of the last two blocks pools by maximum, and there is no
auxiliary head. How images come to 299 pixels changes FID by several points: see
`features.inputs`.
"""

import pathlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.torch_files import is_torch_file, read_torch
from inpainting_jax.types import Array

FEATURES = 2048
CLASSES = 1008

_EPSILON = 1e-3  # of the batch normalisation

# Branches as (name of the convolution, outputs, (kernel height, width), stride).
Branch = Sequence[tuple[str, int, tuple[int, int], int]]


def _block_a(pooled: int) -> dict[str, Branch]:
    return {
        "": [("branch1x1", 64, (1, 1), 1)],
        "5x5": [("branch5x5_1", 48, (1, 1), 1), ("branch5x5_2", 64, (5, 5), 1)],
        "3x3": [
            ("branch3x3dbl_1", 64, (1, 1), 1),
            ("branch3x3dbl_2", 96, (3, 3), 1),
            ("branch3x3dbl_3", 96, (3, 3), 1),
        ],
        "average": [("branch_pool", pooled, (1, 1), 1)],
    }


def _block_c(width: int) -> dict[str, Branch]:
    return {
        "": [("branch1x1", 192, (1, 1), 1)],
        "7x7": [
            ("branch7x7_1", width, (1, 1), 1),
            ("branch7x7_2", width, (1, 7), 1),
            ("branch7x7_3", 192, (7, 1), 1),
        ],
        "7x7 twice": [
            ("branch7x7dbl_1", width, (1, 1), 1),
            ("branch7x7dbl_2", width, (7, 1), 1),
            ("branch7x7dbl_3", width, (1, 7), 1),
            ("branch7x7dbl_4", width, (7, 1), 1),
            ("branch7x7dbl_5", 192, (1, 7), 1),
        ],
        "average": [("branch_pool", 192, (1, 1), 1)],
    }


def _block_e(pool: str) -> dict[str, Branch]:
    return {
        "": [("branch1x1", 320, (1, 1), 1)],
        "fork 3x3": [
            ("branch3x3_1", 384, (1, 1), 1),
            ("branch3x3_2a", 384, (1, 3), 1),
            ("branch3x3_2b", 384, (3, 1), 1),
        ],
        "fork 3x3 twice": [
            ("branch3x3dbl_1", 448, (1, 1), 1),
            ("branch3x3dbl_2", 384, (3, 3), 1),
            ("branch3x3dbl_3a", 384, (1, 3), 1),
            ("branch3x3dbl_3b", 384, (3, 1), 1),
        ],
        pool: [("branch_pool", 192, (1, 1), 1)],
    }


_STEM = (
    ("Conv2d_1a_3x3", 32, (3, 3), 2),
    ("Conv2d_2a_3x3", 32, (3, 3), 1),
    ("Conv2d_2b_3x3", 64, (3, 3), 1),
    ("pool", 0, (3, 3), 2),
    ("Conv2d_3b_1x1", 80, (1, 1), 1),
    ("Conv2d_4a_3x3", 192, (3, 3), 1),
    ("pool", 0, (3, 3), 2),
)
_PADDED_STEM = "Conv2d_2b_3x3"  # the only convolution of the stem with padding

BLOCKS: Mapping[str, Mapping[str, Branch]] = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": {
        "": [("branch3x3", 384, (3, 3), 2)],
        "3x3": [
            ("branch3x3dbl_1", 64, (1, 1), 1),
            ("branch3x3dbl_2", 96, (3, 3), 1),
            ("branch3x3dbl_3", 96, (3, 3), 2),
        ],
        "shrink": [],
    },
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": {
        "3x3": [("branch3x3_1", 192, (1, 1), 1), ("branch3x3_2", 320, (3, 3), 2)],
        "7x7": [
            ("branch7x7x3_1", 192, (1, 1), 1),
            ("branch7x7x3_2", 192, (1, 7), 1),
            ("branch7x7x3_3", 192, (7, 1), 1),
            ("branch7x7x3_4", 192, (3, 3), 2),
        ],
        "shrink": [],
    },
    "Mixed_7b": _block_e("average"),
    "Mixed_7c": _block_e("maximum"),
}


def kernel_shapes() -> dict[str, tuple[int, int, int, int]]:
    """`{convolution: (kh, kw, I, O)}` in the order of computation."""
    shapes, channels = {}, 3
    for name, outputs, kernel, _ in _STEM:
        if outputs:
            shapes[name] = (*kernel, channels, outputs)
            channels = outputs
    for block, branches in BLOCKS.items():
        total = 0
        for kind, branch in branches.items():
            inputs, last = channels, channels
            for conv, outputs, kernel, _ in branch:
                shapes[f"{block}.{conv}"] = (*kernel, inputs, outputs)
                if not conv.endswith("a"):  # a and b read the same input
                    inputs = outputs
                last = outputs
            total += 2 * last if kind.startswith("fork") else last
        channels = total
    return shapes


def load_inception(path: str | pathlib.Path) -> dict[str, dict[str, np.ndarray]]:
    """The layers in a user's file, `{convolution: {"kernel": HWIO, "bias": [O]}}`.

    Raises:
      FileNotFoundError: no such file.
      ValueError: no PyTorch file, torchvision's classifier of 1000 classes, or a tensor
        that is missing or has another shape.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no Inception weights at {path}")
    if not is_torch_file(path):
        raise ValueError(f"{path} is no PyTorch file; FID needs the one of pytorch-fid")
    return from_torch(read_torch(path))


def from_torch(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Layers from a state dict, batch normalisation folded in; see `load_inception`."""
    rows = np.shape(tensors.get("fc.weight", np.zeros(0)))
    if rows != (CLASSES, FEATURES):
        raise ValueError(
            f"fc.weight has shape {rows}; FID's network has ({CLASSES}, {FEATURES}). "
            "1000 rows are torchvision's classifier, whose features give no FID."
        )
    layers = {}
    for name, (height, width, inputs, outputs) in kernel_shapes().items():
        kernel = _tensor(
            tensors, f"{name}.conv.weight", (outputs, inputs, height, width)
        )
        scale, bias, mean, variance = (
            _tensor(tensors, f"{name}.bn.{leaf}", (outputs,)).astype(np.float64)
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + _EPSILON)
        kernel = kernel.astype(np.float64).transpose(2, 3, 1, 0) * factor
        layers[name] = {
            "kernel": kernel.astype(np.float32),
            "bias": (bias - mean * factor).astype(np.float32),
        }
    return layers


def _tensor(tensors, name: str, shape: tuple[int, ...]) -> np.ndarray:
    found = tensors.get(name)
    if found is None or np.shape(found) != shape:
        what = "is missing" if found is None else f"has shape {np.shape(found)}"
        raise ValueError(f"tensor {name!r} {what}; FID's Inception needs {shape}")
    return np.asarray(found)


def inception_features(layers: Mapping[str, Mapping], image: Array) -> Array:
    """The pooled features [B, 2048] of an image [B, 299, 299, 3] of `inception_input`.

    Any size from 75 on works; only 299 is FID.
    """
    x = image
    for name, outputs, _, stride in _STEM:
        if outputs:
            padding = "SAME" if name == _PADDED_STEM else "VALID"
            x = _convolve(x, layers[name], stride, padding)
        else:
            x = _max_pool(x, 2, "VALID")
    for block, branches in BLOCKS.items():
        outputs = [_branch(x, layers, block, k, b) for k, b in branches.items()]
        x = jnp.concatenate(outputs, axis=-1)
    return x.mean((1, 2))


def _branch(x: Array, layers, block: str, kind: str, branch: Branch) -> Array:
    if kind == "shrink":
        return _max_pool(x, 2, "VALID")
    if kind == "average":
        x = _average_pool(x)
    elif kind == "maximum":
        x = _max_pool(x, 1, "SAME")
    if not kind.startswith("fork"):
        for conv, _, _, stride in branch:
            padding = "SAME" if stride == 1 else "VALID"
            x = _convolve(x, layers[f"{block}.{conv}"], stride, padding)
        return x
    for conv, *_ in branch[:-2]:
        x = _convolve(x, layers[f"{block}.{conv}"], 1, "SAME")
    ends = [_convolve(x, layers[f"{block}.{c}"], 1, "SAME") for c, *_ in branch[-2:]]
    return jnp.concatenate(ends, axis=-1)


def _convolve(x: Array, layer: Mapping, stride: int, padding: str) -> Array:
    out = jax.lax.conv_general_dilated(
        x,
        jnp.asarray(layer["kernel"]),
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return jax.nn.relu(out + jnp.asarray(layer["bias"])[None, None, None])


def _max_pool(x: Array, stride: int, padding: str) -> Array:
    return jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding
    )


def _average_pool(x: Array) -> Array:
    """3x3 means of what lies inside the image: padding does not count."""
    window, ones = (1, 3, 3, 1), jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    total, count = (
        jax.lax.reduce_window(
            y, jnp.zeros((), x.dtype), jax.lax.add, window, (1, 1, 1, 1), "SAME"
        )
        for y in (x, ones)
    )
    return total / count
