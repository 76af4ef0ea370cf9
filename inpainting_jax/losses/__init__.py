"""Loss terms: pure functions, one value per image; the caller averages and weighs."""

from inpainting_jax.losses.adversarial import (
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    minimax_discriminator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from inpainting_jax.losses.cascaded import (
    balancing_factors,
    class_distances,
    diversity_loss,
    record_terms,
    start_balance,
)
from inpainting_jax.losses.critic_gradients import gradient_penalty, r1_penalty
from inpainting_jax.losses.labels import cross_entropy_loss
from inpainting_jax.losses.perceptual import perceptual_loss
from inpainting_jax.losses.reconstruction import (
    discount_weights,
    l1_loss,
    l2_loss,
    masked_l1_loss,
    masked_l2_loss,
    overlap_weights,
    weighted_l1_loss,
    weighted_l2_loss,
)
from inpainting_jax.losses.style import gram_matrix, style_loss
from inpainting_jax.losses.total_variation import dilate, total_variation_loss

__all__ = [
    "balancing_factors",
    "class_distances",
    "cross_entropy_loss",
    "dilate",
    "discount_weights",
    "diversity_loss",
    "feature_matching_loss",
    "gradient_penalty",
    "gram_matrix",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "l1_loss",
    "l2_loss",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "masked_l1_loss",
    "masked_l2_loss",
    "minimax_discriminator_loss",
    "minimax_generator_loss",
    "non_saturating_generator_loss",
    "overlap_weights",
    "perceptual_loss",
    "r1_penalty",
    "record_terms",
    "start_balance",
    "style_loss",
    "total_variation_loss",
    "wasserstein_discriminator_loss",
    "wasserstein_generator_loss",
    "weighted_l1_loss",
    "weighted_l2_loss",
]
