"""Fixed images with fixed holes, and the hashes that say which."""

import dataclasses
import hashlib
from collections.abc import Iterable

import cv2
import numpy as np

from inpainting_jax import masks


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """N images of one size, one hole each.

    Attributes:
      names: of the images.
      images: [N, H, W, 3] uint8.
      holes: [N, H, W] uint8, 1 = hole.
      data: SPEC of the images, for the report.
      masks: SPEC of the holes.
      seed: of the holes.
      preprocessing: how the images were brought to size, for the report.
      images_sha256: over the bytes of `images`.
      masks_sha256: over the packed bits of `holes`.
    """

    names: tuple[str, ...]
    images: np.ndarray
    holes: np.ndarray
    data: str
    masks: str
    seed: int
    preprocessing: str
    images_sha256: str
    masks_sha256: str

    def __len__(self) -> int:
        return len(self.names)


def build_set(
    images: Iterable[tuple[str, np.ndarray]],
    masks_spec: str,
    *,
    seed: int = 0,
    data: str = "",
    preprocessing: str = "",
) -> EvaluationSet:
    """Images with the holes that a mask SPEC and a seed give them.

    Args:
      images: (name, [H, W, 3] uint8) pairs of one size, as of `data.eval_images`.
      masks_spec: see `masks.specs`; hole n depends on (SPEC, seed, n) alone.
      seed: of the holes.
      data: SPEC of the images, for the report.
      preprocessing: how they were brought to size, for the report.

    Raises:
      ValueError: no images, several sizes, or an image that is all hole.
    """
    pairs = list(images)
    if not pairs:
        raise ValueError(f"no images to evaluate on (data {data!r}); check the path.")
    sizes = {image.shape for _, image in pairs}
    if len(sizes) > 1:
        raise ValueError(f"all images must have one size, got {sorted(sizes)}.")
    names = tuple(name for name, _ in pairs)
    stack = np.stack([image for _, image in pairs])
    if stack.dtype != np.uint8 or stack.ndim != 4 or stack.shape[-1] != 3:
        raise ValueError(
            f"images are [H, W, 3] uint8, got {stack.shape} {stack.dtype}."
        )
    height, width = stack.shape[1:3]
    holes, holes_hash = masks.fixed_set(
        masks_spec, seed, len(names), height, width, names=names
    )
    full = np.flatnonzero(holes.all((1, 2)))
    if len(full):
        raise ValueError(
            f"{len(full)} of {len(holes)} masks of {masks_spec!r} leave nothing known, "
            f"the first for {names[full[0]]!r}; bound the hole with @0-0.9, or scale "
            "brushes to the image with (scale=true)."
        )
    return EvaluationSet(
        names=names,
        images=stack,
        holes=holes,
        data=data,
        masks=masks_spec,
        seed=seed,
        preprocessing=preprocessing,
        images_sha256=hashlib.sha256(np.ascontiguousarray(stack).tobytes()).hexdigest(),
        masks_sha256=holes_hash,
    )


def describe_holes(holes: np.ndarray) -> dict[str, list]:
    """Per hole of [N, H, W]: `ratio`, `radius`, `bucket` and `border`.

    `radius` is that of the largest disc inside the hole, pixels: sets of equal ratio
    differ in it. `border` is whether the hole comes near the edge.
    """
    radius = [
        float(cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
        for hole in np.ascontiguousarray(holes)
    ]
    return {
        "ratio": [float(hole.mean()) for hole in holes],
        "radius": radius,
        "bucket": [masks.hole_bucket(hole) for hole in holes],
        "border": [masks.touches_border(hole) for hole in holes],
    }
