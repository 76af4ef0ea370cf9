"""Images a second from a prepared data set to batches, and the decoder's limit.

256 x 256 crops of 500-pixel JPEGs in ArrayRecord files, by number of reader threads and
worker processes. Beside them bare loops over the same files in as many threads as there
are cores: decoding alone, and decoding, cropping and resizing. What the pipeline adds
to the second is its own cost.
"""

import concurrent.futures
import contextlib
import io
import itertools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from inpainting_jax.benchmarks import pictures, speed_report, timing
from inpainting_jax.benchmarks.speed_report import Column
from inpainting_jax.data import open_source, preprocess, train_batches
from inpainting_jax.data.prepare import prepare_dataset

SIDE, BATCH = 256, 16
READERS = ((1, 0), (2, 0), (8, 0), (16, 0), (2, 2))
"""Threads and worker processes of the pipeline."""

_SIZE = (500, 375)
_MADE = 192  # files
_COLUMNS = (
    Column("what", "case"),
    Column("variant", "variant"),
    Column("images/s", "rate", "{:.0f}"),
    Column("from", "rate_low", "{:.0f}"),
    Column("to", "rate_high", "{:.0f}"),
    Column("of the limit", "of_limit", "{:.0%}"),
)


def write_jpegs(folder: pathlib.Path, count: int) -> None:
    """`count` random cut-outs of the installed photographs as JPEGs of 500 x 375."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for _, image in pictures.whole()]
    for index in range(count):
        image = photographs[index % len(photographs)]
        width = int(rng.uniform(0.6, 1) * min(image.width, image.height * 4 / 3))
        height = width * 3 // 4
        left = int(rng.integers(image.width - width + 1))
        top = int(rng.integers(image.height - height + 1))
        part = image.crop((left, top, left + width, top + height))
        part = part.resize(_SIZE, Image.Resampling.BICUBIC)
        part.save(folder / f"{index:04d}.jpg", quality=90)


def pipeline(source: Any, threads: int, workers: int, batches: int) -> float:
    """Seconds per image of `batches` batches, once the readers are at full speed."""
    prefetch = 8
    stream = train_batches(
        source,
        image_size=SIDE,
        batch_size=BATCH,
        seed=0,
        threads=threads,
        workers=workers,
        prefetch=max(prefetch, threads),
    )
    with contextlib.closing(stream):
        # What was read ahead while the readers started is not counted.
        for _ in range(2 * max(prefetch, threads)):
            next(stream)
        start = time.perf_counter()
        for _ in range(batches):
            next(stream)
        return (time.perf_counter() - start) / (batches * BATCH)


def loop(
    files: Sequence[bytes], work: Callable[[tuple[int, bytes]], Any], images: int
) -> float:
    """Seconds per image of a function of (number, file), in a thread per core."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        chosen = itertools.islice(enumerate(itertools.cycle(files)), images)
        start = time.perf_counter()
        for _ in pool.map(work, chosen):
            pass
        return (time.perf_counter() - start) / images


def decode(numbered: tuple[int, bytes]) -> np.ndarray:
    """[H, W, 3] uint8 of a file, by Pillow and nothing else."""
    return np.asarray(Image.open(io.BytesIO(numbered[1])))


def decode_and_crop(numbered: tuple[int, bytes]) -> np.ndarray:
    """A training view of a file."""
    rng = np.random.default_rng(numbered[0])
    sample = {"image": decode(numbered), "name": ""}
    return preprocess.train_view(sample, rng, image_size=SIDE)["image"]


@contextlib.contextmanager
def prepared() -> Iterator[tuple[Any, list[bytes]]]:
    """A source of made pictures, and their files."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "images").mkdir()
        write_jpegs(folder / "images", _MADE)
        report = prepare_dataset(
            folder / "images", folder / "set", val_fraction=0.0, name="speed"
        )
        files = [path.read_bytes() for path in (folder / "images").iterdir()]
        yield open_source(f"tfds_dir:{report.output}", "train"), files


def measure(
    source: Any, files: Sequence[bytes], repeats: int, batches: int
) -> dict[str, list[float]]:
    """Seconds per image by variant, a number per round; A B A B."""
    images = batches * BATCH
    variants: dict[str, Callable[[], float]] = {
        "bare loop: decode": lambda: loop(files, decode, images),
        "bare loop: decode, crop, resize": lambda: loop(files, decode_and_crop, images),
    }
    for threads, workers in READERS:
        name = f"{threads} threads" + (f", {workers} processes" if workers else "")
        variants[name] = lambda t=threads, w=workers: pipeline(source, t, w, batches)
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, variant in variants.items():
            found[name].append(variant())
    return found


def rows_of(found: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """A row per variant; the limit is the bare loop that does the same to an image."""
    limit = float(np.median(found["bare loop: decode, crop, resize"]))
    rows = []
    for name, seconds in found.items():
        low, high = timing.quartiles(tuple(seconds))
        median = float(np.median(seconds))
        rows.append(
            {
                "case": f"{SIDE}x{SIDE} crops of JPEGs of {_SIZE[0]}x{_SIZE[1]}",
                "variant": name,
                "seconds": median,
                "rate": 1 / median,
                "rate_low": 1 / high,
                "rate_high": 1 / low,
                "of_limit": limit / median,
            }
        )
    return rows


def run(
    *, output: str, data: Sequence[str], count: int, repeats: int, baseline: str = ""
) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    Args:
      output: folder to write to.
      data: not used: a data set is made of the installed photographs.
      count: batches of 16 in each timed round, times 4.
      repeats: rounds.
      baseline: an earlier `report.json` of this suite, or "".
    """
    del data
    with prepared() as (source, files):
        rows = rows_of(measure(source, files, repeats, 4 * count))
    speed_report.write(
        output,
        "input",
        rows,
        columns=_COLUMNS,
        notes=["The limit is the bare loop that decodes, crops and resizes."],
        baseline=baseline,
    )
