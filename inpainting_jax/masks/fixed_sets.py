"""Masks on the host: the hashed evaluation set, and draws for SPECs with files.

The n-th mask of a set depends on (SPEC, seed, n) alone. Generators run on the CPU in
float64, where a different machine would have to round a coordinate to the other side
of a whole pixel to change a bit; the hash tells if one ever does.
"""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from inpainting_jax.masks import protocols, specs
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
        before any comes twice. `protocol:NAME` names a set of `masks.PROTOCOLS`.
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
    stack = np.stack(list(mask_stream(spec, seed, count, height, width, names=names)))
    return stack, mask_hash(stack)


def mask_stream(
    spec: str,
    seed: int,
    count: int,
    height: int,
    width: int,
    *,
    names: Sequence[str] | None = None,
) -> Iterator[np.ndarray]:
    """The masks of `fixed_set` one at a time, [H, W] uint8, without holding them all.

    Raises:
      ValueError: as `fixed_set`; bounds that were not met, after the last mask.
    """
    if count < 1:
        raise ValueError(f"a mask set needs count >= 1, got {count}.")
    if protocols.is_protocol(spec):
        if isinstance(plan := protocols.resolve(spec, height, width), str):
            spec = plan
        else:
            yield from plan.masks(seed, count, height, width)
            return
    components = specs.parse(spec)
    draws = _stream(spec, components, seed, count, height, width, names)
    missed = 0
    for drawn in draws:
        mask = (np.asarray(drawn).reshape(height, width) > 0.5).astype(np.uint8)
        missed += _misses_bounds(mask, components)
        yield mask
    if missed:
        low, high = components[0].bounds
        raise ValueError(
            f"{missed} of {count} masks of {spec!r} missed the hole ratio "
            f"({low:g}, {high:g}] at {height}x{width} after {MAX_TRIES} draws each; "
            "widen the bounds or take another generator."
        )


def _stream(
    spec: str,
    components: tuple[specs.Component, ...],
    seed: int,
    count: int,
    height: int,
    width: int,
    names: Sequence[str] | None,
) -> Iterator[np.ndarray]:
    if not specs.is_host(spec):
        draw = _host_draw(spec, height, width)
        return (draw(seed, index) for index in range(count))
    if _is_folder(components):
        folder = _open(components[0])
        stream = folder.shuffled(np.random.default_rng(seed), height, width)
        return itertools.islice(stream, count)
    source = HostSampler(spec)
    return (
        source.draw(
            np.random.default_rng((seed, index)),
            height,
            width,
            name=names[index] if names is not None else None,
        )
        for index in range(count)
    )


class MaskHash:
    """SHA-256 of the packed bits of masks that come one at a time."""

    def __init__(self):
        self._digest = hashlib.sha256()
        self._rest = np.zeros(0, np.uint8)

    def update(self, mask: np.ndarray) -> None:
        """Adds a mask [H, W]; bits that fill no byte wait for the next."""
        bits = np.concatenate([self._rest, (mask > 0).astype(np.uint8).ravel()])
        whole = len(bits) // 8 * 8
        self._digest.update(np.packbits(bits[:whole]).tobytes())
        self._rest = bits[whole:]

    def hexdigest(self) -> str:
        """The hash of all masks so far."""
        digest = self._digest.copy()
        digest.update(np.packbits(self._rest).tobytes())
        return digest.hexdigest()


def mask_hash(masks: np.ndarray) -> str:
    """SHA-256 of the packed bits of masks [N, H, W]."""
    found = MaskHash()
    for mask in masks:
        found.update(mask)
    return found.hexdigest()


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


def _misses_bounds(mask: np.ndarray, components: tuple[specs.Component, ...]) -> bool:
    """Whether a mask of a SPEC with one bounded component left its bounds."""
    if len(components) > 1 or not components[0].bounds:
        return False
    low, high = components[0].bounds
    return not low < mask.mean() <= high
