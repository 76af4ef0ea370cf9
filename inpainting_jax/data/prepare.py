"""A folder of images -> a TFDS data set in the ArrayRecord format, without TensorFlow.

Every file is looked at (`inspection`), then the good ones are written as sharded
records that training reads in any order. 8-bit RGB JPEG and PNG files keep their bytes;
others are stored as 8-bit RGB PNG. The output folder appears complete or not at all.
"""

import contextlib
import dataclasses
import io
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from inpainting_jax.data import decode, inspection, sources
from inpainting_jax.data.label_groups import group_labels, read_groups
from inpainting_jax.label_maps import LABEL_SUFFIXES, read_label_map


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What `prepare_dataset` wrote: its folder, images per split, findings per file."""

    output: pathlib.Path
    splits: Mapping[str, int]
    findings: Sequence[inspection.Finding]

    def __str__(self) -> str:
        splits = ", ".join(f"{k} {n}" for k, n in self.splits.items())
        return (
            f"{inspection.summarise(self.findings)}\n"
            f"splits    {splits}\n"
            f"written   {self.output} (report.csv, samples.png)\n"
            f"train on  --config.data.source=tfds_dir:{self.output}"
        )


def prepare_dataset(
    images: str | os.PathLike,
    output: str | os.PathLike,
    *,
    labels: str | os.PathLike | None = None,
    label_groups: str | os.PathLike | None = None,
    val_fraction: float = 0.05,
    min_size: int = 32,
    name: str = "images",
    num_shards: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
    beam: Sequence[str] | None = None,
) -> Prepared:
    """Writes the images below a folder as a data set for `tfds_dir:OUTPUT`.

    Args:
      images: folder, read recursively.
      output: folder to make; besides the records it holds `report.csv` (a line for each
        file left out or odd), `report.txt` and `samples.png`.
      labels: folder with a label map for each image, under the same name but for the
        suffix: one channel of class numbers 0 to 255, of the image's size.
      label_groups: table that puts the classes into fewer, see `label_groups`:
        "cityscapes" or a JSON file; None keeps their numbers.
      val_fraction: share of the images in the split `validation`, chosen by name.
      min_size: images with a shorter side are left out, pixels.
      name: of the data set, for TFDS: lower case letters, digits and underscores.
      num_shards: files per split; None lets TFDS choose by size.
      overwrite: replace an earlier data set in `output`.
      progress: show progress bars.
      beam: options of an Apache Beam pipeline that writes the records (extra `[beam]`),
        such as "--direct_num_workers=4"; None: written by this process.

    Raises:
      ValueError: folder missing or without images, no image left, output there
        already, label maps missing or not fitting.
      ImportError: `beam` without Apache Beam.
    """
    images, output = pathlib.Path(images), pathlib.Path(output)
    if beam is not None:
        _apache_beam()  # before the files are looked at
    _check_options(val_fraction, min_size, name, num_shards)
    _check_output(output, overwrite)
    groups = read_groups(label_groups) if label_groups else None
    findings = inspection.inspect_folder(
        images, sources.list_images(images), min_size=min_size, progress=progress
    )
    kept = {f.name: f for f in findings if f.kept}
    if not kept:
        first = "; ".join(f"{f.name}: {', '.join(f.problems)}" for f in findings[:5])
        raise ValueError(f"no image of {images} can be used ({first}).")
    label_files = _match_labels(images, labels, kept.values()) if labels else {}
    splits = sources.split_by_name(list(kept), val_fraction)
    splits = {split: names for split, names in splits.items() if names}
    if (num_shards or 1) > min(map(len, splits.values())):
        raise ValueError(f"num_shards={num_shards} is more than the images of a split.")

    def example(file: str) -> dict[str, Any]:
        record = {"image": _stored_bytes(images, kept[file]), "name": file}
        if labels:
            labelled = read_label_map(label_files[file])
            labelled = group_labels(labelled, groups) if groups else labelled
            record["label_map"] = _png(labelled)
        return record

    prepared = Prepared(output, {k: len(v) for k, v in splits.items()}, findings)
    with _complete_or_absent(output) as partial:
        features = _features(with_labels=bool(labels))
        builder = _builder(partial, name, features, splits, example, beam)
        folder = _write_records(builder, num_shards, progress, beam)
        (folder / "report.txt").write_text(f"{prepared}\n")
        inspection.write_csv(folder / "report.csv", findings)
        inspection.write_sheet(folder / "samples.png", images, list(kept))
        if output.exists():
            shutil.rmtree(output)
        os.replace(folder, output)
    return prepared


def _match_labels(
    images: pathlib.Path,
    labels: str | os.PathLike,
    kept: Iterable[inspection.Finding],
) -> dict[str, pathlib.Path]:
    """`{image name: label map file}`; `ValueError` lists those that do not fit."""
    labels = pathlib.Path(labels)
    if not labels.is_dir():
        raise ValueError(f"there is no folder {str(labels)!r}.")
    files = {
        path.relative_to(labels).with_suffix("").as_posix(): path
        for path in sorted(labels.rglob("*"))
        if path.suffix.lower() in LABEL_SUFFIXES
    }
    matched, wrong = {}, []
    for finding in kept:
        path = files.get(pathlib.PurePath(finding.name).with_suffix("").as_posix())
        if path is None:
            wrong.append(f"{finding.name} has none")
            continue
        try:
            size = read_label_map(path).shape
        except ValueError as error:
            wrong.append(str(error))
            continue
        if size != (finding.height, finding.width):
            ours = f"{finding.height}x{finding.width}"
            wrong.append(f"{finding.name} is {ours}, its map {size[0]}x{size[1]}")
        matched[finding.name] = path
    if wrong:
        raise ValueError(
            f"{len(wrong)} images of {images} lack a fitting label map"
            f" in {labels} (same name, one of {' '.join(sorted(LABEL_SUFFIXES))}, same"
            f" size): {'; '.join(wrong[:5])}{'; ...' if len(wrong) > 5 else ''}"
        )
    return matched


@contextlib.contextmanager
def _complete_or_absent(output: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside `output` to work in, removed in the end."""
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _features(*, with_labels: bool) -> dict[str, Any]:
    import tensorflow_datasets as tfds

    features = {
        "image": tfds.features.Image(doc="8-bit RGB, JPEG or PNG"),
        "name": tfds.features.Text(doc="path of the file it came from"),
    }
    if with_labels:
        features["label_map"] = tfds.features.Image(
            shape=(None, None, 1), encoding_format="png", doc="class numbers"
        )
    return features


