"""Metrics against scikit-image, PyTorch libraries and TensorFlow on photographs."""

import numpy as np
import pytest

from inpainting_jax import metrics

PRESETS = metrics.SSIM_PRESETS
# name in the file -> our function, and the largest absolute error allowed (relative for
# total variation): about three times what was measured when the file was first met.
PHOTOGRAPHS = {
    "psnr_skimage": (metrics.psnr, 1e-5),
    "psnr_torchmetrics": (metrics.psnr, 1e-5),
    "mse": (metrics.l2, 1e-8),
    "mae": (metrics.l1, 3e-8),
    "ssim_skimage_gaussian_11_1p5": (metrics.ssim, 2e-6),
    "ssim_pytorch_msssim": (metrics.ssim, 1e-5),
    "ssim_skimage_uniform7": (
        lambda a, b: metrics.ssim(a, b, **PRESETS["skimage"]),
        5e-6,
    ),
    "ssim_torchmetrics": (
        lambda a, b: metrics.ssim(a, b, **PRESETS["torchmetrics"]),
        5e-5,
    ),
    "ssim_skimage_gaussian_gray": (lambda a, b: metrics.ssim(a, b, grey=True), 3e-5),
    "msssim_pytorch_msssim": (metrics.ms_ssim, 5e-6),
}
TENSORFLOW = {
    "psnr": (metrics.psnr, 1e-5),
    "ssim": (metrics.ssim, 6e-5),
    "ssim_uint8": (metrics.ssim, 6e-5),
    "msssim": (metrics.ms_ssim, 1e-5),
}


@pytest.fixture(params=["b", "composite"])
def photographs(request, golden):
    """The three pairs as one batch, their masks, and a reader of stored values."""
    stored = golden("metrics_skimage_torch")
    truth, other, mask = (
        np.stack([stored[f"p{i}/{name}"] for i in range(3)])
        for name in ("a_u8", "b_u8", "mask")
    )
    mask = mask[..., None]
    if request.param == "composite":
        other = np.where(mask > 0, other, truth)

    def read(name, file="metrics_skimage_torch"):
        data = golden(file)
        return [float(data[f"p{i}/{request.param}/{name}_f64"]) for i in range(3)]

    return truth, other, mask, read


def test_values_of_scikit_image_and_torch_libraries(photographs):
    truth, other, _, read = photographs
    for name, (metric, tolerance) in PHOTOGRAPHS.items():
        np.testing.assert_allclose(
            metric(truth, other), read(name), atol=tolerance, rtol=0, err_msg=name
        )
    np.testing.assert_allclose(
        metrics.total_variation(other),
        read("total_variation_torchmetrics_sum"),
        rtol=1e-6,
    )


def test_values_inside_the_hole(photographs):
    truth, other, mask, read = photographs
    np.testing.assert_allclose(
        metrics.psnr(truth, other, mask), read("psnr_inside_hole"), atol=1e-5
    )
    np.testing.assert_allclose(
        metrics.ssim(truth, other, mask),
        read("ssim_skimage_gaussian_map_mean_inside_hole"),
        atol=2e-6,
    )


def test_values_of_tensorflow(photographs):
    truth, other, _, read = photographs
    for name, (metric, tolerance) in TENSORFLOW.items():
        np.testing.assert_allclose(
            metric(truth, other),
            read(name, "metrics_tf"),
            atol=tolerance,
            rtol=0,
            err_msg=name,
        )
    np.testing.assert_allclose(
        metrics.total_variation(other), read("total_variation", "metrics_tf"), rtol=2e-6
    )
