"""VGG16 and VGG19, whose activations the perceptual losses compare.

Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556; the convolutional part.
Taps are named by block and position: "relu1_2" (also "conv1_2", which is what loss
papers mean by it), "conv1_2_pre" before the ReLU, "pool1".

Traps: torchvision's `features` indices 4, 9, 16 are pool1, pool2, pool3, while Torch7's
(Johnson et al. 2016) 4, 9, 16 are relu1_2, relu2_2, relu3_3. Weights fit one
normalisation of the input only, see `normalise`; the wrong one changes a style loss by
orders of magnitude and nothing complains, so weights carry the name of theirs.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.layers.conv import convolve
from inpainting_jax.types import Array

BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions of the five blocks."""

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the blocks' feature maps."""

NORMS = ("torch", "caffe", "caffe_rgb", "signed")
POOLINGS = ("max", "average", "average_same")

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # red, green, blue in 0..255

Layers = Mapping[str, Mapping[str, Array]]


def conv_names(network: str) -> list[str]:
    """`conv1_1`, `conv1_2`, ...: the convolutions of `vgg16` or `vgg19`, in order.

    Raises:
      ValueError: an unknown network.
    """
    if network not in BLOCKS:
        raise ValueError(f"unknown network {network!r}; known: {', '.join(BLOCKS)}")
    return [
        f"conv{block}_{i}"
        for block, count in enumerate(BLOCKS[network], 1)
        for i in range(1, count + 1)
    ]


def kernel_shapes(network: str) -> dict[str, tuple[int, int, int, int]]:
    """`{convolution: (3, 3, I, O)}`."""
    shapes, channels = {}, 3
    for name in conv_names(network):
        outputs = CHANNELS[int(name[4]) - 1]
        shapes[name] = (3, 3, channels, outputs)
        channels = outputs
    return shapes


def tap_names(network: str) -> list[str]:
    """Every name that `vgg_features` takes as a tap."""
    convs = conv_names(network)
    relus = [name.replace("conv", "relu") for name in convs]
    pools = [f"pool{block}" for block in range(1, 6)]
    return [*relus, *pools, *convs, *(f"{name}_pre" for name in convs)]


def normalise(image: Array, norm: str) -> Array:
    """From RGB in [-1, 1] to what weights of the convention `norm` expect.

    Args:
      image: [B, H, W, 3] in [-1, 1], float32.
      norm: "torch": ([0, 1] - mean) / std of ImageNet (torchvision's weights); "caffe":
        BGR in 0..255 less its mean (Keras, Caffe, Torch7); "caffe_rgb": the same in RGB
        (MatConvNet: CRN); "signed": as it is (pix2pixHD).

    Raises:
      ValueError: an unknown convention.
    """
    if norm == "signed":
        return image
    if norm == "torch":
        mean, std = jnp.asarray(_MEAN), jnp.asarray(_STD)
        return ((image + 1) / 2 - mean[None, None, None]) / std[None, None, None]
    if norm in ("caffe", "caffe_rgb"):
        centred = (image + 1) * 127.5 - jnp.asarray(_CAFFE_MEAN)[None, None, None]
        return centred[..., ::-1] if norm == "caffe" else centred
    raise ValueError(f"unknown norm {norm!r}; known: {', '.join(NORMS)}")


