"""What is in a folder of images: reads every file once and tells what is wrong.

Left out of a data set are unreadable files, tiny ones and exact copies of another.
Noted but kept are odd ones: grey, with alpha, of 16 bits, CMYK, with a palette.
"""

import collections
import csv
import dataclasses
import hashlib
import io
import os
import pathlib
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tqdm
from PIL import Image

from inpainting_jax import image_files
from inpainting_jax.data import decode, preprocess

LEFT_OUT = ("unreadable", "tiny", "duplicate")
"""Problems for which an image does not enter the data set."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found out about one file.

    Attributes:
      name: path of the file relative to the folder.
      problems: of `LEFT_OUT`, or kinds of oddness: grey, alpha, 16-bit, float, CMYK,
        palette. Empty for a plain image.
      detail: the reason in words, for `unreadable` and `duplicate`.
      height: pixels, upright; 0 if unreadable.
      width: pixels, upright.
      digest: SHA-256 of the file's bytes.
      plain: whether it is a JPEG or PNG file of 8-bit RGB.
    """

    name: str
    problems: tuple[str, ...] = ()
    detail: str = ""
    height: int = 0
    width: int = 0
    digest: bytes = b""
    plain: bool = False

    @property
    def kept(self) -> bool:
        """Whether the image enters the data set."""
        return not set(self.problems) & set(LEFT_OUT)


def inspect_file(root: str | os.PathLike, name: str, min_size: int) -> Finding:
    """Reads and decodes one file; `min_size` is the least short side, pixels."""
    try:
        data = pathlib.Path(root, name).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # several frames, odd metadata: harmless
            file = image_files.decode_image(data, name)
            decode.to_rgb(file.pixels)
    except (OSError, ValueError) as error:
        return Finding(name, ("unreadable",), str(error))
    height, width, channels = file.pixels.shape
    mode = _stored_mode(data)
    problems = []
    if min(height, width) < min_size:
        problems.append("tiny")
    if channels < 3:
        problems.append("grey")
    if channels in (2, 4):
        problems.append("alpha")
    if file.pixels.dtype != np.uint8:
        problems.append("16-bit" if file.pixels.dtype == np.uint16 else "float")
    problems += {"CMYK": ["CMYK"], "P": ["palette"]}.get(mode, [])
    plain = file.format in ("jpeg", "png") and not problems
    digest = hashlib.sha256(data).digest()
    return Finding(name, tuple(problems), "", height, width, digest, plain)


def inspect_folder(
    root: str | os.PathLike, names: Sequence[str], *, min_size: int, progress: bool
) -> list[Finding]:
    """The findings of all files, in the order of `names`, copies marked."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda name: inspect_file(root, name, min_size), names)
        bar = tqdm.tqdm(
            found, "inspecting", len(names), unit=" files", disable=not progress
        )
        findings = list(bar)
    return list(_mark_copies(findings))


def _mark_copies(findings: Iterable[Finding]) -> Iterable[Finding]:
    first: dict[bytes, str] = {}
    for finding in findings:
        if finding.kept:
            original = first.setdefault(finding.digest, finding.name)
            if original != finding.name:
                problems = (*finding.problems, "duplicate")
                detail = f"the same file as {original}"
                finding = dataclasses.replace(finding, problems=problems, detail=detail)
        yield finding


def _stored_mode(data: bytes) -> str:
    """Pillow's name for the kind of pixels stored, "" where it does not know them."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.mode
    except OSError:  # a 16-bit colour TIFF
        return ""


def write_csv(path: pathlib.Path, findings: Sequence[Finding]) -> None:
    """One line for each file that is left out or odd."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "status", "problems", "height", "width", "detail"))
        for f in findings:
            if f.problems:
                status = "kept" if f.kept else "left out"
                problems = " ".join(f.problems)
                writer.writerow((f.name, status, problems, f.height, f.width, f.detail))


def summarise(findings: Sequence[Finding]) -> str:
    """Counts of files by problem, and the sizes of the images kept, in words."""
    kept = [f for f in findings if f.kept]
    counts = collections.Counter(p for f in findings for p in f.problems)
    bad = [f"{counts[p]} {p}" for p in LEFT_OUT if counts[p]]
    odd = [f"{n} {p}" for p, n in sorted(counts.items()) if p not in LEFT_OUT]
    lines = [
        f"found     {len(findings)} image files",
        f"kept      {len(kept)}",
        f"left out  {len(findings) - len(kept)}"
        + (f": {', '.join(bad)}" if bad else ""),
        f"odd       {', '.join(odd) or 'none'}",
    ]
    if kept:
        sides = np.sort([min(f.height, f.width) for f in kept])
        low, middle, high = np.percentile(sides, (5, 50, 95)).round().astype(int)
        lines.append(
            f"sizes     short side {sides[0]} to {sides[-1]} pixels,"
            f" median {middle}, 90 % within {low} to {high}"
        )
    return "\n".join(lines)


def write_sheet(
    path: pathlib.Path,
    root: str | os.PathLike,
    names: Sequence[str],
    *,
    columns: int = 8,
    rows: int = 4,
    side: int = 96,
) -> None:
    """A picture of evenly chosen images, centre squares, as PNG."""
    count = min(columns * rows, len(names))
    rows = -(-count // columns)
    sheet = np.full((rows * side, columns * side, 3), 255, np.uint8)
    for i in range(count):
        image = decode.read(pathlib.Path(root, names[i * len(names) // count]))
        window = preprocess.centre_window(*image.shape[:2])
        top, left = i // columns * side, i % columns * side
        tile = preprocess.view(image, window, side)
        sheet[top : top + side, left : left + side] = tile
    Image.fromarray(sheet).save(path)
