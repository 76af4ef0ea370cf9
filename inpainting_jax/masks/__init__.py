"""Holes: pure generators of masks, mask files, fixed evaluation sets, and mask SPECs.

Masks are [H, W, 1] float32 with 1 = hole, 0 = known.
"""

from inpainting_jax.masks.free_form import brush, deepfill, irregular, strokes
from inpainting_jax.masks.rectangles import box, boxes, center, grid, half, outpaint
from inpainting_jax.masks.specs import MASKS, is_host, sampler

__all__ = [
    "MASKS",
    "box",
    "boxes",
    "brush",
    "center",
    "deepfill",
    "grid",
    "half",
    "irregular",
    "is_host",
    "outpaint",
    "sampler",
    "strokes",
]
