"""Networks that turn an image into one vector, for distances between sets of images."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import jax
import numpy as np

from inpainting_jax import runtime
from inpainting_jax.features import efficientnet, inception
from inpainting_jax.features.inputs import RESIZES, efficientnet_input, inception_input
from inpainting_jax.features.weights import file_sha256
from inpainting_jax.runtime import spread
from inpainting_jax.types import Array

BATCH = 16
"""Images per call of a network; one shape, so that it compiles once."""

NETWORKS = ("efflite0", *(f"inception_{resize}" for resize in RESIZES))


@dataclasses.dataclass(frozen=True)
class PooledNetwork:
    """A frozen network with its weights and its way of resizing.

    Attributes:
      name: one of `NETWORKS`; an Inception carries its resize rule in it.
      dimension: D of the vectors.
      file_sha256: of the weights' file.
      resize: the rule in words, for reports.
      prepare: uint8 [N, H, W, 3] -> the network's input, on the host.
      apply: the input -> [N, D], compiled.
    """

    name: str
    dimension: int
    file_sha256: str
    resize: str
    prepare: Callable[[np.ndarray], np.ndarray]
    apply: Callable[[Array], Array]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """[N, D] float32 of images [N, H, W, 3] uint8, a batch at a time."""
        parts = []
        for first in range(0, len(images), BATCH):
            part = self.prepare(images[first : first + BATCH])
            full = np.zeros((BATCH, *part.shape[1:]), np.float32)
            full[: len(part)] = part
            parts.append(np.asarray(self.apply(spread(full)))[: len(part)])
        return np.concatenate(parts)


def pooled_network(name: str, file: str | pathlib.Path | None = None) -> PooledNetwork:
    """The network of a name.

    Args:
      name: `efflite0` (weights of an installed package); `inception_torch`,
        `inception_clean`, `inception_tf`: FID's network with one of three ways of
        resizing (`inputs.inception_input`).
      file: FID's weights in PyTorch's format (`pt_inception-2015-12-05`), which no
        package carries; only for Inception.

    Raises:
      ValueError: an unknown name; an Inception without a file; a wrong file.
      FileNotFoundError: no such file, or the package is not installed.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    if name == "efflite0":
        return _efficientnet()
    if not file:
        raise ValueError(
            "FID and its relatives need the weights of FID's Inception network, which "
            "no package carries; give the file (--inception=FILE), or take "
            "fd_efflite0, which is no FID."
        )
    return _inception(name.removeprefix("inception_"), str(file))


@functools.cache
def _efficientnet() -> PooledNetwork:
    layers = jax.device_put(efficientnet.efficientnet_weights())
    return PooledNetwork(
        name="efflite0",
        dimension=efficientnet.FEATURES,
        file_sha256=efficientnet.SHA256,
        resize="whole image to 224x224, Pillow bicubic",
        prepare=efficientnet_input,
        apply=functools.partial(
            runtime.compiled(efficientnet.efficientnet_features), layers
        ),
    )


@functools.cache
def _inception(resize: str, file: str) -> PooledNetwork:
    rules = {
        "torch": "to 299x299, bilinear, no antialias (pytorch-fid)",
        "clean": "to 299x299, Pillow bicubic in float (clean-fid)",
        "tf": "to 299x299, bilinear, no antialias, top left aligned (original)",
    }
    layers = jax.device_put(inception.load_inception(file))
    return PooledNetwork(
        name=f"inception_{resize}",
        dimension=inception.FEATURES,
        file_sha256=file_sha256(pathlib.Path(file)),
        resize=f"whole image {rules[resize]}",
        prepare=functools.partial(inception_input, resize=resize),
        apply=functools.partial(runtime.compiled(inception.inception_features), layers),
    )
