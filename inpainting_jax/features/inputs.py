"""How images come to the size and range that pooled networks expect, on the host.

The resizing rule is part of a distance's name: shrinking without antialias moves FID by
six points and more on faces.
"""

import numpy as np
from PIL import Image

EFFICIENTNET_SIDE, INCEPTION_SIDE = 224, 299
RESIZES = ("torch", "clean", "tf")
"""See `inception_input`."""


def efficientnet_input(images: np.ndarray) -> np.ndarray:
    """[N, 224, 224, 3] float32 from [N, H, W, 3] uint8 RGB.

    The whole image, whatever its shape, by Pillow's bicubic filter; then (x - 127)/128.

    Raises:
      ValueError: other shapes or dtypes.
    """
    side = EFFICIENTNET_SIDE
    small = [
        Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
        for image in _checked(images)
    ]
    pixels = np.stack([np.asarray(image, np.float32) for image in small])
    return (pixels - 127) / 128


def inception_input(images: np.ndarray, *, resize: str) -> np.ndarray:
    """[N, 299, 299, 3] float32 from [N, H, W, 3] uint8 RGB.

    Args:
      images: any size.
      resize: `torch`: bilinear between pixel centres, no antialias (pytorch-fid, LaMa);
        `clean`: Pillow's bicubic, a channel at a time in float (clean-fid); `tf`: the
        graph's own bilinear, no antialias, top left pixels aligned (the original).

    Raises:
      ValueError: an unknown `resize`, or other shapes or dtypes.
    """
    if resize not in RESIZES:
        raise ValueError(f"resize={resize!r} must be one of {', '.join(RESIZES)}.")
    images = _checked(images)
    if resize == "clean":
        return np.stack([_clean(image) for image in images])
    rows, columns = (_bilinear(n, resize == "torch") for n in images.shape[1:3])
    pixels = np.einsum("yr,nrcd->nycd", rows, images.astype(np.float32), optimize=True)
    pixels = np.einsum("xc,nycd->nyxd", columns, pixels, optimize=True)
    if resize == "torch":
        return pixels * np.float32(2 / 255) - 1
    return (pixels - 128) / 128


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"features are of uint8 RGB images [N, H, W, 3], got {images.dtype} "
            f"{images.shape}; drop alpha, and repeat grey three times."
        )
    return images


def _clean(image: np.ndarray) -> np.ndarray:
    side = INCEPTION_SIDE
    planes = [
        Image.fromarray(image[..., c].astype(np.float32)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        for c in range(3)
    ]
    pixels = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    return (np.clip(pixels, 0, 255) - 128) / 128


def _bilinear(length: int, centred: bool) -> np.ndarray:
    """[299, length] weights of bilinear sampling without antialias."""
    wanted = np.arange(INCEPTION_SIDE)
    shift = 0.5 if centred else 0.0
    place = (wanted + shift) * length / INCEPTION_SIDE - shift
    place = np.clip(place, 0, length - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, length - 1)
    weights = np.zeros((INCEPTION_SIDE, length), np.float32)
    weights[wanted, low] += 1 - (place - low)
    weights[wanted, high] += place - low
    return weights
