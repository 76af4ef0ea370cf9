"""Completes the images of a folder: resumable, one bad file does not stop it.

Outputs are written whole or not at all, so a file that exists is done. `report.csv`
beside them tells what became of each image.
"""

import ast
import collections
import dataclasses
import os
import pathlib
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from inpainting_jax import image_files
from inpainting_jax.evaluation.folder_report import Row, read_report, write_report
from inpainting_jax.evaluation.inpainter import Inpainter
from inpainting_jax.evaluation.pairing import Task, WrongUseError, pair
from inpainting_jax.evaluation.predict import load
from inpainting_jax.label_maps import read_label_map, write_label_map

REPORT = "report.csv"
_SAVE_EVERY = 5.0  # seconds between two versions of the report


@dataclasses.dataclass(frozen=True)
class Settings:
    """How every image of a folder is completed; see `Inpainter.__call__`.

    Attributes:
      strategy: windows.
      blend: at the rim of the hole.
      dilate: pixels.
      seed: the same for every image, so that a file's result depends on no other.
      size: working side.
      mask_convention: of the mask files.
      resize_mask: whether a mask of another size is scaled to its image.
      black_lines: whether guides are drawn in black on white.
      labels: folder for the completed label maps, of methods that make them.
    """

    strategy: str = "auto"
    blend: str = "none"
    dilate: int = 0
    seed: int = 0
    size: int | None = None
    mask_convention: str = "white_hole"
    resize_mask: bool = False
    black_lines: bool = False
    labels: str | None = None


def inpaint_files(
    method: str,
    *,
    images: str | os.PathLike,
    masks: str | os.PathLike,
    outputs: str | os.PathLike,
    weights: str | None = None,
    guides: str | os.PathLike | None = None,
    format: str | None = None,
    suffix: str = "",
    overwrite: bool = False,
    option: Sequence[str] = (),
    shard: str = "0/1",
    devices: int = 1,
    tell: Callable[[str], None] = lambda message: None,
    **settings: Any,
) -> list[Row]:
    """Completes a file or a folder of files; see `pairing.pair` and `complete_all`.

    Args:
      method: a name of `predict.list_methods()`.
      images: file or folder.
      masks: file or folder.
      outputs: file or folder; `report.csv` goes into the folder.
      weights: see `predict.load`.
      guides: file or folder, for methods that take a guide (lines or label maps).
      format: of the outputs.
      suffix: added to the names of the outputs.
      overwrite: whether outputs that exist are made anew.
      option: build arguments of the method, each as "name=value".
      shard: "i/n", see `pair`; each has a report of its own, `report-i-of-n.csv`.
      devices: see `predict.load`.
      tell: takes a line for the user, as the work goes on.
      **settings: fields of `Settings`.

    Raises:
      ValueError: wrong use, found before any image is touched.
      FileNotFoundError: no such weights.
    """
    how = Settings(**settings)
    overrides = dict(_parse_option(text) for text in option)
    fill = load(method, weights, devices=devices, **overrides)
    if guides and not fill.method.guide_channels:
        raise WrongUseError(f"{method} takes no guide; leave --guides out")
    if how.labels and fill.method.guide_kind != "labels":
        raise WrongUseError(f"{method} makes no label maps; leave --labels out")
    tasks = pair(
        images,
        masks,
        outputs,
        guides=guides,
        format=format,
        suffix=suffix,
        in_alpha=how.mask_convention == "alpha",
        shard=shard,
    )
    single = len(tasks) == 1 and tasks[0].output == pathlib.Path(outputs)
    folder = tasks[0].output.parent if single else pathlib.Path(outputs)
    report = REPORT if shard == "0/1" else f"report-{shard.replace('/', '-of-')}.csv"
    label = " ".join([method, *([f"weights={weights}"] if weights else []), *option])
    return complete_all(
        fill,
        tasks,
        settings=how,
        label=label,
        overwrite=overwrite,
        report=folder / report,
        tell=tell,
    )


def _parse_option(option: str) -> tuple[str, Any]:
    """`radius=5` as ("radius", 5); what is no Python literal stays text."""
    name, equals, value = option.partition("=")
    if not equals:
        raise WrongUseError(f"--option={option} is not of the form NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def complete_all(
    fill: Inpainter,
    tasks: Sequence[Task],
    *,
    settings: Settings,
    label: str = "",
    overwrite: bool = False,
    report: pathlib.Path,
    tell: Callable[[str], None] = lambda message: None,
) -> list[Row]:
    """Completes every task and keeps the report up to date.

    Args:
      fill, tasks, settings: completes one image; `pairing.pair`'s; the same for all.
      label: method and weights, for the report.
      overwrite: whether outputs that exist are made anew.
      report: the CSV file; rows of other images in it are kept.
      tell: takes a line for the user, as the work goes on.

    Returns:
      One row per task; "failed" says why in its message.
    """
    rows = read_report(report)
    described = _describe(label, settings)
    report.parent.mkdir(parents=True, exist_ok=True)
    lossy = [task.name for task in tasks if task.format == "jpeg"]
    if lossy:
        tell("JPEG is lossy: known pixels change a little; --format=png keeps them")
    elif any(_was_jpeg(task) for task in tasks):
        tell(
            "JPEG images are written as PNG, to keep known pixels (--format=jpeg: not)"
        )
    saved = time.monotonic()
    try:
        for number, task in enumerate(_by_size(tasks), 1):
            before = rows.get(task.name)
            if task.output.exists() and not overwrite:
                rows[task.name] = row = _skipped(task, before, described)
            else:
                row = Row(task.name, settings=described)
                rows[task.name] = _complete(fill, task, settings, row)
            note = f": {row.message}" if row.message else ""
            tell(f"[{number}/{len(tasks)}] {row.status} {task.name}{note}")
            if time.monotonic() - saved > _SAVE_EVERY:
                write_report(report, rows)
                saved = time.monotonic()
    finally:
        write_report(report, rows)
    ended = [rows[task.name] for task in tasks]
    counts = collections.Counter(row.status for row in ended)
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    tell(f"{summary}; see {report}")
    return ended


