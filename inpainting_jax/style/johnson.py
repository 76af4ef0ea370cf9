"""Training of an image transformation network (Johnson, Alahi, Fei-Fei 2016, Sec. 3).

https://arxiv.org/abs/1603.08155; layers, weights and optimiser are the defaults of the
authors' code, jcjohnson/fast-neural-style, whose layer numbers 4, 9, 16, 23 are Torch's
for relu1_2 to relu4_3 of VGG16.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from inpainting_jax import runtime
from inpainting_jax.features import FeatureNetwork
from inpainting_jax.style.perception import Perception, gram_distances, grams_of
from inpainting_jax.style.transformer import TransformerNet
from inpainting_jax.types import Array, Key, Variables

CONTENT_TAP = "relu3_3"
STYLE_TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


class Fitted(NamedTuple):
    """The result of `fit_transformer`.

    Attributes:
      variables: of the network: `net.apply(variables, image)`.
      losses: [steps] of the weighted loss before each step, averaged over the batch.
    """

    variables: Variables
    losses: Array


def squared_variation(image: Array) -> Array:
    """0.5 sum of squared differences to the right and below, in grey levels; [B].

    The last row and column start no pair, as in the authors' code.

    Args:
      image: [B, H, W, 3] in [-1, 1].
    """
    corner = image[:, :-1, :-1]
    down, across = image[:, 1:, :-1] - corner, image[:, :-1, 1:] - corner
    return 0.5 * 127.5**2 * jnp.sum(down**2 + across**2, axis=(1, 2, 3))


def transformer_loss(
    pictures: Array,
    image: Array,
    style_grams: Sequence[Array],
    *,
    perception: Perception,
    content_weight: float = 1.0,
    style_weight: float = 5.0,
    tv_weight: float = 1e-6,
) -> Array:
    """Feature reconstruction, style reconstruction and smoothness (Eq. 2, 4, 5), [B].

    Args:
      pictures: [B, H, W, 3] of the network, near [-1, 1].
      image: [B, H, W, 3], what they were painted from.
      style_grams: [1 or B, C, C] of each style layer of the style image, normalised by
        C H W.
      perception: the layers that are compared, and the network they are of.
      content_weight: of the mean squared difference of the content layers.
      style_weight: of the mean squared difference of each Gram matrix.
      tv_weight: of `squared_variation`.
    """
    kept, painted = perception.features(pictures)
    target, _ = perception.features(image)
    content = sum(
        jnp.mean((ours - jax.lax.stop_gradient(theirs)) ** 2, axis=(1, 2, 3))
        for ours, theirs in zip(kept, target, strict=True)
    )
    grams = grams_of(painted, normalization="chw")
    style = gram_distances(grams, style_grams).sum(axis=0)
    smooth = squared_variation(pictures)
    return content_weight * content + style_weight * style + tv_weight * smooth


def fit_transformer(
    key: Key,
    images: Array,
    style: Array,
    *,
    network: FeatureNetwork,
    net: TransformerNet | None = None,
    steps: int = 40_000,
    batch_size: int = 4,
    learning_rate: float = 1e-3,
    content_weight: float = 1.0,
    style_weight: float = 5.0,
    tv_weight: float = 1e-6,
) -> Fitted:
    """Trains a network to repaint photographs in one style, all in one compiled loop.

    Args:
      key: decides the initial weights and which images each step sees.
      images: [N, S, S, 3] in [-1, 1], drawn from with replacement; S a multiple of 4
        (256, of MS-COCO, in the paper).
      style: [1, h, w, 3] in [-1, 1].
      network: `features.feature_network("vgg16")` in the paper.
      net: the network to be trained; None = `TransformerNet()`.
      steps: of Adam.
      batch_size: images a step.
      learning_rate: of Adam.
      content_weight: see `transformer_loss`, like the next two.
      style_weight: see there.
      tv_weight: see there.
    """
    net = TransformerNet() if net is None else net
    perception = Perception(network, (CONTENT_TAP,), STYLE_TAPS)
    loss = functools.partial(
        transformer_loss,
        content_weight=content_weight,
        style_weight=style_weight,
        tv_weight=tv_weight,
    )
    return _fit(
        key, perception, images, style, net, loss, learning_rate, batch_size, steps
    )


@functools.partial(runtime.compiled, static_argnums=(4, 5, 6, 7, 8))
def _fit(
    key: Key,
    perception: Perception,
    images: Array,
    style: Array,
    net: TransformerNet,
    loss,
    learning_rate: float,
    batch_size: int,
    steps: int,
) -> Fitted:
    """`fit_transformer`, compiled; the feature network's weights are arguments."""
    _, painted = perception.features(style)
    grams = grams_of(painted, normalization="chw")
    chain = optax.adam(learning_rate)
    init_key, run_key = jax.random.split(key)
    variables = net.init(init_key, images[:1])

    def objective(params, variables, batch):
        pictures, changed = net.apply(
            {**variables, "params": params}, batch, train=True, mutable=["batch_stats"]
        )
        terms = loss(pictures, batch, grams, perception=perception)
        return terms.mean(), changed

    def update(carry, key_of_step):
        variables, state = carry
        rows = jax.random.randint(key_of_step, (batch_size,), 0, len(images))
        params = variables["params"]
        (value, changed), gradient = jax.value_and_grad(objective, has_aux=True)(
            params, variables, images[rows]
        )
        updates, state = chain.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return ({**variables, **changed, "params": params}, state), value

    keys = jax.random.split(run_key, steps)
    start = (dict(variables), chain.init(variables["params"]))
    (variables, _), values = jax.lax.scan(update, start, keys)
    return Fitted(variables, values)
