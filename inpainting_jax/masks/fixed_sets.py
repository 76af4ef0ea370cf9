"""Masks on the host: the hashed evaluation set, and draws for SPECs with files.

The n-th mask of a set depends on (SPEC, seed, n) alone. Generators run on the CPU in
float64, where a different machine would have to round a coordinate to the other side
of a whole pixel to change a bit; the hash tells if one ever does.
"""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from inpainting_jax.masks import specs
from inpainting_jax.masks.drawing import MAX_TRIES
from inpainting_jax.masks.folders import MaskFolder, files


def fixed_set(
    spec: str,
    seed: int,
    count: int,
    height: int,
    width: int,
    *,
    names: Sequence[str] | None = None,
) -> tuple[np.ndarray, str]:
    """The `count` masks of a SPEC and a seed, and their hash.

    Args:
      spec: mask SPEC. `files:` alone goes through every file, shuffled by the seed,
        before any comes twice.
      seed: of the whole set.
      count: N.
      height: H.
      width: W.
      names: names of the N images, needed by `paired:`.

    Returns:
      [N, H, W] uint8, 1 = hole, and the SHA-256 over all bits, packed in that order.

    Raises:
      ValueError: malformed SPEC, names missing, or bounds that were not met.
    """
    if count < 1:
        raise ValueError(f"a mask set needs count >= 1, got {count}.")
    components = specs.parse(spec)
    if not specs.is_host(spec):
        draw = _host_draw(spec, height, width)
        masks = [draw(seed, index) for index in range(count)]
    elif _is_folder(components):
        folder = _open(components[0])
        stream = folder.shuffled(np.random.default_rng(seed), height, width)
        masks = list(itertools.islice(stream, count))
    else:
        source = HostSampler(spec)
        masks = []
        for index in range(count):
            rng = np.random.default_rng((seed, index))
            name = names[index] if names is not None else None
            masks.append(source.draw(rng, height, width, name=name))
    stack = np.stack([np.asarray(mask) for mask in masks]).reshape(count, height, width)
    stack = (stack > 0.5).astype(np.uint8)
    _check_bounds(stack, components, spec)
    return stack, mask_hash(stack)


def mask_hash(masks: np.ndarray) -> str:
    """SHA-256 of the packed bits of masks [N, H, W]."""
    return hashlib.sha256(np.packbits(masks > 0).tobytes()).hexdigest()


def host_sampler(spec: str) -> "HostSampler | MaskFolder":
    """What draws a SPEC on the host: `draw(rng, height, width) -> [H, W, 1]` uint8.

    For SPECs with files (`is_host`), as the input pipeline wants them.
    """
    components = specs.parse(spec)
    return _open(components[0]) if _is_folder(components) else HostSampler(spec)


@dataclasses.dataclass(frozen=True)
class HostSampler:
    """Draws any mask SPEC, files and generators mixed; picklable."""

    spec: str

    def draw(
        self,
        rng: np.random.Generator,
        height: int,
        width: int,
        *,
        name: str | None = None,
    ) -> np.ndarray:
        """[H, W, 1] uint8, 1 = hole; `name` of the image for `paired:` masks.

        Raises:
          ValueError: bounds not met in 64 draws, or `paired:` without a name.
        """
        components = specs.parse(self.spec)
        weights = np.array([component.weight for component in components])
        index = int(rng.choice(len(components), p=weights / weights.sum()))
        component = components[index]
        low, high = component.bounds or (-1.0, 1.0)
        for _ in range(MAX_TRIES):
            masks = [_draw_item(i, rng, height, width, name) for i in component.items]
            mask = np.maximum.reduce(masks)
            if low < mask.mean() <= high:
                return mask
        raise ValueError(
            f"{MAX_TRIES} draws of mask spec {self.spec!r} gave no hole ratio in "
            f"({low:g}, {high:g}]; widen the bounds."
        )


def _draw_item(item: specs.Item, rng, height: int, width: int, name: str | None):
    if item.name == "files":
        return _folder(item).draw(rng, height, width)
    if item.name == "paired":
        if name is None:
            raise ValueError(
                "paired: masks belong to named images, as in evaluation; for training "
                "draw them with files:PATH."
            )
        return _folder(item).paired(name, height, width)
    options = ",".join(f"{k}={v}" for k, v in item.options.items())
    draw = _host_draw(f"{item.name}({options})", height, width)
    return draw(int(rng.integers(2**31)), 0).astype(np.uint8)


def _is_folder(components: tuple[specs.Component, ...]) -> bool:
    """Whether the SPEC is one `files:` item and nothing else."""
    items = [item for component in components for item in component.items]
    return len(items) == 1 and items[0].name == "files"


def _open(component: specs.Component) -> MaskFolder:
    """The folder of a component of one `files:` item, with the component's bounds."""
    return dataclasses.replace(_folder(component.items[0]), bounds=component.bounds)


def _folder(item: specs.Item) -> MaskFolder:
    return _cached_folder(item.path, tuple(sorted(item.options.items())))


@functools.lru_cache(maxsize=16)
def _cached_folder(path: str, options: tuple[tuple[str, Any], ...]) -> MaskFolder:
    try:
        return files(path, **dict(options))
    except TypeError:
        given = ", ".join(name for name, _ in options)
        raise ValueError(
            f"files:{path} got the options {given}; it takes convention, border, flip."
        ) from None


@functools.lru_cache(maxsize=32)
def _host_draw(spec: str, height: int, width: int):
    """`(seed, index) -> [H, W, 1]` of a generator, on the CPU in float64."""
    draw = specs.sampler(spec)
    device = _cpu()

    @jax.jit
    def one(seed, index):
        key = jax.random.key(seed, impl="threefry2x32")
        return draw(jax.random.fold_in(key, index), height, width)

    def on_host(seed: int, index: int) -> np.ndarray:
        with jax.enable_x64(True), jax.default_device(device):
            return np.asarray(one(seed, index))

    return on_host


def _cpu():
    """The first CPU device; the default device where JAX has no CPU platform."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None


def _check_bounds(masks: np.ndarray, components, spec: str) -> None:
    """Raises if a set with a single bounded component left its bounds."""
    if len(components) > 1 or not components[0].bounds:
        return
    low, high = components[0].bounds
    ratios = masks.mean((1, 2))
    missed = int(np.sum((ratios <= low) | (ratios > high)))
    if missed:
        raise ValueError(
            f"{missed} of {len(masks)} masks of {spec!r} missed the hole ratio "
            f"({low:g}, {high:g}] at {masks.shape[1]}x{masks.shape[2]} after "
            f"{MAX_TRIES} draws each; widen the bounds or take another generator."
        )
