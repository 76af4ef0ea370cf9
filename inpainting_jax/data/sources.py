"""Where training images come from: indexable, lazy, picklable sequences of samples.

A sample is `{"image": [H, W, 3] uint8, "name": str}`, with `"label_map"` [H, W] uint8
if the data set has one; sizes differ from sample to sample. `open_source` turns a data
SPEC into such a sequence:

    photos                       crops of the photographs that scikit-image ships
    procedural                   textures and shapes drawn from a seed, labelled
    folder:PATH                  every image file below PATH
    tfds:NAME[/CONFIG]           a prepared TFDS data set (`tfds_sources.PRESETS`)
    tfds_dir:PATH                a data set written by `python -m launch.prepare`

each with an optional `:SPLIT` at the end.
"""

import dataclasses
import hashlib
import importlib.util
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from inpainting_jax.data import decode, procedural, tfds_sources
from inpainting_jax.registry import UnknownNameError

Sample = Mapping[str, Any]

_PART = r"\w+(?:\[[^]]*\])?"  # train, train[:90%]
_PLACE_AND_SPLIT = rf"(.*?)(?::({_PART}(?:\+{_PART})*))?"

SPLITS = ("train", "validation", "all")
"""Splits of `photos`, `procedural` and `folder:`; TFDS data sets have their own too."""


class Source(Protocol):
    """A sequence of samples, read when indexed."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


def open_source(
    spec: str, split: str | None = None, *, val_fraction: float = 0.05
) -> Source:
    """The source that a data SPEC names.

    Args:
      spec: see the module. A split in it is used for training whatever its name.
      split: `train` or `validation`. None is what an evaluation wants: the split in
        the spec, else every file of a folder, else the validation split.
      val_fraction: share of the files of `folder:` held out for validation.

    Raises:
      ValueError: unknown kind or split, nothing there, data set not prepared.
    """
    kind, _, rest = spec.partition(":")
    if kind not in _OPENERS:
        raise UnknownNameError("data source", kind, _OPENERS)
    place, named = _split_of(kind, rest)
    if split == "validation" and named not in (None, "validation"):
        raise ValueError(
            f"the data {spec!r} names the split {named!r} itself, so which images to "
            "validate on is open: name them too (config.evaluation.source)."
        )
    if kind in ("folder", "tfds", "tfds_dir") and not place:
        raise ValueError(f"the data {spec!r} lacks what to read: {kind}:WHAT[:SPLIT].")
    source = _OPENERS[kind](place, named or split, val_fraction)
    if not len(source):
        raise ValueError(f"the data {spec!r} (split {named or split}) is empty.")
    return source


def _split_of(kind: str, rest: str) -> tuple[str, str | None]:
    """`PLACE:SPLIT` in two; a colon inside a path stays in the path."""
    if kind in ("photos", "procedural"):
        return "", rest or None
    place, split = re.fullmatch(_PLACE_AND_SPLIT, rest).groups()
    if kind == "folder" and split not in SPLITS:
        return rest, None
    return place, split


def _check_split(split: str | None, default: str) -> str:
    split = split or default
    if split not in SPLITS:
        raise UnknownNameError("split", split, dict.fromkeys(SPLITS))
    return split


@dataclasses.dataclass(frozen=True)
class FolderSource:
    """The image files below `root`, in the order of their names."""

    root: str
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        return {"image": decode.read(pathlib.Path(self.root, name)), "name": name}


def list_images(root: str | pathlib.Path) -> tuple[str, ...]:
    """Paths, relative to `root`, of all image files below it, sorted.

    Hidden files and folders are passed over.

    Raises:
      ValueError: if `root` is no folder, or holds no image file.
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {str(root)!r}.")
    names = sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.suffix.lower() in decode.SUFFIXES and path.is_file()
    )
    names = [n for n in names if not any(p.startswith(".") for p in n.split("/"))]
    if not names:
        kinds = " ".join(sorted(decode.SUFFIXES))
        raise ValueError(f"no image in the folder {str(root)!r} (looked for {kinds}).")
    return tuple(names)


