"""The generator of DCGAN for 64 x 64 images (Radford et al. 2016, Fig. 1).

The discriminator is `layers.discriminators.StridedDiscriminator`.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax import layers
from inpainting_jax.layers.normalization import dcgan_scale_init
from inpainting_jax.types import Array

SIDE = 64
"""Side of the images that DCGAN makes."""

DCGAN_INIT = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """Latent vector to image: a dense layer to 4 x 4, then four doublings.

    Layers are `project`, `deconv1` to `deconv4`.

    Attributes:
      width: channels of the last hidden layer; 128 gives 1024, 512, 256, 128 and, with
        100 latent numbers, 18,872,323 parameters.
      kernel_size: of the transposed convolutions; 5 in the codes of Yeh et al.'s
        followers, 4 in PyTorch's tutorial.
      use_bias: False as in PyTorch's tutorial.
      dtype: compute type; the image is float32.
    """

    width: int = 128
    kernel_size: int = 5
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, latent: Array, *, train: bool = False) -> Array:
        """Images [B, 64, 64, 3] in (-1, 1).

        Args:
          latent: [B, Z].
          train: whether batch normalisation uses the batch; `batch_stats` must then be
            mutable.
        """
        norm = layers.batch_norm(train, scale_init=dcgan_scale_init)
        features = nn.Dense(
            4 * 4 * 8 * self.width,
            use_bias=self.use_bias,
            kernel_init=DCGAN_INIT,
            dtype=self.dtype,
            name="project",
        )(latent)
        features = features.reshape(-1, 4, 4, 8 * self.width)
        features = nn.relu(norm(name="project_norm")(features))
        for index in range(1, 5):
            last = index == 4
            features = layers.TransposedConvBlock(
                3 if last else self.width * 2 ** (3 - index),
                (self.kernel_size, self.kernel_size),
                use_bias=self.use_bias,
                norm=None if last else norm,
                activation=None if last else nn.relu,
                kernel_init=DCGAN_INIT,
                dtype=self.dtype,
                name=f"deconv{index}",
            )(features)
        return jnp.tanh(features.astype(jnp.float32))
