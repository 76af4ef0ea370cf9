"""Objectives of the DCGAN and inference by latent search (Yeh et al. 2017)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from inpainting_jax import images, layers, losses
from inpainting_jax.layers.discriminators import StridedDiscriminator
from inpainting_jax.layers.normalization import dcgan_scale_init
from inpainting_jax.layers.poisson import poisson_blend
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.latent_search.networks import DCGAN_INIT, SIDE, Generator
from inpainting_jax.methods.latent_search.search import Search, find_latents
from inpainting_jax.types import Array, Aux, Batch, Key, Variables

PRIORS: Mapping[str, Callable[[Key, tuple[int, ...]], Array]] = {
    "uniform": lambda key, shape: jax.random.uniform(key, shape, minval=-1, maxval=1),
    "normal": lambda key, shape: jax.random.normal(key, shape),
}


def _draw_latents(prior: str, keys: Key, size: int) -> Array:
    """[B, size], one latent per image key."""
    return jax.vmap(lambda key: PRIORS[prior](key, (size,)))(keys)


def _check_weights(loss_weights: Mapping[str, float]) -> None:
    unknown = set(loss_weights) - {"adversarial"}
    if unknown:
        raise ValueError(
            f"unknown loss weights {sorted(unknown)} for latent_search; known: "
            "adversarial"
        )


def _generator_objective(
    generator: Generator, discriminator: StridedDiscriminator, prior: str, size: int
):
    """-log D(G(z)), the non-saturating form; no hole is involved."""

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        _check_weights(loss_weights)
        fake, stats = generator.apply(
            {**variables["generator"], "params": params},
            _draw_latents(prior, batch["keys"], size),
            train=True,
            mutable=["batch_stats"],
        )
        logits, _ = discriminator.apply(
            variables["discriminator"], fake, train=True, mutable=["batch_stats"]
        )
        loss = losses.non_saturating_generator_loss(logits).mean()
        metrics = {"generator/adversarial": loss}
        total = loss_weights.get("adversarial", 1.0) * loss
        return total, Aux(metrics, {"generator": stats})

    return objective


def _discriminator_objective(
    generator: Generator, discriminator: StridedDiscriminator, prior: str, size: int
):
    """Cross entropy; real and generated images in separate batches."""

    def objective(
        params: Any,
        variables: Variables,
        key: Key,
        batch: Batch,
        loss_weights: Mapping[str, float],
    ) -> tuple[Array, Aux]:
        del key
        _check_weights(loss_weights)
        keys = jax.vmap(lambda k: jax.random.fold_in(k, 1))(batch["keys"])
        fake, _ = generator.apply(
            variables["generator"],
            _draw_latents(prior, keys, size),
            train=True,
            mutable=["batch_stats"],
        )
        collections = {**variables["discriminator"], "params": params}
        logits = []
        for image in (_fitted(batch["image"]), jax.lax.stop_gradient(fake)):
            result, stats = discriminator.apply(
                collections, image, train=True, mutable=["batch_stats"]
            )
            collections = {**collections, **stats}
            logits.append(result)
        loss = losses.minimax_discriminator_loss(*logits).mean()
        metrics = {
            "discriminator/real_logits": logits[0].mean(),
            "discriminator/fake_logits": logits[1].mean(),
        }
        return loss, Aux(metrics, {"discriminator": stats})

    return objective


def _whole(image: Array) -> Array:
    """[B, 3]: the centred square box that holds all of each image."""
    height, width = image.shape[1:3]
    side = float(max(height, width))
    box = jnp.array([[(height - side) / 2, (width - side) / 2, side]], jnp.float32)
    return jnp.broadcast_to(box, (image.shape[0], 3))


def _fitted(image: Array) -> Array:
    """Images at the size of the generator's, edges repeated where not square."""
    if image.shape[1:3] == (SIDE, SIDE):
        return image
    return layers.zoom_in(image, _whole(image), SIDE)


def _fitted_hole(image: Array, mask: Array) -> tuple[Array, Array]:
    """Image and hole at the generator's size; unknown pixels get no say in known ones.

    A pixel is a hole where it sees more hole than known pixels, or lies outside.
    """
    image = images.mask_image(image, mask)
    if image.shape[1:3] == (SIDE, SIDE):
        return image, mask
    box = _whole(image)
    seen = layers.zoom_in(1 - mask, box, SIDE)
    small = layers.zoom_in(image, box, SIDE) / jnp.maximum(seen, 1e-6)
    height, width = image.shape[1:3]
    step = box[0, 2] / SIDE
    centres = (jnp.arange(SIDE, dtype=jnp.float32) + 0.5) * step
    rows, columns = (
        (centres + box[0, i] > 0) & (centres + box[0, i] < length)
        for i, length in enumerate((height, width))
    )
    inside = (rows[:, None] & columns[None])[None, :, :, None]
    small_mask = jnp.where((seen > 0.5) & inside, 0.0, 1.0)
    return images.mask_image(small, small_mask), small_mask


