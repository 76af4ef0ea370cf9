"""Masks from files: drawn at random, in shuffled order, or paired with images by name.

File decoding is `image_files.read_mask`: any format, white = hole unless said
otherwise. Masks are brought to size by nearest neighbour at pixel centres, so that they
stay binary, and ratio bounds hold after that. Host code: nothing here can be traced.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from inpainting_jax import image_files
from inpainting_jax.masks.buckets import touches_border

MAX_TRIES = 200
"""Files drawn in search of one within the bounds before giving up."""


@dataclasses.dataclass(frozen=True)
class MaskFolder(Sequence[np.ndarray]):
    """The mask files below a folder, in the order of their names; picklable.

    Attributes:
      root: the folder.
      names: paths relative to it, sorted.
      convention: what the files mean, see `images.to_mask`.
      bounds: (low, high]: masks of other hole ratios are passed over; None: any.
      border: `touching` or `inside` passes over the others (see `touches_border`);
        `any` does not.
      flip: whether `draw` mirrors masks at random, left-right and upside down.
    """

    root: str
    names: tuple[str, ...]
    convention: str = "white_hole"
    bounds: tuple[float, float] | None = None
    border: str = "any"
    flip: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W] uint8 mask of a file at its own size, 1 = hole."""
        path = pathlib.Path(self.root, self.names[index])
        mask = image_files.read_mask(path, convention=self.convention)
        return (mask[..., 0] > 0.5).astype(np.uint8)

    def resized(self, index: int, height: int, width: int) -> np.ndarray:
        """[H, W, 1] uint8 mask of a file at the wanted size."""
        return resize(self[index], height, width)[..., None]

    def draw(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """[H, W, 1] uint8: a random file within the bounds.

        Raises:
          ValueError: if 200 files in a row lie outside.
        """
        for _ in range(MAX_TRIES):
            mask = self.resized(int(rng.integers(len(self))), height, width)
            turned = self.flip * rng.integers(2, size=2)
            if self.accepts(mask):
                return np.ascontiguousarray(
                    mask[:: 1 - 2 * turned[0], :: 1 - 2 * turned[1]]
                )
        raise ValueError(f"{MAX_TRIES} masks drawn from {self._wanted()}.")

    def shuffled(
        self, rng: np.random.Generator, height: int, width: int
    ) -> Iterator[np.ndarray]:
        """Endless [H, W, 1] uint8 masks: every file within the bounds, then again.

        Raises:
          ValueError: if no file lies within the bounds.
        """
        while True:
            found = False
            for index in rng.permutation(len(self)):
                mask = self.resized(int(index), height, width)
                if self.accepts(mask):
                    found = True
                    yield mask
            if not found:
                raise ValueError(f"all {len(self)} masks of {self._wanted()}.")

    def paired(self, name: str, height: int | None = None, width: int | None = None):
        """[H, W, 1] uint8: the mask whose path, or else stem, is that of an image.

        Args:
          name: name of the image, with or without folders and suffix.
          height: wanted H; None leaves the file's size.
          width: wanted W.

        Raises:
          ValueError: if no mask or more than one fits the name, or (with a size) its
            hole is outside the bounds.
        """
        wanted = _without_suffix(name)
        fits = [i for i, n in enumerate(self.names) if _without_suffix(n) == wanted]
        if not fits:
            stem = pathlib.PurePath(wanted).name
            fits = [
                i for i, n in enumerate(self.names) if pathlib.PurePath(n).stem == stem
            ]
        if len(fits) != 1:
            problem = f"{len(fits)} masks fit" if fits else "no mask fits"
            raise ValueError(
                f"{problem} the image {name!r} in {self.root}; a pair has the same "
                "file name up to the suffix. To draw at random use files:, not paired:."
            )
        if height is None or width is None:
            return self[fits[0]][..., None]
        return self.resized(fits[0], height, width)

    def accepts(self, mask: np.ndarray) -> bool:
        """Whether a mask [H, W, 1] lies within the ratio bounds and the border rule."""
        if self.bounds and not self.bounds[0] < mask.mean() <= self.bounds[1]:
            return False
        touching = self.border == "any" or touches_border(mask)
        return self.border == "any" or touching == (self.border == "touching")

    def _wanted(self) -> str:
        rules = []
        if self.bounds:
            rules.append("a hole ratio in ({:g}, {:g}]".format(*self.bounds))
        if self.border != "any":
            rules.append(f"border={self.border}")
        wanted = " and ".join(rules) or "any hole"
        return (
            f"{self.root} do not have {wanted}; change the bounds, or the convention "
            f"(now {self.convention}) if black is the hole"
        )


def files(
    path: str | os.PathLike,
    *,
    convention: str = "white_hole",
    bounds: tuple[float, float] | None = None,
    border: str = "any",
    flip: bool = False,
) -> MaskFolder:
    """The mask files below a folder, or one file, as a `MaskFolder`.

    Raises:
      ValueError: if the path is missing or holds no image file, or an option is
        unknown.
    """
    if border not in ("any", "touching", "inside"):
        raise ValueError(f"border={border!r} must be any, touching or inside.")
    root = pathlib.Path(path)
    if root.is_file():
        root, names = root.parent, [root.name]
    elif root.is_dir():
        names = sorted(
            str(found.relative_to(root))
            for found in root.rglob("*")
            if found.suffix.lower() in image_files.SUFFIXES and found.is_file()
        )
    else:
        raise ValueError(f"there is no mask file or folder {str(path)!r}.")
    if not names:
        kinds = " ".join(sorted(image_files.SUFFIXES))
        raise ValueError(f"no mask file in {str(path)!r} (looked for {kinds}).")
    return MaskFolder(str(root), tuple(names), convention, bounds, border, flip)


def resize(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """[H, W] mask at another size by nearest neighbour at pixel centres."""
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    return mask[rows[:, None], columns[None, :]]


def _without_suffix(name: str) -> str:
    return str(pathlib.PurePath(name).with_suffix(""))
