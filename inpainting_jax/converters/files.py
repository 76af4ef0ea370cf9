"""Checkpoint files: those of other frameworks, read without them, and ours, written.

`.npz`, `.safetensors`, PyTorch's files (`.pth`, `.pt`; see `torch_files`), Keras'
weights (`.h5`) and TensorFlow's checkpoints (`PREFIX.index` + `PREFIX.data-*`).
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from inpainting_jax import checkpoints
from inpainting_jax.converters.base import Converted
from inpainting_jax.converters.tensorflow_files import read_bundle
from inpainting_jax.features.vgg import BLOCKS, FeatureNetwork
from inpainting_jax.features.vgg_weights import save_vgg
from inpainting_jax.torch_files import is_torch_file, read_torch


def read_tensors(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """`{name: array}` of a checkpoint file; nested PyTorch dicts get dotted names.

    Raises:
      FileNotFoundError: no such file.
      ValueError: an unknown kind of file, or one that holds more than tensors.
    """
    path = pathlib.Path(path)
    index = pathlib.Path(f"{path}.index")
    if path.suffix == ".index" or index.exists():
        return read_bundle(
            str(path.with_suffix("") if path.suffix == ".index" else path)
        )
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    if path.suffix == ".safetensors":
        return safetensors.numpy.load_file(path)
    if path.suffix in (".h5", ".hdf5"):
        return _read_keras(path)
    if is_torch_file(path):
        return read_torch(path)
    raise ValueError(
        f"{path} is none of .npz, .safetensors, .h5, a PyTorch file or a TensorFlow "
        "checkpoint (give the prefix before .index)"
    )


def write(
    path: str | os.PathLike, converted: Converted, card: Mapping[str, Any]
) -> pathlib.Path:
    """Writes a converted checkpoint as .safetensors; returns the path.

    Weights of a method get a card beside them, for `inpainting_jax.load`; those of a
    feature network say what they are in the file itself, for `feature_network`.

    Args:
      path: must end in .safetensors.
      converted: what `convert` made.
      card: more fields for the card.
    """
    if converted.method in BLOCKS:
        (collections,) = converted.variables.values()
        norm, origin = converted.overrides["norm"], str(card.get("source", "converted"))
        network = FeatureNetwork(converted.method, collections["params"], norm, origin)
        save_vgg(path, network)
        return pathlib.Path(path)
    own = {"method": converted.method, "overrides": converted.overrides}
    own |= {"image_size": converted.image_size}
    return checkpoints.save_weights(path, converted.variables, own | dict(card))


def _read_keras(path: pathlib.Path) -> dict[str, np.ndarray]:
    """`{layer/name of the weight: array}` of a Keras weights file, by its own list."""
    try:
        import h5py
    except ImportError as error:
        raise ValueError(
            f"reading {path} needs the package h5py: pip install h5py"
        ) from error
    tensors = {}
    try:
        with h5py.File(path, "r") as file:
            layers = file.get("model_weights", file)
            for layer, group in layers.items():
                for name in group.attrs.get("weight_names", ()):
                    name = name.decode() if isinstance(name, bytes) else name
                    short = name.removeprefix(f"{layer}/")
                    tensors[f"{layer}/{short}"] = np.asarray(group[name])
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} is no readable Keras weights file: {error}") from (
            error
        )
    if not tensors:
        raise ValueError(f"{path} lists no weights: not a Keras weights file")
    return tensors
