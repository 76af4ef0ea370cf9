"""TFDS data sets as sources, read without TensorFlow.

`tfds:` goes through `tfds.builder(...).as_data_source`, which needs the data set
prepared in the ArrayRecord format (TFDS's own default is another); `tfds_dir:` reads
what `python -m launch.prepare` wrote. TFDS is imported when a data set is opened.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inpainting_jax.data import decode


@dataclasses.dataclass(frozen=True)
class Preset:
    """How to read a TFDS data set.

    Attributes:
      image: the feature that holds the image.
      name: the feature that names it; "" numbers the images instead.
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
"""Data sets whose features and splits are known; `guess_preset` reads the others."""

_NAMES = ("file_name", "filename", "image/filename", "image/file_name", "name")


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """A split of a TFDS data set; see `sources` for the samples."""

    records: Sequence[Mapping[str, Any]]
    label: str  # what to call the data set in names and errors
    preset: Preset

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)} in {self.label}")
        where = f"record {index} of {self.label}"
        try:
            record = self.records[index]
        except (ImportError, MemoryError):  # not the record's fault
            raise
        except Exception as error:  # damage surfaces as any kind of error in TFDS
            raise decode.bad_image(f"{where} cannot be read: {error}") from error
        name = record.get(self.preset.name, f"{self.label}/{index:08d}")
        name = name.decode() if isinstance(name, bytes) else str(name)
        image = _rgb(record[self.preset.image], f"{where} ({name})")
        sample = {"image": image, "name": name}
        if "label_map" in record:
            sample["label_map"] = np.asarray(record["label_map"])[..., 0]
        return sample


def _rgb(image: bytes | np.ndarray, where: str) -> np.ndarray:
    if isinstance(image, bytes):
        return decode.decode(image, where)
    return decode.to_rgb(image)


def open_named(place: str, split: str | None) -> TfdsSource:
    """Opens `NAME[/CONFIG]`; `split` None or "validation" is that of the preset.

    Raises:
      ValueError: no such data set or split, or it is not there as ArrayRecord.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(place)
    except ValueError as error:  # a list of all thousand data sets follows
        reason = str(error).partition("\n")[0]
        raise ValueError(f"TFDS has no data set {place!r}: {reason}") from error
    preset = PRESETS.get(builder.name) or guess_preset(
        builder.info.features, builder.info.splits
    )
    wanted = {"train": preset.train, "validation": preset.validation}
    split = wanted.get(split or "validation", split)
    try:
        records = builder.as_data_source(split)
    except NotImplementedError as error:  # absent, or there in another format
        raise ValueError(_how_to_prepare(place, builder)) from error
    except (ValueError, KeyError) as error:
        raise _bad_split(place, split, builder, error) from error
    return TfdsSource(records, f"{place}:{split}", preset)


def open_directory(place: str, split: str | None) -> TfdsSource:
    """Opens the folder of a data set that `python -m launch.prepare` wrote.

    Raises:
      ValueError: the folder holds no data set, or not this split.
    """
    import tensorflow_datasets as tfds

    if not (pathlib.Path(place) / "dataset_info.json").is_file():
        raise ValueError(
            f"{place!r} is not the folder of a prepared data set: it holds no"
            " dataset_info.json. Write one with `python -m launch.prepare"
            f" --images=DIR --output={place}`, or read image files with folder:{place}."
        )
    builder = tfds.builder_from_directory(place)
    preset = guess_preset(builder.info.features, builder.info.splits)
    wanted = {"train": preset.train, "validation": preset.validation}
    split = wanted.get(split or "validation", split)
    # the bytes as stored, which our own reader decodes as it does files
    encoded = {preset.image: tfds.decode.SkipDecoding()}
    try:
        records = builder.as_data_source(split, decoders=encoded)
    except NotImplementedError as error:
        raise ValueError(_how_to_prepare(builder.name, builder)) from error
    except (ValueError, KeyError) as error:
        raise _bad_split(place, split, builder, error) from error
    return TfdsSource(records, f"{pathlib.Path(place).name}:{split}", preset)


def guess_preset(features: Mapping[str, Any], splits: Mapping[str, Any]) -> Preset:
    """A preset from a data set's metadata.

    The image is the feature `image`, else the only image feature there is; without a
    split for validation the last 5 % of `train` are held out.

    Raises:
      ValueError: if no feature, or several, could be the image.
    """
    import tensorflow_datasets as tfds

    found = [k for k, v in features.items() if type(v) is tfds.features.Image]
    if "image" in found:
        found = ["image"]
    if len(found) != 1:
        raise ValueError(
            f"which feature is the image? Found {found or 'no image'} among"
            f" {list(features)}. Write the images to a folder and use folder:PATH."
        )
    name = next((n for n in _NAMES if n in features), "")
    held_out = next((s for s in ("validation", "val", "test") if s in splits), None)
    if held_out:
        return Preset(found[0], name, "train", held_out)
    return Preset(found[0], name, "train[:95%]", "train[95%:]")


def _how_to_prepare(place: str, builder) -> str:
    folder = builder.data_path
    if (folder / "dataset_info.json").exists():
        return (
            f"the TFDS data set {place!r} in {folder} is stored as"
            f" {builder.info.file_format.value}, which only TensorFlow reads. Convert"
            " it once (needs TensorFlow): python -m"
            " tensorflow_datasets.scripts.convert_format"
            f" --dataset_version_dir={folder} --out_file_format=array_record"
            " --out_dir=NEW/SAME/SUBFOLDERS, then TFDS_DATA_DIR=NEW."
        )
    return (
        f"the TFDS data set {place!r} is not prepared: there is nothing in {folder}."
        " Prepare it once, in the array_record format (some data sets need TensorFlow"
        ' or files fetched by hand for it): python -c "import tensorflow_datasets as'
        f" tfds; tfds.builder('{place}', file_format='array_record')"
        '.download_and_prepare()"; or set TFDS_DATA_DIR to the folder that has it.'
    )


def _bad_split(place: str, split: str, builder, error: Exception) -> ValueError:
    known = ", ".join(builder.info.splits)
    reason = str(error).partition("\n")[0]
    return ValueError(
        f"cannot read the split {split!r} of the data set {place!r}; known: {known},"
        f" and parts of them as train[:90%]. ({reason})"
    )