def split_by_name(names: Sequence[str], val_fraction: float) -> dict[str, list[str]]:
    """Names by split, `train` and `validation`.

    Which split a name belongs to follows from the name alone, so that adding files
    moves none across; but of two names or more each split gets at least one.

    Raises:
      ValueError: if `val_fraction` is not in [0, 1).
    """
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction must lie in [0, 1), got {val_fraction}.")
    validation = [n for n in names if _draw(n) < val_fraction]
    if val_fraction and len(validation) in (0, len(names)):  # a handful of files
        validation = sorted(names, key=_draw)[: len(names) > 1]
    train = set(names) - set(validation)
    return {"train": [n for n in names if n in train], "validation": validation}


def _draw(name: str) -> float:
    """A number in [0, 1) that a name stands for."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48


def _open_folder(place: str, split: str | None, val_fraction: float) -> FolderSource:
    split = _check_split(split, "all")
    names = list_images(place)
    if split != "all":
        names = tuple(split_by_name(names, val_fraction)[split])
    if not names:
        raise ValueError(
            f"no image of the folder {place!r} is held out for the split {split!r}: it"
            f" needs two images and val_fraction > 0. To read all: folder:{place}:all."
        )
    return FolderSource(place, names)


def _open_photos(place: str, split: str | None, val_fraction: float) -> "PhotoSource":
    del place, val_fraction
    split = _check_split(split, "validation")
    names = [
        n for s in ("train", "validation") if split in (s, "all") for n in PHOTOS[s]
    ]
    return PhotoSource(tuple(_windows(names)))


PHOTOS = {
    "train": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "ihc.png",
        "motorcycle_left.png",
        "rocket.jpg",
    ),
    "validation": ("chelsea.png", "coffee.png"),
}
"""Photographs inside the scikit-image wheel: no photograph is in both splits."""

_CROP, _STRIDE = 256, 96  # pixels; neighbouring crops overlap


@dataclasses.dataclass(frozen=True)
class PhotoSource:
    """Square crops, 256 pixels wide, of the photographs that scikit-image ships."""

    windows: tuple[tuple[str, int, int], ...]  # file, top, left

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        file, top, left = self.windows[index]
        image = _photo(file)[top : top + _CROP, left : left + _CROP]
        return {"image": image, "name": f"{file.partition('.')[0]}_{top}_{left}"}


_PHOTO_CACHE: dict[str, np.ndarray] = {}  # 7 MB when all are in use


def _photo(file: str) -> np.ndarray:
    if file not in _PHOTO_CACHE:
        _PHOTO_CACHE[file] = decode.read(_photo_folder() / file)
    return _PHOTO_CACHE[file]


def _photo_folder() -> pathlib.Path:
    """Where scikit-image keeps its pictures, found without importing it."""
    return pathlib.Path(importlib.util.find_spec("skimage").origin).parent / "data"


def _windows(files: list[str]) -> Iterator[tuple[str, int, int]]:
    """Crops at a fixed stride, the last row and column flush with the border."""
    for file in files:
        height, width = _photo(file).shape[:2]
        for top in sorted({*range(0, height - _CROP, _STRIDE), height - _CROP}):
            for left in sorted({*range(0, width - _CROP, _STRIDE), width - _CROP}):
                yield file, top, left


def _open_procedural(place: str, split: str | None, val_fraction: float) -> Source:
    del place, val_fraction
    counts = {"train": (0, 10_000), "validation": (10_000, 500), "all": (0, 10_500)}
    first, count = counts[_check_split(split, "validation")]
    return procedural.ProceduralSource(first, count)


_OPENERS: dict[str, Callable[[str, str | None, float], Source]] = {
    "photos": _open_photos,
    "procedural": _open_procedural,
    "folder": _open_folder,
    "tfds": lambda place, split, _: tfds_sources.open_named(place, split),
    "tfds_dir": lambda place, split, _: tfds_sources.open_directory(place, split),
}
