"""PyTorch's older stream layout, written by hand; the zip layout is in converters/."""

import collections
import io
import pickle
import struct
import sys
import types

import numpy as np
import pytest

from inpainting_jax import features
from inpainting_jax.features import vgg
from inpainting_jax.torch_files import is_torch_file, read_torch

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


class FloatStorage:
    """Stands for a storage in a pickle, by its key."""

    def __init__(self, key, array):
        self.key, self.array = key, array


class Tensor:
    """Pickles as PyTorch pickles a tensor: storage, offset, size, strides."""

    def __init__(self, storage, offset, size, stride):
        self.parts = (storage, offset, size, stride, False, collections.OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.parts


@pytest.fixture
def fake_torch(monkeypatch):
    """Just enough of the names that a pickle refers to."""

    def rebuild(*parts):
        return parts

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    utils._rebuild_tensor_v2, torch._utils = rebuild, utils
    monkeypatch.setattr(FloatStorage, "__module__", "torch")
    torch.FloatStorage = FloatStorage
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, FloatStorage):
            return ("storage", FloatStorage, value.key, "cpu", value.array.size, None)
        return None


def write(path, tree, storages, *, system=SYSTEM):
    file = io.BytesIO()
    for header in (MAGIC, 1001, system):
        pickle.dump(header, file, protocol=2)
    Pickler(file, protocol=2).dump(tree)
    pickle.dump(sorted(s.key for s in storages), file, protocol=2)
    for storage in sorted(storages, key=lambda s: s.key):
        file.write(struct.pack("<q", storage.array.size) + storage.array.tobytes())
    path.write_bytes(file.getvalue())


@pytest.fixture
def saved(tmp_path, fake_torch):
    """Two storages, the second seen by two tensors, one of them turned."""
    storages = [
        FloatStorage("94", np.arange(6, dtype=np.float32)),
        FloatStorage("17", np.arange(20, 32, dtype=np.float32)),
    ]
    tree = collections.OrderedDict(
        bias=Tensor(storages[0], 0, (6,), (1,)),
        nested={"turned": Tensor(storages[1], 0, (3, 4), (1, 3))},
        part=Tensor(storages[1], 4, (2,), (1,)),
        epoch=7,
    )
    write(tmp_path / "old.pth", tree, storages)
    return tmp_path / "old.pth"


def test_the_older_layout_is_read(saved):
    assert is_torch_file(saved)
    tensors = read_torch(saved)
    assert set(tensors) == {"bias", "nested.turned", "part"}
    np.testing.assert_array_equal(tensors["bias"], np.arange(6))
    expected = np.arange(20, 32).reshape(4, 3).T
    np.testing.assert_array_equal(tensors["nested.turned"], expected)
    np.testing.assert_array_equal(tensors["part"], [24, 25])


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.98])
def test_a_file_cut_short_is_refused(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="cut short"):
        read_torch(saved)


def test_code_in_the_older_layout_is_not_run(tmp_path, fake_torch):
    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    write(tmp_path / "evil.pth", {"a": Evil()}, [])
    with pytest.raises(ValueError, match=r"refusing to load \w+\.print"):
        read_torch(tmp_path / "evil.pth")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path, fake_torch):
    for parts in ((4, (3,), (1,)), (0, (3,), (-1,)), (-1, (3,), (1,))):
        storage = FloatStorage("1", np.zeros(6, np.float32))
        write(tmp_path / "bad.pth", {"a": Tensor(storage, *parts)}, [storage])
        with pytest.raises(ValueError, match="beyond its storage"):
            read_torch(tmp_path / "bad.pth")


def test_sizes_beyond_the_file_are_refused_before_room_is_made(tmp_path, fake_torch):
    class Huge:
        size = 10**15

    storage = FloatStorage("1", Huge)
    tree = {"a": Tensor(storage, 0, (1,), (1,))}
    write(tmp_path / "huge.pth", tree, [])
    with pytest.raises(ValueError, match="larger than the file"):
        read_torch(tmp_path / "huge.pth")


def test_big_endian_files_are_refused(tmp_path, fake_torch):
    write(tmp_path / "big.pth", {}, [], system={**SYSTEM, "little_endian": False})
    with pytest.raises(ValueError, match="little-endian"):
        read_torch(tmp_path / "big.pth")


def test_a_vgg_in_the_older_layout_is_read(tmp_path, fake_torch, monkeypatch):
    """As torchvision distributes it, with two channels everywhere to be small."""
    monkeypatch.setattr(vgg, "CHANNELS", (2,) * 5)
    rng = np.random.default_rng(0)
    indices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    arrays = {"classifier.0.bias": rng.standard_normal(4, np.float32)}
    for index in indices:
        shape = (2, 2 if index else 3, 3, 3)
        arrays[f"features.{index}.weight"] = rng.standard_normal(shape, np.float32)
        arrays[f"features.{index}.bias"] = rng.standard_normal(2, np.float32)
    tree, storages = collections.OrderedDict(), []
    for i, (name, array) in enumerate(arrays.items()):
        storages.append(FloatStorage(f"{i:03}", array.ravel()))
        strides = tuple(s // 4 for s in array.strides)
        tree[name] = Tensor(storages[-1], 0, array.shape, strides)
    path = tmp_path / "vgg16.pth"
    write(path, tree, storages)
    network = features.read_vgg(path, "vgg16", norm="caffe")
    assert network.norm == "caffe" and network.origin == "vgg16.pth"
    np.testing.assert_array_equal(
        network.layers["conv3_2"]["kernel"],
        arrays["features.12.weight"].transpose(2, 3, 1, 0),
    )
    with pytest.raises(ValueError, match=r"vgg16\.pth: .*vgg19 is missing"):
        features.read_vgg(path, "vgg19", norm="torch")
