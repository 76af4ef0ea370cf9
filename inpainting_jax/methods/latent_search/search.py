"""The search in the latent space of a generator (Yeh et al. 2017, Sec. 3.2).

`latents` are [N, Z]; everything about one of them is independent of the others, so one
gradient of the sum serves the whole batch, and Adam keeps its moments element by
element.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from inpainting_jax.types import Array, Key

Generate = Callable[[Array], Array]


@dataclasses.dataclass(frozen=True)
class Search:
    """How a latent vector is looked for.

    Attributes:
      iterations: updates; 1500 in the paper.
      learning_rate: of Adam; the paper gives none.
      norm: "l1" or "l2" (squared), of the context loss.
      weighted: whether known pixels near the hole weigh more (Eq. 3).
      window: side of the window of these weights, odd; 7 in the paper.
      prior_weight: lambda of Eq. 5; 0.003 in the paper.
      non_saturating: -log D instead of the paper's log(1 - D).
      clip: latents are clipped to [-clip, clip] after each update; None for never.
    """

    iterations: int = 1500
    learning_rate: float = 0.01
    norm: str = "l1"
    weighted: bool = True
    window: int = 7
    prior_weight: float = 0.003
    non_saturating: bool = False
    clip: float | None = 1.0

    def __post_init__(self):
        if self.norm not in ("l1", "l2"):
            raise ValueError(f"norm must be 'l1' or 'l2', got {self.norm!r}")
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"window must be an odd number >= 1, got {self.window}")
        if self.iterations < 0:
            raise ValueError(f"iterations must be >= 0, got {self.iterations}")


def importance_weights(mask: Array, *, window: int = 7) -> Array:
    """Share of hole pixels around each known pixel, 0 in the hole (Eq. 3).

    The window includes the pixel itself; beyond the border the image is mirrored, edge
    pixels included.

    Args:
      mask: [B, H, W, 1], 1 = hole.
      window: side, odd.

    Returns:
      [B, H, W, 1] in [0, 1). In a solid hole's surroundings only a rim of
      (window - 1) / 2 pixels is above 0.
    """
    margin = window // 2
    padded = jnp.pad(
        mask, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="symmetric"
    )
    sums = jax.lax.reduce_window(
        padded, 0.0, jax.lax.add, (1, window, window, 1), (1, 1, 1, 1), "VALID"
    )
    return sums / window**2 * (1 - mask)


def context_loss(
    generated: Array, image: Array, weights: Array, *, norm: str = "l1"
) -> Array:
    """Weighted distance to the known pixels, summed over pixels and channels (Eq. 4).

    Args:
      generated: [N, H, W, C].
      image: [N, H, W, C]; finite everywhere.
      weights: [N, H, W, 1], 0 in the hole.
      norm: "l1", or "l2" for the sum of squares.

    Returns:
      [N].
    """
    difference = weights * (generated - image)
    distance = jnp.abs(difference) if norm == "l1" else difference**2
    return distance.sum(axis=(1, 2, 3))


def prior_loss(logits: Array, *, non_saturating: bool = False) -> Array:
    """log(1 - D) (Eq. 5), or -log D, of logits [N, 1]; [N], not yet times lambda."""
    logits = logits.reshape(logits.shape[0])
    if non_saturating:
        return jax.nn.softplus(-logits)
    return -jax.nn.softplus(logits)


def find_latents(
    key: Key,
    generate: Generate,
    judge: Callable[[Array], Array] | None,
    image: Array,
    mask: Array,
    *,
    draw: Callable[[Key, int], Array],
    search: Search,
    restarts: int = 1,
) -> tuple[Array, Array]:
    """The latent of each image whose picture agrees best with the known pixels.

    Args:
      key: decides the starts; the same for every image of the batch, so that an
        image's result does not depend on its company.
      generate: latents [N, Z] to images [N, H, W, C].
      judge: images to logits [N, 1], or None for no prior loss.
      image: [B, H, W, C] in [-1, 1], finite; its hole has no weight.
      mask: [B, H, W, 1], 1 = hole.
      draw: (key, count) -> [count, Z] starts.
      search: how.
      restarts: searches per image; the one of lowest loss wins.

    Returns:
      [B, Z], and the losses [B, restarts] (context + prior) of the best iterates.
    """
    count = image.shape[0]
    if search.weighted:
        weights = importance_weights(mask, window=search.window)
    else:
        weights = 1 - mask
    image, weights = (jnp.repeat(x, restarts, axis=0) for x in (image, weights))

    def losses(latents: Array) -> Array:
        generated = generate(latents)
        total = context_loss(generated, image, weights, norm=search.norm)
        if judge is not None and search.prior_weight:
            prior = prior_loss(judge(generated), non_saturating=search.non_saturating)
            total += search.prior_weight * prior
        return total

    best, best_losses = _descend(
        losses, jnp.tile(draw(key, restarts), (count, 1)), search
    )
    best_losses = best_losses.reshape(count, restarts)
    chosen = jnp.argmin(best_losses, axis=1) + jnp.arange(count) * restarts
    return best[chosen], best_losses


def _descend(
    losses: Callable[[Array], Array], latents: Array, search: Search
) -> tuple[Array, Array]:
    """Adam on all latents at once; each one's best iterate and its loss."""
    optimizer = optax.adam(search.learning_rate)

    def total(latents: Array) -> tuple[Array, Array]:
        each = losses(latents)
        return each.sum(), each

    def keep_best(best, latents, each):
        better = each < best[1]
        kept = jnp.where(better[:, None], latents, best[0])
        return kept, jnp.where(better, each, best[1])

    def update(carry, _):
        latents, state, best = carry
        gradient, each = jax.grad(total, has_aux=True)(latents)
        best = keep_best(best, latents, each)
        change, state = optimizer.update(gradient, state)
        latents = latents + change
        if search.clip is not None:
            latents = jnp.clip(latents, -search.clip, search.clip)
        return (latents, state, best), None

    worst = jnp.full(latents.shape[0], jnp.inf)
    start = (latents, optimizer.init(latents), (latents, worst))
    (latents, _, best), _ = jax.lax.scan(update, start, length=search.iterations)
    return keep_best(best, latents, losses(latents))
