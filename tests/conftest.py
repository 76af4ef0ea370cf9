"""Shared set-up: four CPU devices, strict ranks, small fixtures."""

import json
import os
import pathlib
import zlib

# Programs compiled once serve all tests, their subprocesses and the next run.
CACHE = pathlib.Path(__file__).parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
# The suite compiles thousands of programs and runs each a few times: less optimisation
# by LLVM saves a third of its processor time. A later flag of the user's own wins.
FASTER = "--xla_backend_optimization_level=1"
os.environ["XLA_FLAGS"] = f"{FASTER} {os.environ.get('XLA_FLAGS', '')}".strip()

import jax
import numpy as np
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture
def one_device(monkeypatch):
    """The layers' forms for a process whose only device is a CPU, as most users'."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def golden():
    """Loads `tests/golden/NAME.npz` as a mapping of arrays."""

    def load(name: str):
        return np.load(GOLDEN / f"{name}.npz", allow_pickle=False)

    return load


@pytest.fixture
def batch():
    """Two 32x32 images with different centre holes, and their keys."""
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    mask = np.zeros((2, 32, 32, 1), np.float32)
    mask[0, 8:20, 8:24] = 1
    mask[1, 4:12, 16:30] = 1
    return {
        "image": jax.numpy.asarray(image),
        "mask": jax.numpy.asarray(mask),
        "keys": jax.random.split(jax.random.key(1), 2),
    }


@pytest.fixture
def recipe_weights():
    """Re-creates the weights of a golden file from its recipe, checked by their sums.

    The recipe is that of the golden files' README: a normal draw seeded by the
    tensor's name, scaled by gain and fan-in.
    """

    def recreate(keys: str, recipe: dict, gain: float | None = None, **options):
        layout = (
            "tf" if str(recipe.get("layout", "torch")).startswith("tf") else "torch"
        )
        layout = options.get("layout", layout)
        gain = recipe["gain"] if gain is None else gain
        weights = {}
        for name, shape, total, total_absolute in json.loads(keys):
            array = _recipe_tensor(name, shape, recipe, gain, layout)
            values = array.astype(np.float64)
            assert np.isclose(values.sum(), total, rtol=1e-6, atol=1e-4), name
            assert np.isclose(np.abs(values).sum(), total_absolute, rtol=1e-6), name
            weights[name] = array
        return weights

    return recreate


def _recipe_tensor(name: str, shape: list, recipe: dict, gain: float, layout: str):
    """One tensor of a golden file's recipe."""
    leaf = name.split("/")[-1].split(".")[-1]
    if "fuse_weight" in name:
        return np.eye(3, dtype=np.float32).reshape(shape)
    if "mask_conv" in name:
        return np.ones(shape, np.float32)
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    seed = zlib.crc32(f"{recipe['seed']}:{name}".encode())
    normal = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    if leaf in ("running_mean", "moving_mean"):
        return 0.1 * normal
    if leaf in ("running_var", "moving_variance"):
        return 1 + 0.25 * np.abs(normal)
    if leaf in ("bias", "beta"):
        return 0.1 * normal
    if leaf in ("weight_u", "u"):
        return normal
    if len(shape) <= 1:
        return 1 + 0.1 * normal
    fan = np.prod(shape[1:] if layout == "torch" else shape[:-1])
    return normal * np.float32(gain * float(fan) ** recipe.get("power", -0.5))


@pytest.fixture(scope="session")
def fresh_variables():
    """`method.init`, compiled unoptimised: its random draws would take a minute."""

    def initialise(method, key, batch):
        options = {"xla_backend_optimization_level": 0}
        return jax.jit(method.init, compiler_options=options)(key, batch)

    return initialise


@pytest.fixture(scope="session")
def block_labels():
    """Label maps that a network can learn: the brightness of each 8 x 8 block."""

    def label(image, classes):
        """uint8 [B, H, W, 1] of images [B, H, W, 3] in [-1, 1], 0 to `classes` - 1."""
        image = np.asarray(image)
        count, height, width, _ = image.shape
        blocks = image.reshape(count, height // 8, 8, width // 8, 8 * 3)
        level = (blocks.mean(axis=(2, 4)) + 1) / 2 * classes
        level = np.clip(level.astype(np.uint8), 0, classes - 1)
        return level.repeat(8, axis=1).repeat(8, axis=2)[..., None]

    return label
