"""The toy run that most tests of the training start from."""

import numpy as np
import pytest
import tiny_gan
from PIL import Image


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A data SPEC of 24 small colourful pictures."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(24):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((20, 20), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return f"folder:{folder}:all"


@pytest.fixture
def config(photos):
    """The config of the toy GAN on these pictures."""
    config = tiny_gan.get_config()
    config.data.source = photos
    config.evaluation.source = photos
    return config


@pytest.fixture
def raw():
    """Eight raw images as the reader delivers them."""
    rng = np.random.default_rng(1)
    return {
        "image": rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8),
        "index": np.arange(8, dtype=np.uint32),
    }
