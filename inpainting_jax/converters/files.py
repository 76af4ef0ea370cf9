"""Reads named arrays from checkpoint files of other frameworks, without them.

`.npz`, `.safetensors`, PyTorch's zip format (`.pth`, `.pt`) and TensorFlow's
checkpoints (`PREFIX.index` + `PREFIX.data-*`). A PyTorch file is a pickle: it is read
with an unpickler that knows tensors and plain containers and refuses anything else.
"""

import collections
import pathlib
import pickle
import zipfile
from typing import Any

import numpy as np
import safetensors.numpy

from inpainting_jax.converters.tensorflow_files import read_bundle

_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


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
    if zipfile.is_zipfile(path):
        return _read_torch(path)
    raise ValueError(
        f"{path} is none of .npz, .safetensors, a PyTorch zip file or a TensorFlow "
        "checkpoint (give the prefix before .index). A PyTorch file from before 1.6 "
        "must be saved again with a newer PyTorch."
    )


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors as arrays; anything but tensors and containers is refused."""

    def __init__(self, archive: zipfile.ZipFile, root: str):
        super().__init__(archive.open(f"{root}/data.pkl"))
        self._archive = archive
        self._root = root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise ValueError(
            f"refusing to load {module}.{name}: only tensors and plain containers are "
            "read. Save the state dict alone."
        )

    def persistent_load(self, pid: tuple) -> np.ndarray:
        kind, dtype, key, *_ = pid
        if kind != "storage":
            raise ValueError(f"unknown kind of persistent object {kind!r}")
        data = self._archive.read(f"{self._root}/data/{key}")
        return np.frombuffer(data, dtype)


def _rebuild_tensor(
    storage: np.ndarray, offset: int, size: tuple, stride: tuple, *_: Any
) -> np.ndarray:
    """A strided view of a storage, copied; strides count elements, as in PyTorch."""
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if min(size, default=1) > 0 and not 0 <= offset <= last < storage.size:
        raise ValueError("a tensor reaches beyond its storage: the file is damaged")
    view = np.lib.stride_tricks.as_strided(
        storage[offset:], size, [s * storage.itemsize for s in stride]
    )
    return np.array(view)


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch zip file."""
    with zipfile.ZipFile(path) as archive:
        roots = [
            n[: -len("/data.pkl")]
            for n in archive.namelist()
            if n.endswith("/data.pkl")
        ]
        if len(roots) != 1:
            raise ValueError(f"{path} is a zip file but not one of PyTorch's")
        tree = _Unpickler(archive, roots[0]).load()
    flat: dict[str, np.ndarray] = {}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(f"{prefix}.{key}" if prefix else str(key), value)
        elif isinstance(node, np.ndarray):
            flat[prefix] = node

    walk("", tree)
    return flat
