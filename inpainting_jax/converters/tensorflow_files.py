"""Reads TensorFlow's checkpoint format ("tensor bundle") without TensorFlow.

A bundle is `PREFIX.index`, a sorted string table in LevelDB's format that maps each
variable's name to a small protocol buffer (type, shape, shard, offset, size), and
`PREFIX.data-?????-of-?????`, the raw little-endian values.
"""

import pathlib
import struct
from collections.abc import Iterator

import numpy as np

_MAGIC = 0xDB4775248B80FB57  # last 8 bytes of a LevelDB table
_FOOTER = 48
_DTYPES = {  # numbers of tensorflow/core/framework/types.proto
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    6: np.dtype("i1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    19: np.dtype("<f2"),
}


def read_bundle(prefix: str) -> dict[str, np.ndarray]:
    """`{variable name: array}` of the checkpoint `prefix`; strings are left out.

    Raises:
      FileNotFoundError: a part of the checkpoint is not there.
      ValueError: the index is not a table, is compressed, or a value is cut short.
    """
    index = pathlib.Path(f"{prefix}.index")
    if not index.exists():
        raise FileNotFoundError(
            f"no TensorFlow checkpoint at {prefix} (looked for {index})"
        )
    table = dict(_table_entries(index.read_bytes(), str(index)))
    shards = _varint_field(table.pop(b"", b""), field=1, default=1)
    arrays = {}
    for name, value in table.items():
        entry = _Entry(value)
        if entry.dtype not in _DTYPES:
            continue  # strings and resources: no weights
        path = pathlib.Path(f"{prefix}.data-{entry.shard:05d}-of-{shards:05d}")
        if not path.exists():
            raise FileNotFoundError(f"part {path} of the checkpoint is missing")
        with path.open("rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
        if len(data) != entry.size:
            raise ValueError(f"{path} ends inside {name.decode()!r}: incomplete copy?")
        array = np.frombuffer(data, _DTYPES[entry.dtype]).reshape(entry.shape)
        arrays[name.decode()] = array
    return arrays


class _Entry:
    """A BundleEntryProto: dtype = 1, shape = 2, shard = 3, offset = 4, size = 5."""

    def __init__(self, message: bytes):
        self.dtype = _varint_field(message, 1)
        self.shard = _varint_field(message, 3)
        self.offset = _varint_field(message, 4)
        self.size = _varint_field(message, 5)
        shape = next((v for f, v in _fields(message) if f == 2), b"")
        # TensorShapeProto: dim = 2, and in each dim: size = 1.
        self.shape = [_varint_field(d, 1) for f, d in _fields(shape) if f == 2]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A base-128 number and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field of a protocol buffer."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
        elif kind == 2:
            length, position = _varint(message, position)
            value = message[position : position + length]
            position += length
        else:
            width = {1: 8, 5: 4}[kind]
            value = message[position : position + width]
            position += width
        yield tag >> 3, value


def _varint_field(message: bytes, field: int, default: int = 0) -> int:
    """The value of a number field, `default` where it is left out."""
    return next((v for f, v in _fields(message) if f == field), default)


def _table_entries(data: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of every entry of a LevelDB table."""
    if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError(f"{name} is not the index of a TensorFlow checkpoint")
    footer = data[-_FOOTER:]
    _, position = _varint(footer, 0)  # the meta-index block: offset, size
    _, position = _varint(footer, position)
    offset, position = _varint(footer, position)
    size, _ = _varint(footer, position)
    for _, handle in _block_entries(data, offset, size, name):
        start, position = _varint(handle, 0)
        length, _ = _varint(handle, position)
        yield from _block_entries(data, start, length, name)


def _block_entries(
    data: bytes, offset: int, size: int, name: str
) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of one block; a key shares a prefix with the one before it."""
    if data[offset + size]:
        raise ValueError(f"{name} is compressed, which TensorFlow does not write")
    block = data[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = size - 4 * (restarts + 1)
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length