def _builder(
    folder: pathlib.Path,
    name: str,
    features: Mapping[str, Any],
    splits: Mapping[str, Sequence[str]],
    example: Callable[[str], Mapping[str, Any]],
    beam: Sequence[str] | None,
):
    """A TFDS builder of the named examples, that writes below `folder`."""
    import tensorflow_datasets as tfds

    class FolderBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                description="Images prepared by inpainting_jax.",
                features=tfds.features.FeaturesDict(features),
            )

        def _split_generators(self, dl_manager):
            del dl_manager
            return {k: self._generate_examples(v) for k, v in splits.items()}

        def _generate_examples(self, names):
            if beam is not None:
                return _beam_examples(names, example)
            return self._examples(names)

        @staticmethod
        def _examples(names):
            for file in names:
                yield file, example(file)

    FolderBuilder.name = name
    return FolderBuilder(data_dir=folder, file_format="array_record")


def _beam_examples(names: Sequence[str], example: Callable[[str], Mapping[str, Any]]):
    """The transform that makes the named examples, on whatever machine it runs."""
    beam = _apache_beam()
    return beam.Create(list(names)) | beam.Map(lambda name: (name, example(name)))


def _apache_beam():
    """The module `apache_beam`; an `ImportError` that says how to get it."""
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError("--beam needs: pip install -e '.[beam]'") from error
    return apache_beam


def _write_records(
    builder, num_shards: int | None, progress: bool, beam: Sequence[str] | None
) -> pathlib.Path:
    """Writes a builder's records; returns the folder that holds them."""
    import tensorflow_datasets as tfds

    if not progress:
        tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(num_shards=num_shards)
    if beam is not None:
        options = _apache_beam().options.pipeline_options.PipelineOptions(list(beam))
        config = config.replace(beam_options=options)
    with contextlib.redirect_stdout(io.StringIO()):  # it speaks of downloading
        builder.download_and_prepare(download_config=config)
    return pathlib.Path(builder.data_path)


def _stored_bytes(images: pathlib.Path, finding: inspection.Finding) -> io.BytesIO:
    """The file's own bytes if it is plain, else what training sees of it, as PNG."""
    path = images / finding.name
    if finding.plain:
        return io.BytesIO(path.read_bytes())
    return _png(decode.read(path))


def _png(array: np.ndarray) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    buffer.seek(0)
    return buffer


def _check_options(
    val_fraction: float, min_size: int, name: str, num_shards: int | None
) -> None:
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction must lie in [0, 1), got {val_fraction}.")
    if min_size < 1:
        raise ValueError(f"min_size must be at least 1, got {min_size}.")
    if num_shards is not None and num_shards < 1:
        raise ValueError(f"num_shards must be at least 1, got {num_shards}.")
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"the name {name!r} must be lower case letters, digits and underscores."
        )


def _check_output(output: pathlib.Path, overwrite: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / "dataset_info.json").is_file():  # never delete what is not ours
        raise ValueError(f"{output} exists and is no data set: choose another output.")
    if not overwrite:
        raise ValueError(
            f"{output} exists already: choose another output, or --overwrite it."
        )