def _predict(
    generator: Generator,
    discriminator: StridedDiscriminator,
    prior: str,
    size: int,
    search: Search,
    restarts: int,
    poisson: bool,
):
    """Latents by search, then the generator's picture blended into the hole (Eq. 6)."""

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del guide
        small, small_mask = _fitted_hole(image, mask)
        judge = None
        if "discriminator" in variables:

            def judge(pictures: Array) -> Array:
                return discriminator.apply(variables["discriminator"], pictures)

        latents, _ = find_latents(
            key,
            lambda latents: generator.apply(variables["generator"], latents),
            judge,
            # A search is no differentiable function of its image; see the docs.
            jax.lax.stop_gradient(small),
            small_mask,
            draw=lambda key, count: PRIORS[prior](key, (count, size)),
            search=search,
            restarts=restarts,
        )
        prediction = generator.apply(variables["generator"], latents)
        if image.shape[1:3] != (SIDE, SIDE):
            prediction = layers.zoom_out(prediction, _whole(image), *image.shape[1:3])
        blended = prediction
        if poisson:
            known = jax.lax.stop_gradient(images.mask_image(image, mask))
            blended = jnp.clip(poisson_blend(prediction, known, mask), -1, 1)
        return {
            "prediction": prediction,
            "completed": images.composite(image, blended, mask),
        }

    return predict


def build(
    *,
    width: int = 128,
    discriminator_width: int = 64,
    kernel_size: int = 5,
    use_bias: bool = True,
    latent_size: int = 100,
    prior: str = "uniform",
    iterations: int = 1500,
    learning_rate: float = 0.01,
    norm: str = "l1",
    weighted: bool = True,
    window: int = 7,
    prior_weight: float = 0.003,
    non_saturating: bool = False,
    clip: float | None = 1.0,
    restarts: int = 1,
    poisson: bool = True,
    compute_dtype: str = "float32",
) -> Method:
    """The method record of semantic inpainting by latent search.

    Args:
      width: of the generator, see `Generator`.
      discriminator_width: of its first layer; then x2, x4, x8.
      kernel_size: of both networks.
      use_bias: of the generator.
      latent_size: Z, numbers in a latent vector.
      prior: "uniform" in [-1, 1] (the paper) or "normal" (0, 1), in training and for
        the starts of the search.
      iterations: see `Search`, as `learning_rate`, `norm`, `weighted`, `window`,
        `prior_weight`, `non_saturating` and `clip`.
      restarts: searches per image, >= 1.
      poisson: whether the picture's gradients, rather than its colours, fill the hole.
      compute_dtype: "float32" or "bfloat16" for the convolutions in training; the
        search needs float32.
    """
    if prior not in PRIORS:
        raise ValueError(f"unknown prior {prior!r}; known: {', '.join(PRIORS)}")
    if restarts < 1:
        raise ValueError(f"restarts must be at least 1, got {restarts}")
    dtype = jnp.dtype(compute_dtype)
    generator = Generator(width, kernel_size, use_bias, dtype)
    discriminator = StridedDiscriminator(
        tuple(discriminator_width * factor for factor in (1, 2, 4, 8)),
        kernel_size=kernel_size,
        norm_from=2,
        kernel_init=DCGAN_INIT,
        scale_init=dcgan_scale_init,
        dtype=dtype,
    )
    search = Search(
        iterations,
        learning_rate,
        norm,
        weighted,
        window,
        prior_weight,
        non_saturating,
        clip,
    )

    def init(key: Key, batch: Batch) -> Variables:
        del batch  # the networks make 64 x 64 images, whatever they are trained on
        generator_key, discriminator_key = jax.random.split(key)
        return {
            "generator": generator.init(
                generator_key, jnp.zeros((1, latent_size)), train=False
            ),
            "discriminator": discriminator.init(
                discriminator_key, jnp.zeros((1, SIDE, SIDE, 3)), train=False
            ),
        }

    parts = (generator, discriminator, prior, latent_size)
    return Method(
        name="latent_search",
        predict=_predict(*parts, search, restarts, poisson),
        networks={"generator": generator, "discriminator": discriminator},
        init=init,
        objectives={
            "generator": _generator_objective(*parts),
            "discriminator": _discriminator_objective(*parts),
        },
        full_size=False,
        train_size=SIDE,
    )
