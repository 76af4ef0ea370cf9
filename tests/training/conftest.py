"""The toy run that most tests of the training start from."""

import os

import jax
import numpy as np
import pytest
import tiny_gan
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory):
    """Runs and processes share compiled programs: most of the time goes into these."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    former = {name: getattr(jax.config, name) for name in names}
    folder = str(tmp_path_factory.mktemp("compiled"))
    for name, value in zip(names, (folder, 0.0, -1), strict=True):
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    compilation_cache.reset_cache()
    yield
    for name, value in former.items():
        jax.config.update(name, value)
        del os.environ[name.upper()]
    compilation_cache.reset_cache()


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
