"""The network of Chen and Koltun 2017 (Sec. 3), for any layout and image size."""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax import images, layers
from inpainting_jax.types import Array

CONDITIONS = ("masked_image", "layout")


def one_hot_layout(guide: Array, classes: int) -> Array:
    """[B, H, W, classes + 1] from label numbers [B, H, W, 1]; the last = unlabelled."""
    numbers = jnp.round(guide[..., 0]).astype(jnp.int32)
    known = jax.nn.one_hot(numbers, classes, dtype=jnp.float32)
    return jnp.concatenate([known, 1 - known.sum(axis=-1, keepdims=True)], axis=-1)


def halve(planes: Array) -> Array:
    """The mean of each 2 x 2 block of [B, H, W, C]."""
    height, width = planes.shape[1:3]
    return layers.resize_area(planes, height // 2, width // 2)


def layout_pyramid(layout: Array, levels: int) -> list[Array]:
    """The layout at each size, the smallest first, each the half of the next."""
    pyramid = [layout]
    for _ in range(levels - 1):
        pyramid.append(halve(pyramid[-1]))
    return pyramid[::-1]


def image_pyramid(image: Array, mask: Array, levels: int) -> list[Array]:
    """Colour and share of the hole at each size, the smallest first, [B, h, w, 4].

    The colour is the mean of the known pixels under it (0 where there are none), so
    that a small map is not darkened by the hole.

    Args:
      image: [B, H, W, 3] in [-1, 1]; its hole is not read.
      mask: [B, H, W, 1], 1 = hole.
      levels: number of sizes; H and W are multiples of 2**(levels - 1).
    """
    valid = 1 - mask
    total = images.mask_image(image, mask)
    pyramid = []
    for _ in range(levels):
        colour = jnp.where(valid > 0, total / jnp.where(valid > 0, valid, 1), 0)
        pyramid.append(jnp.concatenate([colour, 1 - valid], axis=-1))
        if len(pyramid) < levels:
            total, valid = halve(total), halve(valid)
    return pyramid[::-1]


class RefinementModule(nn.Module):
    """Two convolutions, each layer-normalised, on the doubled features and the input.

    Attributes:
      features: channels that leave it.
      epsilon: of the normalisation.
      dtype: of the convolutions.
    """

    features: int
    epsilon: float = 1e-12
    dtype: Any = None

    @nn.compact
    def __call__(self, features: Array | None, planes: Array) -> Array:
        """[B, h, w, features] from those of the last module, if any, and its planes."""
        if features is not None:
            doubled = layers.resize_bilinear(features, *planes.shape[1:3])
            planes = jnp.concatenate([doubled, planes.astype(doubled.dtype)], axis=-1)
        norm = functools.partial(
            nn.LayerNorm,
            epsilon=self.epsilon,
            reduction_axes=(1, 2, 3),
            feature_axes=-1,
            # E[x^2] - E[x]^2 loses digits, and there is no epsilon to speak of.
            use_fast_variance=False,
        )
        for i in (1, 2):
            planes = layers.ConvBlock(
                self.features,
                use_bias=False,
                norm=norm,
                activation=functools.partial(nn.leaky_relu, negative_slope=0.2),
                dtype=self.dtype,
                name=f"conv{i}",
            )(planes)
        return planes


class Generator(nn.Module):
    """The cascade; `module0` is the coarsest, `to_image` the linear layer on top.

    Attributes:
      channels: that leave each module, the coarsest first. The paper's 256p network has
        five modules of 1024 and two of 512, its coarsest map is 4 x 8.
      condition: what a module sees beside the layout: "masked_image" (colours and mask)
        or nothing, "layout" (the paper).
      classes: label numbers of the layout; 0 = there is no layout.
      pictures: k, how many images it draws at once.
      epsilon: of the layer normalisation.
      dtype: of the convolutions.
    """

    channels: Sequence[int] = (1024,) * 5 + (512, 512)
    condition: str = "masked_image"
    classes: int = 0
    pictures: int = 1
    epsilon: float = 1e-12
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Array, mask: Array, guide: Array | None = None) -> Array:
        """The pictures drawn.

        Args:
          image: [B, H, W, 3] in [-1, 1], H and W multiples of 2**(modules - 1); its
            hole is not read, nor anything of it under condition "layout".
          mask: [B, H, W, 1], 1 = hole.
          guide: [B, H, W, 1] label numbers, anything else than 0..classes-1 counts as
            unlabelled; None = all of it is.

        Returns:
          [B, k, H, W, 3] float32, not bounded, near [-1, 1].
        """
        levels = len(self.channels)
        height, width = image.shape[1:3]
        if height % 2 ** (levels - 1) or width % 2 ** (levels - 1):
            raise ValueError(
                f"{levels} modules need a height and a width that are multiples of "
                f"{2 ** (levels - 1)}, got {height} x {width}"
            )
        planes = []
        if self.classes:
            if guide is None:
                guide = jnp.full(mask.shape, self.classes, jnp.float32)
            layout = one_hot_layout(guide, self.classes)
            planes.append(layout_pyramid(layout, levels))
        if self.condition == "masked_image":
            planes.append(image_pyramid(image, mask, levels))
        features = None
        for i, count in enumerate(self.channels):
            seen = jnp.concatenate([pyramid[i] for pyramid in planes], axis=-1)
            features = RefinementModule(
                count, epsilon=self.epsilon, dtype=self.dtype, name=f"module{i}"
            )(features, seen)
        drawn = layers.ConvBlock(
            3 * self.pictures,
            kernel_size=(1, 1),
            activation=None,
            dtype=self.dtype,
            name="to_image",
        )(features)
        return split_pictures(drawn.astype(jnp.float32), self.pictures)


def split_pictures(drawn: Array, pictures: int) -> Array:
    """[B, k, H, W, 3] from [B, H, W, 3 k]: k reds, k greens, k blues."""
    coloured = drawn.reshape(*drawn.shape[:3], 3, pictures)
    return jnp.moveaxis(coloured, -1, 1)
