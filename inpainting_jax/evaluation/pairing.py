"""Which mask, guide and output file belong to each image of a folder.

A mask is found by name: for `a.jpg` it is `a.png` (any image suffix), `a_mask.png`,
`a-mask.png` or `mask_a.png`, in the same sub-folder; or one file serves all images.
"""

import collections
import dataclasses
import os
import pathlib
import re
import zlib
from collections.abc import Sequence

from inpainting_jax.image_files import SUFFIXES

_MASK_NAMES = ("{}_mask", "{}-mask", "mask_{}")
_NEW_SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}


class WrongUseError(ValueError):
    """The paths or options of a command make no sense; says which and why."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One image to complete.

    Attributes:
      name: its path relative to the folder given, for messages and the report.
      image: the file to read.
      mask: its mask; None if there is none, which is reported when its turn comes.
      guide: its sketch or label map, if any.
      output: the file to write.
      format: format of `output`, one of `image_files.FORMATS`; None = the image's own.
    """

    name: str
    image: pathlib.Path
    mask: pathlib.Path | None
    guide: pathlib.Path | None
    output: pathlib.Path
    format: str | None


def pair(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    outputs: str | os.PathLike,
    *,
    guides: str | os.PathLike | None = None,
    format: str | None = None,
    suffix: str = "",
    in_alpha: bool = False,
    shard: str = "0/1",
) -> list[Task]:
    """The tasks of one image file, or of a folder and its sub-folders.

    Args:
      images: file or folder.
      masks: one file for all images, or a folder searched by name.
      outputs: folder; or, for one image, a file, whose suffix sets the format.
      guides: like `masks`; an image may be without.
      format: of all outputs; None = that of each image, but PNG for JPEG, which would
        change the known pixels.
      suffix: added to the name of each output.
      in_alpha: whether an image may be its own mask, by its transparency.
      shard: "i/n": only the images of the i-th of n processes, counted from 0. Whose an
        image is follows from its name alone: no two processes take the same one,
        whenever they start and whatever is added to the folder meanwhile.

    Raises:
      WrongUseError: a path is missing, nothing is there to do, no image has a mask, an
        output would replace an image or a mask, or there is no such shard.
    """
    images, outputs = pathlib.Path(images), pathlib.Path(outputs)
    sources = _listed(images, "images")
    root = images if images.is_dir() else images.parent
    mask_of = _finder(masks, "masks", root, in_alpha)
    guide_of = _finder(guides, "guides", root, True) if guides else lambda image: None
    found = {image: mask_of(image) for image in sources}
    if images.is_dir():
        used_as_mask = {mask for image, mask in found.items() if mask != image}
        sources = [image for image in sources if image not in used_as_mask]
        inside = outputs.resolve()
        if inside != root.resolve():
            sources = [s for s in sources if inside not in s.resolve().parents]
    if not sources:
        raise WrongUseError(f"--images={images} holds nothing but outputs and masks")
    if not any(found[image] for image in sources):
        raise WrongUseError(
            f"--masks={masks} has no mask for any of the {len(sources)} image(s); a"
            f" mask is named like its image, e.g. {sources[0].stem}.png, or"
            f" {sources[0].stem}_mask.png"
        )
    targets = _targets(sources, images, root, outputs, format, suffix)
    tasks = [
        Task(
            name=image.relative_to(root).as_posix(),
            image=image,
            mask=found[image],
            guide=guide_of(image),
            output=target,
            format=form,
        )
        for image, (target, form) in zip(sources, targets, strict=True)
    ]
    _check_outputs(tasks)
    return _of_shard(tasks, shard, images)


def _of_shard(tasks: Sequence[Task], shard: str, images: pathlib.Path) -> list[Task]:
    """The tasks whose names fall to one of several processes."""
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    index, count = map(int, match.groups()) if match else (0, 0)
    if index >= count:
        raise WrongUseError(
            f"--shard={shard} is not of the form i/n with i from 0 to n - 1, e.g. 0/4"
            " to 3/4 for four processes"
        )
    if count > 1 and images.is_file():
        raise WrongUseError(f"--shard={shard} is for folders; {images} is one image")
    return [t for t in tasks if zlib.crc32(t.name.encode()) % count == index]


def _listed(path: pathlib.Path, flag: str) -> list[pathlib.Path]:
    """The image files of a file or folder, sorted."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise WrongUseError(f"--{flag}={path} does not exist; give a file or a folder")
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and file.is_file()
        and not file.name.startswith(".")
    )
    if not files:
        kinds = " ".join(sorted(SUFFIXES))
        raise WrongUseError(f"--{flag}={path} is a folder without images ({kinds})")
    return files


def _finder(path, flag: str, root: pathlib.Path, own: bool):
    """A function from an image to its companion in `path`, or None.

    `own`: whether that may be the image file itself.
    """
    path = pathlib.Path(path)
    listed = _listed(path, flag)
    if path.is_file():
        return lambda image: path
    by_name = collections.defaultdict(list)
    for file in listed:
        by_name[file.relative_to(path).with_suffix("").as_posix().lower()].append(file)

    def find(image: pathlib.Path) -> pathlib.Path | None:
        name = image.relative_to(root).with_suffix("")
        patterns = (*_MASK_NAMES, "{}") if flag == "masks" else ("{}",)
        for pattern in patterns:
            key = name.with_name(pattern.format(name.name)).as_posix().lower()
            for file in by_name.get(key, ()):
                if own or not file.samefile(image):
                    return file
        return None

    return find


def _targets(sources, images, root, outputs, format, suffix):
    """Output file and format of each source; no two the same."""
    named = SUFFIXES.get(outputs.suffix.lower())
    if images.is_file() and named and not outputs.is_dir():
        if format and format != named:
            raise WrongUseError(
                f"--outputs={outputs} is not named as --format={format}"
            )
        return [(outputs, named)]
    if outputs.is_file():
        raise WrongUseError(f"--outputs={outputs} is a file; give a folder")
    result = []
    for image in sources:
        end = image.suffix
        if format and SUFFIXES.get(end.lower()) != format:
            end = _NEW_SUFFIXES.get(format, f".{format}")
        elif not format and SUFFIXES.get(end.lower(), "jpeg") == "jpeg":
            end = ".png"
        form = SUFFIXES[end.lower()]
        name = f"{image.stem}{suffix}{end}"
        result.append((outputs / image.relative_to(root).with_name(name), form))
    counts = collections.Counter(target for target, _ in result)
    return [
        (target, form)
        if counts[target] == 1  # a.jpg and a.png must not both become a.png
        else (target.with_stem(f"{target.stem}_{image.suffix[1:].lower()}"), form)
        for image, (target, form) in zip(sources, result, strict=True)
    ]


def _check_outputs(tasks: list[Task]) -> None:
    """Raises before anything that the user gave us would be replaced."""
    given = {
        path.resolve(): path
        for task in tasks
        for path in (task.image, task.mask, task.guide)
        if path
    }
    for task in tasks:
        if task.output.resolve() in given:
            raise WrongUseError(
                f"the output {task.output} would replace an image, mask or guide; give"
                " another folder as --outputs, or a --suffix"
            )
