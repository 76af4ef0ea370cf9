"""TFDS data sets as sources, read without TensorFlow.

`tfds:` goes through `tfds.builder(...).as_data_source`, which needs the data set
prepared in the ArrayRecord format; `tfds_dir:` reads what `python -m launch.prepare`
wrote. TFDS is imported when a data set is opened.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inpainting_jax.data import decode


@dataclasses.dataclass(frozen=True)
class Preset:
    """How to read a TFDS data set.

    Attributes:
      image: the feature that holds the image.
      name: the feature that names it, "" for none.
      train: the split to train on.
      validation: the split to validate on, disjoint from `train`.
    """

    image: str = "image"
    name: str = ""
    train: str = "train"
    validation: str = "validation"


PRESETS = {
    "imagenet2012": Preset(name="file_name"),
    "placesfull": Preset(
        name="filename", train="train[:99%]", validation="train[99%:]"
    ),
    "places365_small": Preset(name="filename"),
    "celeb_a": Preset(),
    "celeb_a_hq": Preset(
        name="image/filename", train="train[:28000]", validation="train[28000:]"
    ),
}
"""Data sets with known features and splits; others are read by their metadata."""


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """A split of a TFDS data set; see `sources` for the samples."""

    records: Sequence[Mapping[str, Any]]
    label: str  # what to call the data set in names and errors
    preset: Preset

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        where = f"{self.label}#{index}"
        try:
            record = self.records[index]
        except IndexError:
            raise
        except Exception as error:  # damage surfaces as any kind of error in TFDS
            raise decode.BadImageError(where, error) from error
        name = record.get(self.preset.name, where)
        name = name.decode() if isinstance(name, bytes) else str(name)
        sample = {"image": _rgb(record[self.preset.image], where), "name": name}
        if "label_map" in record:
            sample["label_map"] = np.asarray(record["label_map"])[..., 0]
        return sample


def _rgb(image: bytes | np.ndarray, where: str) -> np.ndarray:
    if isinstance(image, bytes):
        return decode.decode(image, where)
    if image.dtype != np.uint8:
        raise decode.BadImageError(where, f"{image.dtype} pixels")
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image[..., :3]


def open_named(place: str, split: str | None) -> TfdsSource:
    """Opens `NAME[/CONFIG]`; `split` None or "validation" is that of the preset."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(place)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise ValueError(f"TFDS has no data set {place!r}: {error}") from error
    preset = PRESETS.get(builder.name) or _guess(builder)
    wanted = {"train": preset.train, "validation": preset.validation}
    split = wanted.get(split or "validation", split)
    try:
        records = builder.as_data_source(split)
    except (
        FileNotFoundError,
        NotImplementedError,
        AssertionError,
        AttributeError,
    ) as e:
        raise ValueError(_not_prepared(place, builder)) from e
    return TfdsSource(records, f"{place}:{split}", preset)


def open_directory(place: str, split: str | None) -> TfdsSource:
    """Opens the folder of a data set that `python -m launch.prepare` wrote."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(place)
    split = split or "validation"
    skip = {"image": tfds.decode.SkipDecoding()}
    return TfdsSource(
        builder.as_data_source(split, decoders=skip), f"{place}:{split}", Preset()
    )


def _guess(builder) -> Preset:
    return Preset()


def _not_prepared(place: str, builder) -> str:
    return f"the TFDS data set {place!r} is not prepared in {builder.data_dir}."
