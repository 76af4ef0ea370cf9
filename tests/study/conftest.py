"""A small study on disk, in any mode."""

import dataclasses

import numpy as np
import pytest

from inpainting_jax.study import folder
from inpainting_jax.study.design import Design

METHODS = ("quixotic", "zephyrine", "umbrageous")


@dataclasses.dataclass
class Noise:
    """Pictures of random pixels, without files."""

    names: tuple[str, ...]
    size: int = 12

    def pixels(self, name, role):
        rng = np.random.default_rng(list(f"{name}{role}".encode()))
        return rng.integers(0, 256, (self.size, self.size, 3), dtype=np.uint8)


@pytest.fixture
def make_study(tmp_path):
    """Prepares `tmp_path/study`: options are those of `Design`, and `images`."""

    def make(mode="pair_preference", images=30, size=12, **options):
        exposures = (50, 100) if mode == "timed_real_fake" else (0,)
        chosen = {"exposures": exposures, "sessions": 3, "trials": 6}
        chosen |= {"practice": 2, "catch": 2} | options
        pictures = Noise(tuple(f"image{i:02}" for i in range(images)), size)
        design = Design(mode, METHODS, **chosen)
        return folder.prepare(pictures, design, tmp_path / "study")

    return make
