"""The worst, the middling and the best completions of a method, as one picture.

Means hide what fails.
"""

import pathlib
from collections.abc import Mapping

import numpy as np

from inpainting_jax.evaluation import sheets
from inpainting_jax.evaluation.sets import EvaluationSet
from inpainting_jax.evaluation.shelf import Shelf
from inpainting_jax.image_files import ImageFile, write_image
from inpainting_jax.metrics import METRICS

EACH = 2
"""Cases of each kind."""

LEADING = ("lpips_alex_hole", "lpips_vgg_hole", "psnr_hole", "l1_hole", "ssim_hole")
"""The first of these columns that is there decides which case is which."""


def leading_column(values: Mapping[str, np.ndarray]) -> str | None:
    """The column that orders the cases; None if there is none with a better end."""
    usable = [
        name
        for name in (*LEADING, *values)
        if name in values
        and METRICS[name.rsplit("_", 1)[0]].higher_is_better is not None
        and not np.isnan(values[name]).all()
    ]
    return usable[0] if usable else None


def choose(values: np.ndarray, higher_is_better: bool) -> dict[str, list[int]]:
    """Indices of the worst, median and best `EACH` of [N] values; NaN is left out.

    Ties go by index. With few images a case may stand in one kind alone, or in none.
    """
    numbers = np.flatnonzero(~np.isnan(values))
    keys = values[numbers] if higher_is_better else -values[numbers]
    order = numbers[np.argsort(keys, kind="stable")].tolist()
    middle = max(0, (len(order) - EACH + 1) // 2)
    kinds = {
        "worst": order[:EACH],
        "median": order[middle : middle + EACH],
        "best": order[::-1][:EACH],
    }
    seen: set[int] = set()
    for kind, indices in kinds.items():
        kinds[kind] = [i for i in indices if i not in seen]
        seen |= set(indices)
    return kinds


def write(
    output: pathlib.Path,
    name: str,
    chosen: EvaluationSet,
    shelf: Shelf,
    values: Mapping[str, np.ndarray],
) -> None:
    """Writes OUTPUT/cases/NAME.png: masked, completed and original by row."""
    column = leading_column(values)
    if column is None:
        return
    up = METRICS[column.rsplit("_", 1)[0]].higher_is_better
    kinds = choose(values[column], up)
    indices = [index for kind in kinds.values() for index in kind]
    labels = [
        f"{kind}: {column} {values[column][index]:.4g}"
        for kind, members in kinds.items()
        for index in members
    ]
    truth, holes = chosen.images(indices), chosen.holes(indices)
    heads = {
        "masked": sheets.masked(truth, holes),
        name: shelf.images(indices),
        "original": truth,
    }
    folder = output / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    sheet = sheets.draw_sheet(heads, labels)
    write_image(folder / f"{name}.png", ImageFile(sheet, "png"))
