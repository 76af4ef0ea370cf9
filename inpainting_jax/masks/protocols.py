"""Named, versioned sets of evaluation masks: `protocol:NAME`, `protocol:NAME:FOLDER`.

A name, a version, a seed and the size of the images decide every bit, and the hash of
the bits stands in each report. What a name means never changes: a change is a new
version (`protocol:NAME@1` asks for an old one).

| name | hole |
| --- | --- |
| `box128` | a square of half the side (128 of 256 pixels) at a random place |
| `freeform` | DeepFill v2's strokes, scaled to the image; 0.15 on average |
| `irregular-6x2` | mask files, as many of each of six ratios, near the edge and not |
| `lama-thin`, `lama-medium`, `lama-wide` | LaMa's generators (thin: its "narrow") |
| `half` | the right half |
| `expand` | all but the centre quarter of both sides |
| `grid` | all but every second pixel of every second row |
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator, Mapping

import numpy as np

from inpainting_jax.masks.buckets import BUCKETS, hole_bucket, touches_border
from inpainting_jax.masks.folders import MaskFolder, files
from inpainting_jax.registry import UnknownNameError

PREFIX = "protocol:"


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What a name of the table means, in one version.

    Attributes:
      spec: mask SPEC that draws it; "" where mask files are needed.
      about: one line for reports.
      version: counts up with every change of a bit.
    """

    spec: str
    about: str
    version: int = 1

    @property
    def needs_files(self) -> bool:
        """Whether it takes a folder of mask files."""
        return not self.spec


PROTOCOLS: Mapping[str, Protocol] = {
    "box128": Protocol("box(size=0.5,shrink=0)", "a square of half the side, anywhere"),
    "freeform": Protocol("strokes(scale=true)", "DeepFill v2's strokes, scaled"),
    "irregular-6x2": Protocol(
        "", "mask files, as many of each ratio with and without border contact"
    ),
    "lama-thin": Protocol("lama(kind=thin)@0-0.5", "LaMa's narrow strokes"),
    "lama-medium": Protocol("lama(kind=medium)@0-0.5", "LaMa's medium masks"),
    "lama-wide": Protocol("lama(kind=wide)@0-0.5", "LaMa's wide masks"),
    "half": Protocol("half(side=right)", "the right half"),
    "expand": Protocol("outpaint(keep=0.25)", "all but a centre of 1/4 of each side"),
    "grid": Protocol("grid(step=2)", "all but every second pixel of every second row"),
}


def is_protocol(spec: str) -> bool:
    """Whether a mask SPEC is the name of a protocol."""
    return spec.strip().startswith(PREFIX)


def describe(spec: str) -> dict[str, str | int] | None:
    """`name`, `version`, `spec` and `about` of a protocol; None for any other SPEC."""
    if not is_protocol(spec):
        return None
    name, _ = _parse(spec)
    found = PROTOCOLS[name]
    return {
        "name": name,
        "version": found.version,
        "spec": found.spec or "files",
        "about": found.about,
    }


def resolve(spec: str, height: int, width: int) -> "str | BalancedFiles":
    """What draws a protocol: another mask SPEC, or a balanced choice of files.

    Raises:
      ValueError: an unknown name or version, a folder missing or not wanted, or one
        without files of some class.
    """
    name, folder = _parse(spec)
    protocol = PROTOCOLS[name]
    if not protocol.needs_files:
        if folder:
            raise ValueError(f"the protocol {name} draws its masks; leave {folder!r}.")
        return protocol.spec
    if not folder:
        raise ValueError(
            f"the protocol {name} takes mask files: {PREFIX}{name}:FOLDER."
        )
    return _balanced(folder, height, width)


def _parse(spec: str) -> tuple[str, str]:
    """Name and folder of `protocol:NAME[@VERSION][:FOLDER]`."""
    match = re.match(r"([\w-]+)(?:@(\d+))?(?::(.*))?$", spec.strip()[len(PREFIX) :])
    name = match[1] if match else spec.strip()[len(PREFIX) :]
    if name not in PROTOCOLS:
        raise UnknownNameError("mask protocol", name, PROTOCOLS)
    version = int(match[2] or PROTOCOLS[name].version)
    if version != PROTOCOLS[name].version:
        raise ValueError(
            f"the protocol {name} has version {PROTOCOLS[name].version}, not {version}."
        )
    return name, match[3] or ""


@dataclasses.dataclass(frozen=True)
class BalancedFiles:
    """Mask files in twelve classes: six ranges of the hole ratio, near the edge or not.

    Mask n is of class n mod 12, so that any twelve in a row hold each class once; files
    of a class come in an order shuffled by the seed, each once before any comes twice.

    Attributes:
      folder: the files.
      classes: indices of files by class; empty classes are an error.
    """

    folder: MaskFolder
    classes: tuple[tuple[int, ...], ...]

    def masks(
        self, seed: int, count: int, height: int, width: int
    ) -> Iterator[np.ndarray]:
        """`count` masks [H, W] uint8; mask n depends on (folder, size, seed, n)."""
        orders = [
            itertools.chain.from_iterable(_shuffles(members, (seed, k)))
            for k, members in enumerate(self.classes)
        ]
        for n in range(count):
            index = next(orders[n % len(orders)])
            yield self.folder.resized(int(index), height, width)[..., 0]


def _shuffles(members: tuple[int, ...], seed: tuple[int, int]) -> Iterator[np.ndarray]:
    """Random orders of the members, without end."""
    rng = np.random.default_rng(seed)
    while True:
        yield rng.permutation(members)


@functools.lru_cache(maxsize=8)
def _balanced(path: str, height: int, width: int) -> BalancedFiles:
    """Files by class at a size: resampling moves some across an edge."""
    folder = files(path)
    names = [f"{b} {side}" for b in BUCKETS for side in ("border", "inner")]
    classes: dict[str, list[int]] = {name: [] for name in names}
    for index in range(len(folder)):
        mask = folder.resized(index, height, width)
        side = "border" if touches_border(mask) else "inner"
        classes.get(f"{hole_bucket(mask)} {side}", []).append(index)
    empty = [name for name, members in classes.items() if not members]
    if empty:
        raise ValueError(
            f"{path} holds no mask of the classes {', '.join(empty)} among its "
            f"{len(folder)} files; the published test set holds all twelve. If black "
            "is the hole in these files, invert them first."
        )
    return BalancedFiles(folder, tuple(tuple(members) for members in classes.values()))
