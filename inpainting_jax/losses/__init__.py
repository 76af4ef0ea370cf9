"""Loss terms: pure functions, one value per image; the caller averages and weighs."""

from inpainting_jax.losses.adversarial import (
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from inpainting_jax.losses.reconstruction import l1_loss, masked_l1_loss

__all__ = [
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "l1_loss",
    "masked_l1_loss",
]
