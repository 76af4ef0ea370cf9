"""Checkpoint files written by TensorFlow 2.21 and PyTorch 2.13, read without them."""

import pathlib
import shutil

import numpy as np
import pytest

from inpainting_jax.converters import read_tensors

HERE = pathlib.Path(__file__).parents[1] / "golden" / "checkpoints"


def expected(name):
    file = np.load(HERE / f"{name}_expected.npz")
    return {key.replace("|", "/"): file[key] for key in file.files}


@pytest.mark.parametrize("path", ["tf_bundle", "tf_bundle.index"])
def test_a_tensorflow_checkpoint_of_two_shards_is_read(path):
    tensors = read_tensors(HERE / path)
    assert tensors.keys() == expected("tf_bundle").keys()  # its string is left out
    for name, array in expected("tf_bundle").items():
        np.testing.assert_array_equal(tensors[name], array)


def test_nested_dicts_views_and_parameters_of_pytorch_are_read():
    tensors = read_tensors(HERE / "torch_nested.pth")
    assert tensors.keys() == expected("torch_nested").keys()
    for name, array in expected("torch_nested").items():
        np.testing.assert_array_equal(tensors[name], array)


def test_a_pickled_module_is_refused():
    with pytest.raises(
        ValueError, match=r"refusing to load torch\.nn\.modules\.conv\.Conv2d"
    ):
        read_tensors(HERE / "torch_module.pth")


def test_a_missing_shard_is_named(tmp_path):
    for name in ("tf_bundle.index", "tf_bundle.data-00000-of-00002"):
        shutil.copy(HERE / name, tmp_path / name)
    with pytest.raises(FileNotFoundError, match="data-00001-of-00002"):
        read_tensors(tmp_path / "tf_bundle")


def test_a_shard_cut_short_is_named(tmp_path):
    for path in HERE.glob("tf_bundle.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:2000])
    shutil.copy(HERE / "tf_bundle.index", tmp_path / "tf_bundle.index")
    with pytest.raises(ValueError, match="incomplete copy"):
        read_tensors(tmp_path / "tf_bundle")


def test_files_of_other_kinds_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        read_tensors(tmp_path / "nothing.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.pth is none of \.npz"):
        read_tensors(tmp_path / "text.pth")
    (tmp_path / "text.index").write_text("hello" * 20)
    with pytest.raises(ValueError, match="not the index of a TensorFlow checkpoint"):
        read_tensors(tmp_path / "text.index")


def test_npz_and_safetensors_are_read(tmp_path):
    import safetensors.numpy

    tensors = {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}
    np.savez(tmp_path / "x.npz", **tensors)
    safetensors.numpy.save_file(tensors, tmp_path / "x.safetensors")
    for name in ("x.npz", "x.safetensors"):
        read = read_tensors(tmp_path / name)
        np.testing.assert_array_equal(read["a/kernel"], tensors["a/kernel"])
