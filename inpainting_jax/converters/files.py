"""Reads named arrays from checkpoint files of other frameworks, without them.

`.npz`, `.safetensors`, PyTorch's files (`.pth`, `.pt`; see `torch_files`) and
TensorFlow's checkpoints (`PREFIX.index` + `PREFIX.data-*`).
"""

import pathlib

import numpy as np
import safetensors.numpy

from inpainting_jax.converters.tensorflow_files import read_bundle
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
    if is_torch_file(path):
        return read_torch(path)
    raise ValueError(
        f"{path} is none of .npz, .safetensors, a PyTorch file or a TensorFlow "
        "checkpoint (give the prefix before .index)"
    )
