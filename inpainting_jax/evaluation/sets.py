"""Images with fixed holes, and the hashes that say which.

A set holds no pixels: images are read when they are asked for, and holes are kept as
bits, so that memory hardly grows with their number.
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from inpainting_jax import masks
from inpainting_jax.data import eval_images
from inpainting_jax.data.sources import Source
from inpainting_jax.masks import protocols

HOLE_FACTS = ("ratio", "radius", "bucket", "border")
"""What is noted of every hole."""

Named = tuple[str, np.ndarray]


class SourceImages(Sequence[Named]):
    """(name, [S, S, 3] uint8) pairs of a source, read when asked for.

    Args:
      source: of `data.open_source`.
      image_size: S.
      count: how many, spread evenly; all if the source holds fewer.
      fit: `crop` (centre square) or `resize` (the whole image, squashed).

    Raises:
      ValueError: size or count below 1.
    """

    def __init__(
        self, source: Source, image_size: int, count: int, *, fit: str = "crop"
    ):
        if image_size < 1 or count < 1:
            raise ValueError(f"image_size {image_size} and count {count} must be >= 1.")
        self._source, self._size, self._fit = source, image_size, fit
        self._count = min(count, len(source))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Named:
        if not 0 <= index < self._count:
            raise IndexError(index)
        one = _One(self._source, index * len(self._source) // self._count)
        return eval_images(one, self._size, 1, fit=self._fit)[0]


class _One(Sequence):
    """A source of one sample."""

    def __init__(self, source: Source, index: int):
        self._source, self._index = source, index

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return self._source[self._index]


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """N images of one size, one hole each.

    Attributes:
      names: of the images.
      size: (H, W).
      data: SPEC of the images, for the report.
      masks: SPEC of the holes.
      seed: of the holes.
      preprocessing: how the images were brought to size, for the report.
      images_sha256: over the bytes of all images.
      masks_sha256: over the packed bits of all holes.
      facts: by each of `HOLE_FACTS`, a list of N.
      pairs: where the images are read from.
      bits: [N, ceil(H W / 8)] uint8, the holes packed.
    """

    names: tuple[str, ...]
    size: tuple[int, int]
    data: str
    masks: str
    seed: int
    preprocessing: str
    images_sha256: str
    masks_sha256: str
    facts: dict[str, list]
    pairs: Sequence[Named] = dataclasses.field(repr=False)
    bits: np.ndarray = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def images(self, indices: Iterable[int]) -> np.ndarray:
        """[K, H, W, 3] uint8."""
        return np.stack([self.pairs[int(index)][1] for index in indices])

    def holes(self, indices: Iterable[int]) -> np.ndarray:
        """[K, H, W] uint8, 1 = hole."""
        rows = self.bits[np.fromiter(indices, int)]
        flat = np.unpackbits(rows, axis=1, count=self.size[0] * self.size[1])
        return flat.reshape(-1, *self.size)


def build_set(
    images: Iterable[Named],
    masks_spec: str,
    *,
    seed: int = 0,
    data: str = "",
    preprocessing: str = "",
) -> EvaluationSet:
    """Images with the holes that a mask SPEC and a seed give them.

    Args:
      images: (name, [H, W, 3] uint8) pairs of one size: a sequence, which is read
        again whenever images are needed (`SourceImages`), or any iterable, which is
        held in memory.
      masks_spec: see `masks.specs` and `masks.protocols`; hole n depends on (SPEC,
        seed, n) alone.
      seed: of the holes.
      data: SPEC of the images, for the report.
      preprocessing: how they were brought to size, for the report.

    Raises:
      ValueError: no images, several sizes, images that are not RGB, or an image that is
        all hole.
    """
    pairs = images if isinstance(images, Sequence) else list(images)
    if not len(pairs):
        raise ValueError(f"no images to evaluate on (data {data!r}); check the path.")
    names, size, digest = _read_once(pairs)
    bits, facts, full, found = (
        [],
        {fact: [] for fact in HOLE_FACTS},
        [],
        masks.MaskHash(),
    )
    stream = masks.mask_stream(masks_spec, seed, len(names), *size, names=names)
    for name, hole in zip(names, stream, strict=True):
        found.update(hole)
        bits.append(np.packbits(hole))
        for fact, value in describe_hole(hole).items():
            facts[fact].append(value)
        if hole.all():
            full.append(name)
    if full:
        raise ValueError(
            f"{len(full)} of {len(names)} masks of {masks_spec!r} leave nothing known, "
            f"the first for {full[0]!r}; bound the hole with @0-0.9, or scale "
            "brushes to the image with (scale=true)."
        )
    return EvaluationSet(
        names=names,
        size=size,
        data=data,
        masks=masks_spec,
        seed=seed,
        preprocessing=preprocessing,
        images_sha256=digest,
        masks_sha256=found.hexdigest(),
        facts=facts,
        pairs=pairs,
        bits=np.stack(bits),
    )


def _read_once(pairs: Sequence[Named]) -> tuple[tuple[str, ...], tuple[int, int], str]:
    """Names, size and hash of images, one in memory at a time."""
    names, shapes, digest = [], set(), hashlib.sha256()
    for index in range(len(pairs)):
        name, image = pairs[index]
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                f"images are [H, W, 3] uint8, {name!r} is {image.shape} {image.dtype}; "
                "drop alpha, and repeat grey three times."
            )
        names.append(name)
        shapes.add(image.shape)
        digest.update(np.ascontiguousarray(image).tobytes())
    if len(shapes) > 1:
        raise ValueError(f"all images must have one size, got {sorted(shapes)}.")
    return tuple(names), shapes.pop()[:2], digest.hexdigest()


def describe_hole(hole: np.ndarray) -> dict[str, Any]:
    """Of a hole [H, W]: `ratio`, `radius`, `bucket` and `border`.

    `radius` is that of the largest disc inside the hole, pixels: sets of equal ratio
    differ in it. `border` is whether the hole comes near the edge.
    """
    hole = np.ascontiguousarray(hole)
    distance = cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squares of distances are whole numbers; OpenCV's own last digit varies by the run.
    radius = math.sqrt(round(float(distance.max()) ** 2))
    return {
        "ratio": float(hole.mean()),
        "radius": radius,
        "bucket": masks.hole_bucket(hole),
        "border": masks.touches_border(hole),
    }


def describe_set(chosen: EvaluationSet) -> dict[str, Any]:
    """The entries `data` and `masks` of a report."""
    ratios = np.array(chosen.facts["ratio"])
    return {
        "data": {
            "spec": chosen.data,
            "n": len(chosen),
            "size": list(chosen.size),
            "preprocessing": chosen.preprocessing,
            "images_sha256": chosen.images_sha256,
        },
        "masks": {
            "spec": chosen.masks,
            "protocol": protocols.describe(chosen.masks),
            "seed": chosen.seed,
            "sha256": chosen.masks_sha256,
            "mean_ratio": float(f"{ratios.mean():.6g}"),
            "n_empty": int(np.sum(ratios == 0)),
            "buckets": list(masks.BUCKETS),
            "border_rule": "hole nearer than 50/512 of the side to the edge",
        },
    }
