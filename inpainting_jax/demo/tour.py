"""The road from photographs to a table, in minutes on a laptop: behind `make demo`.

Trains `deepfill_v2:tiny` on the photographs that scikit-image ships, then completes
held-out crops of others with every method and measures them side by side. Everything is
seeded; a tour that was stopped goes on where it was.
"""

import os
import pathlib
import time

import numpy as np

from inpainting_jax import image_files
from inpainting_jax.configs import deepfill_v2
from inpainting_jax.data import open_source
from inpainting_jax.evaluation import comparison, sheets
from inpainting_jax.evaluation.predict import list_weights, load
from inpainting_jax.masks import fixed_set
from inpainting_jax.training.loop import train

CLASSICAL = ("telea", "navier_stokes", "biharmonic", "patchmatch")
MASKS = "deepfill(scale=True)"
_PHOTOGRAPHS = 3  # completed at their own size
_BIHARMONIC_SIDE = 256  # its cost grows with the square of the hole's area


def tour(output: str | os.PathLike, *, steps: int = 500, count: int = 16) -> None:
    """Completes, trains, compares, and says where the results are.

    Args:
      output: folder; gets `photographs.png`, `run/`, `samples.png`, `table.md`,
        `report.json`.
      steps: of training.
      count: held-out crops in the table.
    """
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    print("1. Photographs completed by the classical methods", flush=True)
    draw_photographs(output / "photographs.png")
    print(f"2. A small DeepFill v2 trained on photographs, {steps} steps", flush=True)
    run = train_tiny(output / "run", steps)
    print("3. All methods on held-out crops, 64 px", flush=True)
    shipped = list_weights()
    comparison.compare(
        [
            *CLASSICAL,
            "deepfill_v2_tiny=deepfill_v2",
            *(f"{label}={card['method']}" for label, card in shipped.items()),
        ],
        "photos",
        MASKS,
        output,
        weights=[
            f"deepfill_v2_tiny={run}",
            *(f"{label}={label}" for label in shipped),
        ],
        image_size=64,
        count=count,
    )
    print((output / "table.md").read_text())
    print(f"Done in {time.perf_counter() - begun:.0f} s. Look at:")
    for name in ("photographs.png", "samples.png", "table.md", "run/samples"):
        print(f"  {output / name}")


def draw_photographs(path: pathlib.Path) -> None:
    """Writes a sheet of photographs with drawn holes, completed by each method."""
    source = open_source("photos", "validation")
    chosen = np.linspace(0, len(source) - 1, _PHOTOGRAPHS).round().astype(int)
    side = _BIHARMONIC_SIDE
    truth = np.stack([source[i]["image"][:side, :side] for i in chosen])
    holes, _ = fixed_set("strokes@0.05-0.25", 0, len(truth), side, side)
    hidden = holes[..., None] > 0
    heads = {"masked": np.where(hidden, 128, truth).astype(np.uint8)}
    for name in CLASSICAL:
        heads[name] = load(name)(np.where(hidden, 0, truth).astype(np.uint8), holes)
    heads["original"] = truth
    sheet = sheets.draw_sheet(heads)
    image_files.write_image(path, image_files.ImageFile(sheet, "png"))


def train_tiny(workdir: pathlib.Path, steps: int) -> pathlib.Path:
    """Trains `deepfill_v2:tiny` on `photos`; returns the work directory."""
    config = deepfill_v2.get_config("tiny")
    config.phases.joint.steps = steps
    train(config, workdir)
    return workdir
