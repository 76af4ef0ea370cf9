"""PyTorch's checkpoint files read without PyTorch, and without running them.

A checkpoint is a pickle, which may hold any code: it is read by an unpickler that knows
tensors and plain containers and refuses anything else. Two layouts: a zip archive
(since PyTorch 1.6), and a stream of pickles followed by the raw storages, in which
older files such as torchvision's VGG weights are still distributed.
"""

import collections
import math
import os
import pathlib
import pickle
import struct
import zipfile
from typing import Any, BinaryIO

import numpy as np

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
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_START = pickle.dumps(_LEGACY_MAGIC, protocol=2)
_DAMAGED = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)


def is_torch_file(path: str | os.PathLike) -> bool:
    """Whether the file is a zip archive or starts as PyTorch's older files do."""
    with open(path, "rb") as file:
        start = file.read(len(_LEGACY_START))
    return start == _LEGACY_START or zipfile.is_zipfile(path)


def read_torch(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """`{name: array}` of the tensors in a PyTorch file; nested dicts get dotted names.

    Raises:
      ValueError: a damaged file, or one that holds more than tensors and containers.
    """
    path = pathlib.Path(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                tree = _read_zip(archive, path)
        else:
            with path.open("rb") as file:
                tree = _read_legacy(file, path.stat().st_size)
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged or cut short: {error}") from error
    flat: dict[str, np.ndarray] = {}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(f"{prefix}.{key}" if prefix else str(key), value)
        elif isinstance(node, np.ndarray):
            flat[prefix] = np.array(node)  # a copy: not a view of its storage

    walk("", tree)
    return flat


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors as arrays; anything but tensors and containers is refused."""

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
        kind, dtype, key, _, count, *rest = pid
        if kind != "storage":
            raise ValueError(f"unknown kind of persistent object {kind!r}")
        storage = self.storage(dtype, str(key), int(count))
        if rest and rest[0] is not None:  # part of another storage, in old files
            _, offset, size = rest[0]
            return storage[offset : offset + size]
        return storage

    def storage(self, dtype: np.dtype, name: str, count: int) -> np.ndarray:
        """The numbers called `name`."""
        raise ValueError(f"a tensor where none belongs: storage {name}")


class _ZipUnpickler(_Unpickler):
    """Storages are members of the archive."""

    def __init__(self, archive: zipfile.ZipFile, root: str):
        super().__init__(archive.open(f"{root}/data.pkl"))
        self._archive = archive
        self._root = root

    def storage(self, dtype: np.dtype, name: str, count: int) -> np.ndarray:
        del count
        data = self._archive.read(f"{self._root}/data/{name}")
        return np.frombuffer(data, dtype)


class _LegacyUnpickler(_Unpickler):
    """Storages follow the pickles: room is made for them, filled afterwards."""

    def __init__(self, file: BinaryIO, size: int):
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}
        self._left = size

    def storage(self, dtype: np.dtype, name: str, count: int) -> np.ndarray:
        if name not in self.storages:
            self._left -= count * dtype.itemsize
            if count < 0 or self._left < 0:
                raise ValueError(
                    "the tensors are larger than the file: it is cut short"
                )
            self.storages[name] = np.empty(count, dtype)
        return self.storages[name]


def _read_zip(archive: zipfile.ZipFile, path: pathlib.Path) -> Any:
    """The object in PyTorch's zip layout."""
    end = "/data.pkl"
    roots = [n[: -len(end)] for n in archive.namelist() if n.endswith(end)]
    if len(roots) != 1:
        raise ValueError(f"{path} is a zip file but not one of PyTorch's")
    return _ZipUnpickler(archive, roots[0]).load()


def _read_legacy(file: BinaryIO, size: int) -> Any:
    """The object in the stream layout: three headers, object, keys, storages."""
    magic, version, system = (_Unpickler(file).load() for _ in range(3))
    if magic != _LEGACY_MAGIC or version != 1001 or not system.get("little_endian"):
        raise ValueError(
            f"not PyTorch's stream of version 1001, little-endian: {version}, {system}"
        )
    reader = _LegacyUnpickler(file, size)
    tree = reader.load()
    for key in _Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        storage = reader.storages.get(str(key))
        if storage is None:
            raise ValueError(f"storage {key} belongs to no tensor: the file is damaged")
        data = file.read(storage.nbytes)
        if count != storage.size or len(data) != storage.nbytes:
            raise ValueError(
                f"storage {key} holds {len(data)} of {storage.nbytes} bytes: the file "
                "is cut short"
            )
        storage[:] = np.frombuffer(data, storage.dtype)
    return tree


def _rebuild_tensor(
    storage: np.ndarray, offset: int, size: tuple, stride: tuple, *_: Any
) -> np.ndarray:
    """A strided view of a storage; strides count elements, as in PyTorch."""
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    negative = min((offset, *size, *stride)) < 0
    if negative or (math.prod(size) > 0 and not offset <= last < storage.size):
        raise ValueError("a tensor reaches beyond its storage: the file is damaged")
    return np.lib.stride_tricks.as_strided(
        storage[offset:], size, [s * storage.itemsize for s in stride]
    )