def _complete(fill: Inpainter, task: Task, settings: Settings, row: Row) -> Row:
    """Completes one image; whatever goes wrong ends in the row."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _complete_file(fill, task, settings, row)
            row.status = "done"
        except (ValueError, OSError) as error:
            row.status, row.message = "failed", str(error)
        except Exception as error:  # one image must not end the work on the others
            row.status, row.message = "failed", _explain(error)
    row.seconds = f"{time.perf_counter() - start:.2f}"
    notes = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    row.message = "; ".join([row.message] * bool(row.message) + notes)
    return row


def _complete_file(fill: Inpainter, task: Task, settings: Settings, row: Row) -> None:
    if task.mask is None:
        raise ValueError(f"no mask for {task.name}; name it {task.image.stem}.png")
    source = image_files.read_image(task.image)
    row.height, row.width = source.pixels.shape[:2]
    mask = image_files.read_mask(task.mask, settings.mask_convention)
    mask = _fitted(mask, source.pixels.shape[:2], task, settings.resize_mask)
    row.mask, row.output = str(task.mask), str(task.output)
    row.hole_ratio = f"{mask.mean():.4f}"
    guide = None
    if task.guide is not None and fill.method.guide_kind == "labels":
        guide = read_label_map(task.guide)
    elif task.guide is not None:
        convention = "black_hole" if settings.black_lines else "white_hole"
        guide = image_files.read_mask(task.guide, convention)
    completed = fill(
        source.pixels,
        mask,
        guide,
        settings.seed,
        settings.strategy,
        settings.blend,
        dilate=settings.dilate,
        size=settings.size,
    )
    row.strategy = fill.last_strategies[0]
    if task.mask.samefile(task.image) and completed.shape[-1] in (2, 4):
        # Its transparency was the mask: what has been filled is to be seen.
        opaque = np.iinfo(completed.dtype).max if completed.dtype.kind == "u" else 1
        completed[..., -1][mask[..., 0] > 0] = opaque
    task.output.parent.mkdir(parents=True, exist_ok=True)
    result = dataclasses.replace(source, pixels=completed)
    image_files.write_image(task.output, result, format=task.format)
    for label_map in fill.last_labels if settings.labels else ():
        path = (pathlib.Path(settings.labels) / task.name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_map(path, label_map)


def _fitted(mask: np.ndarray, size, task: Task, allowed: bool) -> np.ndarray:
    """The mask [H, W, 1] at its image's size."""
    if mask.shape[:2] == size:
        return mask
    if not allowed:
        found, wanted = ("x".join(map(str, s)) for s in (mask.shape[:2], size))
        raise ValueError(
            f"the image is {wanted} (height x width) but the mask {task.mask.name} is"
            f" {found}; use the mask drawn for this image, or --resize_mask to scale it"
        )
    resized = cv2.resize(mask[..., 0], size[::-1], interpolation=cv2.INTER_NEAREST)
    return resized[..., None]


def _explain(error: Exception) -> str:
    text = str(error).strip().splitlines()
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "out of memory; try --strategy=crop, --strategy=tile or a smaller --size"
    return f"{type(error).__name__}: {text[0] if text else ''}"


def _skipped(task: Task, before: Row | None, described: str) -> Row:
    row = before or Row(task.name, output=str(task.output))
    row.status = "skipped"
    same = row.settings in ("", described)
    row.message = "" if same else f"was made with {row.settings}; see --overwrite"
    return row


def _describe(label: str, settings: Settings) -> str:
    """Method, weights and every option that differs from its default, as one text."""
    default = dataclasses.asdict(Settings())
    changed = {
        name: value
        for name, value in dataclasses.asdict(settings).items()
        if value != default[name]
    }
    return " ".join([label, *(f"{name}={value}" for name, value in changed.items())])


def _by_size(tasks: Sequence[Task]) -> list[Task]:
    """Images of one size after another: each padded shape is compiled once."""
    sizes = {task.name: image_files.read_size(task.image) or (0, 0) for task in tasks}
    return sorted(tasks, key=lambda task: (sizes[task.name], task.name))


def _was_jpeg(task: Task) -> bool:
    kind = image_files.SUFFIXES.get(task.image.suffix.lower())
    return kind == "jpeg" and task.format != "jpeg"
