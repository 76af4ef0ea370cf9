"""The training loss of cascaded refinement networks (Chen and Koltun 2017, Sec. 4).

Differences of features, pixel by pixel, weighed by the classes of the layout; for a
network that draws several images at once, each class is judged by the image that does
it best ("diversity loss"); and the rule that balances the layers. The paper:
https://arxiv.org/abs/1707.09405. Axes: B images, k pictures of each, N classes.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from inpainting_jax.layers.resize import resize_area
from inpainting_jax.types import Array

Statistics = Mapping[str, Array]
"""`{"count": updates seen, term: running mean, ...}`, float32 scalars."""

_COUNT = "count"


def class_distances(features: Array, target: Array, weights: Array) -> Array:
    """Mean absolute difference in one layer, by picture and class (Eq. 3, inner part).

    Args:
      features: [B, k, h, w, C] of the k pictures drawn for each image.
      target: [B, h, w, C] of the true image; it gets no gradient.
      weights: [B, H, W, N], H >= h, W >= w: one-hot labels, [B, H, W, 1] ones where
        there are none, or either times a map of weights. They are averaged over the
        area of each of the layer's pixels.

    Returns:
      [B, k, N] float32: mean over pixels of weight times mean difference of channels.

    Raises:
      ValueError: shapes that do not correspond.
    """
    batch, _, height, width, channels = features.shape
    if target.shape != (batch, height, width, channels) or len(weights) != batch:
        raise ValueError(
            f"features {features.shape} need a target {(batch, *features.shape[2:])} "
            f"and weights of {batch} images, got {target.shape} and {weights.shape}"
        )
    target = jax.lax.stop_gradient(target).astype(jnp.float32)
    difference = jnp.abs(features.astype(jnp.float32) - target[:, None]).mean(axis=-1)
    shares = resize_area(weights.astype(jnp.float32), height, width)
    total = jnp.einsum(
        "bkhw,bhwn->bkn", difference, shares, precision=jax.lax.Precision.HIGHEST
    )
    return total / (height * width)


def diversity_loss(distances: Array, *, best_weight: float = 0.999) -> Array:
    """Each class by its best picture, and a little of all of them (Eq. 4).

    Args:
      distances: [B, k, N] of `class_distances`, summed over layers by their weights.
      best_weight: of the best picture, in [0, 1]; the mean over pictures, without which
        a picture that is never best would not learn, has the rest.

    Returns:
      [B]; the plain sum over classes for k = 1.
    """
    best = distances.min(axis=1).sum(axis=-1)
    mean = distances.mean(axis=1).sum(axis=-1)
    return best_weight * best + (1 - best_weight) * mean


def start_balance(names: Sequence[str]) -> Statistics:
    """Statistics of terms of which none has been seen yet."""
    return {name: jnp.zeros((), jnp.float32) for name in (_COUNT, *names)}


def record_terms(
    statistics: Statistics, terms: Mapping[str, Array], *, window: int = 3000
) -> Statistics:
    """The statistics after one more update.

    Args:
      statistics: of `start_balance`, or of the last call.
      terms: unweighed scalars, of the names given there or some of them.
      window: updates over which the running mean reaches: exact up to there, then
        forgetting exponentially. The number of updates of an epoch in the paper.
    """
    count = statistics[_COUNT] + 1
    rate = 1 / jnp.minimum(count, float(window))
    means = {
        name: statistics[name] + rate * (jax.lax.stop_gradient(term) - statistics[name])
        for name, term in terms.items()
    }
    return {**statistics, **means, _COUNT: count}


def balancing_factors(statistics: Statistics, reference: str) -> dict[str, Array]:
    """What makes every term contribute as much as `reference` (Sec. 4, the lambdas).

    The authors' code states the reciprocals: conv1_2 divided by 1.6 and so on.

    Args:
      statistics: of `record_terms`.
      reference: the term whose factor is 1; `input`, the pixels, in the code.

    Returns:
      `{term: factor}`, scalars; 1 for a term that was never seen or is 0.
    """
    known = {name: mean for name, mean in statistics.items() if name != _COUNT}
    if reference not in known:
        raise ValueError(f"no term {reference!r} to balance by; known: {list(known)}")
    base = known[reference]

    def factor(mean: Array) -> Array:
        usable = (mean > 0) & (base > 0)
        return jnp.where(usable, base / jnp.where(usable, mean, 1.0), 1.0)

    return {name: factor(mean) for name, mean in known.items()}
