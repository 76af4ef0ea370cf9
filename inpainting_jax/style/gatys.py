"""The picture of one photograph in the style of another (Gatys, Ecker, Bethge 2016).

A Neural Algorithm of Artistic Style, https://arxiv.org/abs/1508.06576: the pixels
themselves are optimised until deep features equal those of the content image and Gram
matrices those of the style image. The paper's network is VGG19 with average pooling.

Local vocabulary: N_l channels and M_l = H W pixels of layer l, as in the paper.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from inpainting_jax import runtime
from inpainting_jax.features import FeatureNetwork
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.style.perception import Perception, gram_distances, grams_of
from inpainting_jax.types import Array

CONTENT_TAP = "conv4_2"
STYLE_TAPS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
OPTIMIZERS = ("lbfgs", "adam")
STARTS = ("content", "noise")


class Stylised(NamedTuple):
    """The result of `style_transfer`.

    Attributes:
      image: [B, H, W, 3] in [-1, 1].
      losses: [steps] of the weighted loss before each step, summed over the batch.
    """

    image: Array
    losses: Array


def content_loss(features: Array, target: Array) -> Array:
    """0.5 sum (F - P)^2 (Eq. 1); [B, h, w, C] to [B]."""
    return 0.5 * jnp.sum((features - target) ** 2, axis=(1, 2, 3))


def style_loss(grams: Sequence[Array], target: Sequence[Array]) -> Array:
    """The mean over layers of sum (G - A)^2 / (4 N^2 M^2) (Eq. 4 and 5), [B].

    Args:
      grams: [B, N, N] of each layer, divided by its M.
      target: [1 or B, N, N] of the style image, likewise by its own M: the images may
        differ in size.
    """
    return gram_distances(grams, target).mean(axis=0) / 4


def style_transfer(
    content: Array,
    style: Array,
    *,
    network: FeatureNetwork,
    steps: int = 300,
    content_weight: float = 1e-4,
    style_weight: float = 1.0,
    content_tap: str = CONTENT_TAP,
    style_taps: Sequence[str] = STYLE_TAPS,
    optimizer: str = "lbfgs",
    learning_rate: float = 2.0,
    start: str = "content",
    seed: int = 0,
) -> Stylised:
    """Paints `content` in the style of `style` by optimising pixels.

    Args:
      content: [B, H, W, 3] in [-1, 1].
      style: [1, h, w, 3] or [B, h, w, 3] in [-1, 1], of any size.
      network: `features.feature_network(...)`; VGG19 in the paper, whose layers VGG16
        has too. A random network (`is_random`) paints textures of its own making.
      steps: of the optimiser; L-BFGS looks at the picture once or more often in each.
      content_weight: alpha; the ratio to beta is 1e-3 to 1e-4 in the paper.
      style_weight: beta.
      content_tap: layer whose features are kept.
      style_taps: layers whose Gram matrices are imitated, all of equal weight.
      optimizer: "lbfgs" or "adam".
      learning_rate: of Adam, in grey levels (0..255).
      start: "content", or white "noise" as in the paper.
      seed: of the noise.

    Raises:
      ValueError: an unknown choice, or images that do not fit each other.
    """
    for kind, value, known in (
        ("optimizer", optimizer, OPTIMIZERS),
        ("start", start, STARTS),
    ):
        if value not in known:
            raise UnknownNameError(kind, value, dict.fromkeys(known))
    if content.ndim != 4 or style.ndim != 4 or len(style) not in (1, len(content)):
        raise ValueError(
            "content [B, H, W, 3] needs a style [1, h, w, 3] or one for each image, "
            f"got {content.shape} and {style.shape}"
        )
    perception = Perception(network, (content_tap,), tuple(style_taps), "average")
    picture = content
    if start == "noise":
        noise = jax.random.normal(jax.random.key(seed), content.shape)
        picture = 0.2 * noise
    by_adam = optimizer == "adam"
    chain = optax.adam(learning_rate / 127.5) if by_adam else optax.lbfgs()
    weights = (content_weight, style_weight)
    targets = _targets(perception, content, style)
    picture, values = _optimise(perception, picture, targets, weights, chain, steps)
    return Stylised(jnp.clip(picture, -1, 1), values)


@runtime.compiled
def _targets(perception: Perception, content: Array, style: Array):
    """Features of the content image and Gram matrices of the style image."""
    (kept,), _ = perception.features(content)
    _, imitated = perception.features(style)
    return kept, grams_of(imitated, normalization="hw")


@functools.partial(runtime.compiled, static_argnames=("chain", "steps"))
def _optimise(
    perception: Perception,
    picture: Array,
    targets: tuple[Array, list[Array]],
    weights: tuple[float, float],
    chain: optax.GradientTransformationExtraArgs,
    steps: int,
) -> tuple[Array, Array]:
    """The picture after `steps` steps, and the loss before each."""
    kept, grams = targets
    alpha, beta = weights

    def loss(picture: Array) -> Array:
        (ours,), style = perception.features(picture)
        painted = style_loss(grams_of(style, normalization="hw"), grams)
        return (alpha * content_loss(ours, kept) + beta * painted).sum()

    step = functools.partial(_step, loss, optax.with_extra_args_support(chain))
    start = (picture, chain.init(picture))
    (picture, _), values = jax.lax.scan(step, start, length=steps)
    return picture, values


def _step(loss: Callable[[Array], Array], chain, carry, _):
    """One update; L-BFGS hands the value on that its line search ended with."""
    picture, state = carry
    if optax.tree.get(state, "value") is None:
        value, gradient = jax.value_and_grad(loss)(picture)
    else:
        value, gradient = optax.value_and_grad_from_state(loss)(picture, state=state)
    updates, state = chain.update(
        gradient, state, picture, value=value, grad=gradient, value_fn=loss
    )
    return (optax.apply_updates(picture, updates), state), value
