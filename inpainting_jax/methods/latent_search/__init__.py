"""Semantic inpainting by search in the latent space of a GAN (Yeh et al., CVPR 2017).

First a DCGAN learns to draw images like those of the data, without any hole; then, for
one image with a hole, the latent vector is sought whose picture agrees with the known
pixels and looks real to the discriminator, and that picture is blended into the hole.
Paper: arXiv 1607.07539. Made for 64 x 64 images of one kind of thing (aligned faces):
where the generator cannot draw the picture, the search cannot find it.

Local vocabulary: a "latent" is the vector z the generator draws from; a "restart" is
one of several searches for the same image. The paper's mask is 1 on known pixels; here,
as everywhere in this library, 1 = hole.

Traps: the weights of the context loss count HOLE pixels around a known one (an early
public release had them inverted); the context loss is a sum, so the prior's weight of
0.003 is small indeed; batch normalisation runs on its running values in the search.
"""

from inpainting_jax.methods.latent_search.method import build
from inpainting_jax.methods.latent_search.networks import Generator
from inpainting_jax.methods.latent_search.search import (
    Search,
    context_loss,
    find_latents,
    importance_weights,
    prior_loss,
)

__all__ = [
    "Generator",
    "Search",
    "build",
    "context_loss",
    "find_latents",
    "importance_weights",
    "prior_loss",
]