def vgg_features(
    network: str,
    layers: Layers,
    image: Array,
    taps: Sequence[str],
    *,
    pooling: str = "max",
) -> tuple[Array, ...]:
    """The activations named by `taps`, [B, h, w, C] each, in the dtype of `image`.

    Computes no further than the deepest tap; layers beyond it need not be there.

    Args:
      network: `vgg16` or `vgg19`.
      layers: `{convolution: {"kernel": [3, 3, I, O], "bias": [O]}}`.
      image: [B, H, W, 3], normalised as the weights expect.
      taps: see the module's docstring; any order.
      pooling: "max" or "average" (Gatys), both dropping an odd last row; or
        "average_same" (CRN), which averages what is there of an incomplete window.

    Raises:
      ValueError: an unknown network, tap or pooling, or an image too small for a tap.
    """
    known = tap_names(network)
    unknown = [tap for tap in taps if tap not in known]
    if unknown or pooling not in POOLINGS:
        raise ValueError(
            f"unknown taps {unknown} or pooling {pooling!r} of {network}; taps: reluX_Y"
            f", convX_Y, convX_Y_pre, poolX; poolings: {', '.join(POOLINGS)}"
        )
    found: dict[str, Array] = {}
    features = image
    for block, count in enumerate(BLOCKS[network], 1):
        for i in range(1, count + 1):
            if all(tap in found for tap in taps):
                return tuple(found[tap] for tap in taps)
            name = f"conv{block}_{i}"
            layer = {k: jnp.asarray(v) for k, v in layers[name].items()}
            features = convolve(features, layer["kernel"], layer["bias"])
            found[f"{name}_pre"] = features
            features = jax.nn.relu(features)
            found[name] = found[f"relu{block}_{i}"] = features
        if min(features.shape[1:3]) > 1:
            features = found[f"pool{block}"] = _pool(features, pooling)
        elif any(tap not in found for tap in taps):
            raise ValueError(
                f"an image of {image.shape[1]} x {image.shape[2]} pixels leaves nothing"
                f" to pool after block {block} of {network}; taps asked for: "
                f"{', '.join(taps)}"
            )
    return tuple(found[tap] for tap in taps)


def _pool(features: Array, pooling: str) -> Array:
    """Halves height and width."""
    batch, height, width, channels = features.shape
    if pooling == "average_same":
        window, strides = (1, 2, 2, 1), (1, 2, 2, 1)
        total, count = (
            jax.lax.reduce_window(
                x, jnp.zeros((), x.dtype), jax.lax.add, window, strides, "SAME"
            )
            for x in (features, jnp.ones((1, height, width, 1), features.dtype))
        )
        return total / count
    rows, columns = height // 2, width // 2
    blocks = features[:, : 2 * rows, : 2 * columns].reshape(
        batch, rows, 2, columns, 2, channels
    )
    return blocks.max(axis=(2, 4)) if pooling == "max" else blocks.mean(axis=(2, 4))


@dataclasses.dataclass(frozen=True)
class FeatureNetwork:
    """A frozen VGG: which one, its weights, and the input that they expect.

    Attributes:
      network: `vgg16` or `vgg19`.
      layers: `{convolution: {"kernel": HWIO, "bias": [O]}}`.
      norm: of the input, see `normalise`.
      origin: where the weights come from, for messages and cards.
      is_random: whether they are drawn, not trained: distances then mean little, and
        whatever is made with them must say so.
      dtype: of the computation: "float32" or "bfloat16".
    """

    network: str
    layers: Layers
    norm: str
    origin: str
    is_random: bool = False
    dtype: str = "float32"

    def __call__(
        self, image: Array, taps: Sequence[str], *, pooling: str = "max"
    ) -> tuple[Array, ...]:
        """Activations of RGB images [B, H, W, 3] in [-1, 1]; see `vgg_features`."""
        normalised = normalise(image.astype(jnp.float32), self.norm)
        return vgg_features(
            self.network,
            self.layers,
            normalised.astype(self.dtype),
            taps,
            pooling=pooling,
        )


def random_vgg(
    network: str = "vgg16", *, seed: int = 0, dtype: str = "float32"
) -> FeatureNetwork:
    """A VGG of weights drawn from N(0, 2 / fan-in), for tests and offline trials.

    Its features keep distances roughly, but know nothing of pictures: results made with
    it are not those of any paper.
    """
    rng = np.random.default_rng(seed)
    layers = {}
    for name, shape in kernel_shapes(network).items():
        scale = math.sqrt(2 / math.prod(shape[:3]))
        kernel = scale * rng.standard_normal(shape, np.float32)
        layers[name] = {
            "kernel": kernel.astype(np.float32),
            "bias": np.zeros(shape[3], np.float32),
        }
    return FeatureNetwork(
        network=network,
        layers=layers,
        norm="torch",
        origin=f"random weights, seed {seed}: not trained",
        is_random=True,
        dtype=dtype,
    )
