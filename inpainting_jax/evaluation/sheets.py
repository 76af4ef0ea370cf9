"""Pictures of an evaluation: samples of every method, and the sheet that shows them."""

import pathlib
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from inpainting_jax import image_files
from inpainting_jax.evaluation.sets import EvaluationSet
from inpainting_jax.evaluation.shelf import Shelf

ROWS = 8
"""Images on a sheet."""

_HOLE = 128  # grey of holes in the masked picture
_CELL = (128, 256)  # smallest and largest side of a picture on the sheet, pixels
_GAP = 4
_LABEL = 18


def sample_indices(count: int) -> np.ndarray:
    """Which of N images are kept as samples: at most `ROWS`, spread evenly."""
    return np.arange(min(ROWS, count)) * count // min(ROWS, count)


def write_samples(output: pathlib.Path, name: str, completed: Shelf) -> None:
    """Keeps the samples of a method as PNG files in OUTPUT/samples/NAME."""
    indices = sample_indices(len(completed))
    names = [f"{index:05d}" for index in indices]
    _write(output / "samples" / name, names, completed.images(indices))


def write_images(
    folder: pathlib.Path,
    indices: Sequence[int],
    names: Sequence[str],
    images: np.ndarray,
) -> None:
    """Writes images [>= K, H, W, 3] as PNG files named by number and image."""
    files = [
        f"{index:05d}_{re.sub(r'[^A-Za-z0-9_.-]+', '_', pathlib.PurePath(name).stem)}"
        for index, name in zip(indices, names, strict=True)
    ]
    _write(folder, files, images)


def _write(folder: pathlib.Path, names: Sequence[str], images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=False):
        picture = image_files.ImageFile(image, "png")
        image_files.write_image(folder / f"{name}.png", picture)


def has_samples(output: pathlib.Path, name: str) -> bool:
    """Whether a method's samples are there."""
    return any((output / "samples" / name).glob("*.png"))


def write_sheet(
    output: pathlib.Path, evaluation_set: EvaluationSet, methods: Sequence[str]
) -> None:
    """Writes samples.png: one row per image; masked, each method, original."""
    indices = sample_indices(len(evaluation_set))
    truth, holes = evaluation_set.images(indices), evaluation_set.holes(indices)
    heads = {"masked": masked(truth, holes)}
    for name in methods:
        files = [output / "samples" / name / f"{index:05d}.png" for index in indices]
        heads[name] = np.stack([image_files.read_image(file).pixels for file in files])
    heads["original"] = truth
    sheet = draw_sheet(heads)
    image_files.write_image(output / "samples.png", image_files.ImageFile(sheet, "png"))


def masked(truth: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """[K, H, W, 3] uint8 images with grey holes."""
    return np.where(holes[..., None] > 0, _HOLE, truth).astype(np.uint8)


def draw_sheet(
    heads: dict[str, np.ndarray], labels: Sequence[str] | None = None
) -> np.ndarray:
    """[H, W, 3] uint8: a labelled column per entry of [K, h, w, 3] pictures.

    `labels` are written above the K rows.
    """
    count, height, width = next(iter(heads.values())).shape[:3]
    scale = max(1, -(-_CELL[0] // max(height, width)))
    shrink = max(1.0, max(height, width) / _CELL[1])
    high, wide = round(height * scale / shrink), round(width * scale / shrink)
    line = _LABEL if labels else 0
    tall = _LABEL + count * (high + _GAP + line) + _GAP
    size = (len(heads) * (wide + _GAP) + _GAP, tall)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    for column, (name, pictures) in enumerate(heads.items()):
        left = _GAP + column * (wide + _GAP)
        draw.text((left + wide // 2, _LABEL // 2), name, "black", font, anchor="mm")
        for row, picture in enumerate(pictures):
            cell = Image.fromarray(picture).resize((wide, high), how)
            top = _LABEL + _GAP + row * (high + _GAP + line) + line
            sheet.paste(cell, (left, top))
    for row, label in enumerate(labels or ()):
        top = _LABEL + _GAP + row * (high + _GAP + line)
        draw.text((2 * _GAP, top + line // 2), label, "black", font, anchor="lm")
    return np.asarray(sheet)
