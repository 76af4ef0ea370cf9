"""Batch and instance normalisation as the published inpainting networks configure it.

Ioffe and Szegedy 2015. Under `jit` the statistics are those of the global batch, under
`pmap` those of a device's part of it. Running variances average the biased variance
(TensorFlow's habit; PyTorch's are larger by n / (n - 1)).
"""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp

from inpainting_jax.types import Array, Key


def batch_norm(
    train: bool,
    *,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    scale_init: nn.initializers.Initializer = nn.initializers.ones,
) -> Callable[..., nn.BatchNorm]:
    """A builder of batch normalisations, for the `norm` field of a block.

    Args:
      train: whether to use (and record) the batch's statistics, else the running ones.
      momentum: of the running statistics; 0.9 is PyTorch's 0.1.
      epsilon: added to the variance.
      scale_init: of the scale; DCGAN draws it from N(1, 0.02), see `dcgan_scale_init`.
    """
    return functools.partial(
        nn.BatchNorm,
        use_running_average=not train,
        # E[x^2] - E[x]^2 loses digits where a channel has few values or a large mean.
        use_fast_variance=False,
        momentum=momentum,
        epsilon=epsilon,
        scale_init=scale_init,
    )


def instance_norm(
    *, affine: bool = False, epsilon: float = 1e-5
) -> Callable[..., nn.InstanceNorm]:
    """A builder of instance normalisations (Ulyanov et al. 2016), for `norm` fields.

    Args:
      affine: whether they own a scale and a bias; pix2pixHD's do not.
      epsilon: added to the variance.
    """
    return functools.partial(
        nn.InstanceNorm,
        use_fast_variance=False,
        epsilon=epsilon,
        use_scale=affine,
        use_bias=affine,
    )


def dcgan_scale_init(key: Key, shape: Sequence[int], dtype: jnp.dtype) -> Array:
    """Draws from N(1, 0.02), as DCGAN does its scales (Radford et al. 2016, Sec. 4)."""
    return 1 + nn.initializers.normal(0.02)(key, shape, dtype)
