"""Completed images that wait on disk, not in memory, until they are chosen from."""

import pathlib
import tempfile
from collections.abc import Iterable

import numpy as np

from inpainting_jax.evaluation.sets import EvaluationSet


class Shelf:
    """Completed images of one evaluation, on disk while it is open.

    Args:
      output: folder on whose disk they wait.
      chosen: of what.
    """

    def __init__(self, output: pathlib.Path, chosen: EvaluationSet):
        output.mkdir(parents=True, exist_ok=True)
        self._shape = (*chosen.size, 3)
        self._bytes = int(np.prod(self._shape))
        self._count = 0
        self._file = tempfile.TemporaryFile(dir=output)  # noqa: SIM115

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> "Shelf":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, images: np.ndarray) -> None:
        """Appends images [K, H, W, 3] uint8."""
        self._file.seek(self._count * self._bytes)
        self._file.write(np.ascontiguousarray(images).tobytes())
        self._count += len(images)

    def images(self, indices: Iterable[int]) -> np.ndarray:
        """[K, H, W, 3] uint8 of those added."""
        found = []
        for index in indices:
            self._file.seek(int(index) * self._bytes)
            content = self._file.read(self._bytes)
            found.append(np.frombuffer(content, np.uint8).reshape(self._shape))
        return np.stack(found)
