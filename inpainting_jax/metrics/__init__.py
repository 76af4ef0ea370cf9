"""Metrics of completed images: [0, 1] batches in, one value per image out.

`METRICS` is the table that the evaluation computes: a new metric is one line. Those of
`SET_METRICS` compare a whole set of images with another and give one value in all.
"""

from inpainting_jax.features import NETWORKS
from inpainting_jax.metrics.discriminability import (
    cross_validated,
    identity_null,
    identity_scores,
)
from inpainting_jax.metrics.distribution import (
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from inpainting_jax.metrics.learned import lpips, lpips_hole, lpips_map, lpips_ring
from inpainting_jax.metrics.pixel import (
    l1,
    l2,
    psnr,
    relative_l1,
    ring,
    seam,
    total_variation,
)
from inpainting_jax.metrics.segmentation import confusion, mean_iou, pixel_accuracy
from inpainting_jax.metrics.structural import (
    SSIM_PRESETS,
    most_scales,
    ms_ssim,
    ssim,
    ssim_map,
)
from inpainting_jax.metrics.table import REGIONS, Metric, SetMetric, region_mask

_METRICS = "inpainting_jax.metrics"
_PIXEL, _STRUCTURAL = f"{_METRICS}.pixel", f"{_METRICS}.structural"

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
        regions=REGIONS,
        min_side=31,
        optional=True,
    ),
    "lpips_vgg": Metric(
        "inpainting_jax.metrics.learned:lpips",
        False,
        options={"network": "vgg16"},
        regions=REGIONS,
        min_side=16,
        optional=True,
    ),
    "relative_l1": Metric(f"{_PIXEL}:relative_l1", False, optional=True),
    "seam": Metric(f"{_PIXEL}:seam", None, regions=("hole",), optional=True),
    **{
        f"ssim_{preset}": Metric(
            f"{_STRUCTURAL}:ssim",
            True,
            options=options,
            regions=("image",),
            min_side=options.get("size", 11),
            optional=True,
        )
        for preset, options in SSIM_PRESETS.items()
        if preset != "mmagic"  # which is `ssim` itself
    },
}


def _of_network(network: str) -> dict[str, SetMetric]:
    """The set metrics on one network, by name; only FID's own may give an FID."""
    frechet = f"fd_{network}".replace("fd_inception", "fid")
    sets, pairs = f"{_METRICS}.distribution", f"{_METRICS}.discriminability"
    return {
        frechet: SetMetric(
            f"{sets}:frechet_distance", (frechet,), (False,), network=network
        ),
        f"kid_{network}": SetMetric(
            f"{sets}:kernel_distance", (f"kid_{network}",), (False,), network=network
        ),
        f"ids_{network}": SetMetric(
            f"{pairs}:identity_scores",
            (f"p_ids_{network}", f"u_ids_{network}"),
            (True, True),
            network=network,
            resampled=False,
            null=f"{pairs}:identity_null",
        ),
        f"ids_cv_{network}": SetMetric(
            f"{pairs}:cross_validated",
            (f"p_ids_cv_{network}", f"u_ids_cv_{network}"),
            (True, True),
            network=network,
            resampled=False,
        ),
        f"pr_{network}": SetMetric(
            f"{sets}:precision_recall",
            (f"precision_{network}", f"recall_{network}"),
            (True, True),
            network=network,
        ),
    }


SET_METRICS = {k: v for network in NETWORKS for k, v in _of_network(network).items()}

__all__ = [
    "METRICS",
    "REGIONS",
    "SET_METRICS",
    "SSIM_PRESETS",
    "Metric",
    "SetMetric",
    "confusion",
    "cross_validated",
    "frechet_distance",
    "identity_null",
    "identity_scores",
    "kernel_distance",
    "l1",
    "l2",
    "lpips",
    "lpips_hole",
    "lpips_map",
    "lpips_ring",
    "mean_iou",
    "most_scales",
    "ms_ssim",
    "pixel_accuracy",
    "precision_recall",
    "psnr",
    "region_mask",
    "relative_l1",
    "ring",
    "seam",
    "ssim",
    "ssim_map",
    "total_variation",
]
