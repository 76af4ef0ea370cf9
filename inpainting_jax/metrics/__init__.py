"""Metrics of completed images: [0, 1] batches in, one value per image out.

`METRICS` is the table that the evaluation computes: a new metric is one line.
"""

from inpainting_jax.metrics.learned import lpips
from inpainting_jax.metrics.pixel import l1, l2, psnr, relative_l1, total_variation
from inpainting_jax.metrics.structural import (
    SSIM_PRESETS,
    most_scales,
    ms_ssim,
    ssim,
    ssim_map,
)
from inpainting_jax.metrics.table import Metric

_PIXEL = "inpainting_jax.metrics.pixel"
_STRUCTURAL = "inpainting_jax.metrics.structural"

METRICS = {
    "psnr": Metric(f"{_PIXEL}:psnr", True, "dB", cap=100.0),
    "ssim": Metric(f"{_STRUCTURAL}:ssim", True, min_side=11),
    "ms_ssim": Metric(f"{_STRUCTURAL}:ms_ssim", True, min_side=161),
    "ms_ssim4": Metric(
        f"{_STRUCTURAL}:ms_ssim", True, options={"scales": 4}, min_side=81
    ),
    "ms_ssim3": Metric(
        f"{_STRUCTURAL}:ms_ssim", True, options={"scales": 3}, min_side=41
    ),
    "l1": Metric(f"{_PIXEL}:l1", False),
    "l2": Metric(f"{_PIXEL}:l2", False),
    "tv": Metric(
        f"{_PIXEL}:total_variation",
        None,
        options={"reduction": "mean"},
        needs_truth=False,
    ),
    "lpips_alex": Metric(
        "inpainting_jax.metrics.learned:lpips",
        False,
        regions=("image",),
        min_side=31,
        optional=True,
    ),
    "lpips_vgg": Metric(
        "inpainting_jax.metrics.learned:lpips",
        False,
        options={"network": "vgg16"},
        regions=("image",),
        min_side=16,
        optional=True,
    ),
}

__all__ = [
    "METRICS",
    "SSIM_PRESETS",
    "Metric",
    "l1",
    "l2",
    "lpips",
    "most_scales",
    "ms_ssim",
    "psnr",
    "relative_l1",
    "ssim",
    "ssim_map",
    "total_variation",
]
