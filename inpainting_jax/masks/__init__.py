"""Holes: pure generators of masks, mask files, fixed evaluation sets, and mask SPECs.

Masks are [H, W, 1] with 1 = hole, 0 = known: float32 where drawn on device, uint8 where
drawn on the host.
"""

from inpainting_jax.masks.buckets import BUCKETS, OTHER, hole_bucket, touches_border
from inpainting_jax.masks.fixed_sets import (
    MaskHash,
    fixed_set,
    host_sampler,
    mask_hash,
    mask_stream,
)
from inpainting_jax.masks.folders import MaskFolder, files
from inpainting_jax.masks.free_form import brush, deepfill, strokes
from inpainting_jax.masks.large_masks import lama
from inpainting_jax.masks.protocols import PROTOCOLS
from inpainting_jax.masks.rectangles import (
    blocks,
    box,
    boxes,
    center,
    grid,
    half,
    outpaint,
)
from inpainting_jax.masks.regions import pattern
from inpainting_jax.masks.shapes import irregular
from inpainting_jax.masks.specs import MASKS, is_host, sampler

__all__ = [
    "BUCKETS",
    "MASKS",
    "OTHER",
    "PROTOCOLS",
    "MaskFolder",
    "MaskHash",
    "blocks",
    "box",
    "boxes",
    "brush",
    "center",
    "deepfill",
    "files",
    "fixed_set",
    "grid",
    "half",
    "hole_bucket",
    "host_sampler",
    "irregular",
    "is_host",
    "lama",
    "mask_hash",
    "mask_stream",
    "outpaint",
    "pattern",
    "sampler",
    "strokes",
    "touches_border",
]
