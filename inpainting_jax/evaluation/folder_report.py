"""`report.csv`: what became of each image of a folder."""

import csv
import dataclasses
import io
import pathlib

from inpainting_jax import image_files


@dataclasses.dataclass
class Row:
    """A line of the report.

    Attributes:
      file: name of the image.
      status: "done", "skipped" (done before) or "failed".
      output: file written.
      mask: file read.
      height: of the image, pixels.
      width: of the image, pixels.
      hole_ratio: share of the image that was filled.
      strategy: what "auto" chose.
      seconds: for this image, reading and writing included.
      settings: method, weights and options.
      message: warnings, or why it failed.
    """

    file: str
    status: str = ""
    output: str = ""
    mask: str = ""
    height: int | str = ""
    width: int | str = ""
    hole_ratio: str = ""
    strategy: str = ""
    seconds: str = ""
    settings: str = ""
    message: str = ""


def read_report(path: pathlib.Path) -> dict[str, Row]:
    """The rows of a report by file name; {} if it is missing or of another kind."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        fields = [field.name for field in dataclasses.fields(Row)]
        if reader.fieldnames != fields:
            return {}
        return {line["file"]: Row(**line) for line in reader}


def write_report(path: pathlib.Path, rows: dict[str, Row]) -> None:
    """Replaces the report, sorted by file name."""
    text = io.StringIO()
    fields = [field.name for field in dataclasses.fields(Row)]
    writer = csv.DictWriter(text, fields)
    writer.writeheader()
    for name in sorted(rows):
        writer.writerow(dataclasses.asdict(rows[name]))
    with image_files.atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")
