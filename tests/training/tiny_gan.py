"""A GAN of two small networks for the tests of the training: a second to compile.

The discriminator has a collection of its own, `stats`, that its objective returns
through `Aux.updates`, as spectral normalisation does.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from inpainting_jax.configs import base
from inpainting_jax.images import composite, mask_image
from inpainting_jax.methods import Method
from inpainting_jax.types import Aux


class Generator(nn.Module):
    @nn.compact
    def __call__(self, image, mask):
        x = jnp.concatenate([mask_image(image, mask), mask], axis=-1)
        x = nn.elu(nn.Conv(8, (3, 3))(x))
        return jnp.tanh(nn.Conv(3, (3, 3))(x))


class Discriminator(nn.Module):
    @nn.compact
    def __call__(self, image, *, update_stats=False):
        x = nn.elu(nn.Conv(4, (3, 3), strides=2)(image))
        level = self.variable("stats", "level", jnp.zeros, (1, 1, 1, 4))
        if update_stats:
            level.value = 0.9 * level.value + 0.1 * x.mean((0, 1, 2), keepdims=True)
        return nn.Conv(1, (3, 3))(x - level.value).mean((1, 2, 3))


def build(*, poison: bool = False) -> Method:
    """The method; with `poison`, an l1 weight above 1 makes the loss NaN."""
    generator, discriminator = Generator(), Discriminator()

    def generator_objective(params, variables, key, batch, loss_weights):
        image, mask = batch["image"], batch["mask"]
        prediction = generator.apply({"params": params}, image, mask)
        completed = composite(image, prediction, mask)
        l1 = jnp.abs(completed - image).mean((1, 2, 3))
        logits = discriminator.apply(variables["discriminator"], completed)
        loss = loss_weights["l1"] * l1 - loss_weights["adversarial"] * logits
        loss = loss.mean()
        if poison:
            loss = jnp.where(loss_weights["l1"] > 1, jnp.nan, 1.0) * loss
        return loss, Aux({"l1": l1.mean(), "hole": mask.mean()})

    def discriminator_objective(params, variables, key, batch, loss_weights):
        image, mask = batch["image"], batch["mask"]
        prediction = generator.apply(variables["generator"], image, mask)
        own = {**variables["discriminator"], "params": params}
        real, stats = discriminator.apply(
            own, image, update_stats=True, mutable=["stats"]
        )
        fake = discriminator.apply(own, composite(image, prediction, mask))
        loss = (nn.relu(1 - real) + nn.relu(1 + fake)).mean()
        return loss, Aux({}, {"discriminator": stats})

    def init(key, batch):
        keys = jax.random.split(key)
        return {
            "generator": generator.init(keys[0], batch["image"], batch["mask"]),
            "discriminator": discriminator.init(keys[1], batch["image"]),
        }

    def predict(variables, key, image, mask, guide=None):
        prediction = generator.apply(variables["generator"], image, mask)
        return {"raw": prediction, "completed": composite(image, prediction, mask)}

    return Method(
        name="tiny_gan",
        predict=predict,
        networks={"generator": generator, "discriminator": discriminator},
        init=init,
        objectives={
            "generator": generator_objective,
            "discriminator": discriminator_objective,
        },
    )


def get_config():
    """Eight images of 16 pixels, Adam for both, 8 steps, no evaluation."""
    config = base.get_config()
    config.method = "tiny_gan"
    config.data.source = "procedural"
    config.data.image_size = 16
    config.data.threads = 1
    config.data.prefetch = 1
    config.batch_size = 8
    config.masks = "center"  # random ones take seconds to compile
    config.phases.joint.steps = 8
    config.phases.joint.order = ("discriminator", "generator")
    config.phases.joint.loss_weights.l1 = 1.0
    config.phases.joint.loss_weights.adversarial = 0.1
    for name in ("generator", "discriminator"):
        config.optimizers[name] = {"name": "adam", "learning_rate": 1e-3}
    config.ema.generator = 0.9
    config.log_every = 1
    config.sample_every = 0
    config.checkpoint_every = 4
    return config
