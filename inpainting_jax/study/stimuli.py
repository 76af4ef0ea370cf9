"""The pictures of a study: read, checked, composited, re-encoded, renamed.

Every picture is written anew as an 8-bit RGB PNG from its pixels alone, so that no
metadata, format or time stamp tells its origin; its name is a keyed hash of what it is.
"""

import hashlib
import hmac
import io
import pathlib
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageCms

from inpainting_jax import image_files
from inpainting_jax.study.design import DAMAGED, MASKED, ORIGINAL

_GREY = 128


class Pictures:
    """The pictures of every image: by a method, or in one of the roles of `design`.

    Files belong together by their path below each folder, without the suffix; a mask
    may end in `_mask`. Where there are masks, known pixels are those of the original:
    what is compared is the hole.

    Args:
      originals: folder of the originals.
      results: folder of completed images by label of the method.
      masks: folder of masks, white = hole, or None.

    Raises:
      ValueError: a folder is missing or empty, an image lacks its original, completion
        or mask, or two files belong to one image.
    """

    def __init__(
        self,
        originals: str | pathlib.Path,
        results: Mapping[str, str | pathlib.Path],
        masks: str | pathlib.Path | None = None,
    ):
        self._files = {ORIGINAL: _listed(originals, "originals")}
        for label, folder in results.items():
            self._files[label] = _listed(folder, f"results of {label}")
        self._masks = _listed(masks, "masks") if masks else None
        self.names = sorted(self._files[ORIGINAL])
        for label in results:
            own, wanted = set(self._files[label]), set(self.names)
            _complain("originals", f"images of {label}", own - wanted)
            _complain(f"completions by {label}", "originals", wanted - own)
        if self._masks is not None:
            found, marked = self._masks, {n: f"{n}_mask" for n in self.names}
            self._masks = {n: found[m] for n, m in marked.items() if m in found}
            self._masks |= {n: found[n] for n in self.names if n in found}
            _complain("masks", "originals", set(self.names) - set(self._masks))

    def pixels(self, name: str, role: str) -> np.ndarray:
        """[H, W, 3] uint8 of one image.

        Args:
          name: one of `names`.
          role: label of a method, or one of `design.ROLES`. "damaged" has coloured
            noise in the hole, "masked" has grey; without masks the hole is the centred
            square of half the side.

        Raises:
          ValueError: the file cannot be read, is transparent, or has another size than
            its original.
        """
        original = read_rgb(self._files[ORIGINAL][name])
        if role == ORIGINAL:
            return original
        hole = self._hole(name, original.shape[:2])
        if role == MASKED:
            fill = np.full_like(original, _GREY)
        elif role == DAMAGED:
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
            fill = np.random.default_rng(seed).integers(0, 256, original.shape)
        else:
            file = self._files[role][name]
            fill = read_rgb(file)
            _check_size(file, fill.shape, original.shape)
            if self._masks is None:
                return fill
        return np.where(hole[..., None], fill, original).astype(np.uint8)

    def _hole(self, name: str, size: tuple[int, int]) -> np.ndarray:
        if self._masks is None:
            (top, height), (left, width) = ((n // 4, n - 2 * (n // 4)) for n in size)
            hole = np.zeros(size, bool)
            hole[top : top + height, left : left + width] = True
            return hole
        file = self._masks[name]
        mask = image_files.read_mask(file)[..., 0] > 0
        _check_size(file, mask.shape, size)
        if not mask.any():
            raise ValueError(f"{file} marks no hole: nothing to judge; white = hole.")
        return mask


def read_rgb(path: str | pathlib.Path) -> np.ndarray:
    """[H, W, 3] uint8 of an image file in sRGB; grey is repeated, 16 bits rounded.

    Raises:
      ValueError: the file cannot be read, or is transparent somewhere.
    """
    image = image_files.read_image(path)
    pixels = image.pixels
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        pixels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    if pixels.shape[-1] in (2, 4):
        if (pixels[..., -1] < 255).any():
            raise ValueError(
                f"{path} is transparent somewhere: what observers would see is not"
                " decided; flatten it first."
            )
        pixels = pixels[..., :-1]
    if pixels.shape[-1] == 1:
        return np.repeat(pixels, 3, axis=-1)
    return _to_srgb(pixels, image.icc_profile)


def encode_png(pixels: np.ndarray) -> bytes:
    """A PNG of [H, W, 3] uint8 and nothing else: equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", compress_level=6)
    return buffer.getvalue()


def opaque_name(key: bytes, image: str, role: str) -> str:
    """The file name of a picture: without the key it tells nothing."""
    digest = hmac.new(key, f"{image}|{role}".encode(), hashlib.sha256)
    return digest.hexdigest()[:16] + ".png"


def _to_srgb(pixels: np.ndarray, icc_profile: bytes | None) -> np.ndarray:
    if icc_profile is None:
        return pixels
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        target = ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(Image.fromarray(pixels), source, target)
    except (ImageCms.PyCMSError, OSError):
        return pixels  # a damaged profile: the numbers are the best guess
    return np.asarray(image)


def _listed(folder: str | pathlib.Path, what: str) -> dict[str, pathlib.Path]:
    """The image files below a folder by relative path without suffix."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"the folder of the {what}, {folder}, does not exist.")
    files: dict[str, pathlib.Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in image_files.SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in files:
            raise ValueError(
                f"{files[name]} and {path} are of one name: keep one of them."
            )
        files[name] = path
    if not files:
        raise ValueError(f"the folder of the {what}, {folder}, holds no images.")
    return files


def _complain(missing: str, of: str, names: set[str]) -> None:
    """Raises if `names` is not empty."""
    if names:
        first = sorted(names)[:5]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise ValueError(
            f"no {missing} for {len(names)} {of}: {', '.join(first)}{more}; files"
            " belong together by name."
        )


def _check_size(path, size: tuple, wanted: tuple) -> None:
    if tuple(size[:2]) != tuple(wanted[:2]):
        raise ValueError(
            f"{path} is {size[1]}x{size[0]}, its original {wanted[1]}x{wanted[0]}"
            " (width x height); all pictures of an image have one size."
        )
