"""Frozen pre-trained networks whose activations metrics and losses compare."""

from inpainting_jax.features.alexnet import alexnet_features
from inpainting_jax.features.weights import MissingWeightsError, lpips_weights

__all__ = ["MissingWeightsError", "alexnet_features", "lpips_weights"]
