"""Frozen pre-trained networks whose activations metrics and losses compare."""

from inpainting_jax.features.alexnet import alexnet_features
from inpainting_jax.features.pooled import (
    NETWORKS,
    PooledNetwork,
    pooled_network,
)
from inpainting_jax.features.vgg import FeatureNetwork, random_vgg, vgg_features
from inpainting_jax.features.vgg_weights import (
    feature_network,
    from_torchvision,
    load_vgg,
    read_vgg,
    save_vgg,
)
from inpainting_jax.features.weights import MissingWeightsError, lpips_weights

__all__ = [
    "NETWORKS",
    "FeatureNetwork",
    "MissingWeightsError",
    "PooledNetwork",
    "alexnet_features",
    "feature_network",
    "from_torchvision",
    "load_vgg",
    "lpips_weights",
    "pooled_network",
    "random_vgg",
    "read_vgg",
    "save_vgg",
    "vgg_features",
]
