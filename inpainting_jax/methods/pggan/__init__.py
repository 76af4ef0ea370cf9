"""PGGAN: patch-based inpainting with two adversaries in one (Demir and Unal, 2018).

A residual encoder-decoder with dilated blocks fills the hole; the discriminator's first
layers are shared by a head that judges the whole image and a head that judges every
overlapping patch of it (PatchGAN). Paper: arXiv 1803.07422. This is *not* the
progressive growing of GANs that the same five letters usually stand for.

Only the abstract, a published outline and the survey that this library implements could
be consulted, no code of the authors: everything beyond them is memory or our choice,
see `docs/methods.md`, and an argument of `build` where that makes sense.

Local vocabulary: "interpolated convolution" is a resize followed by an ordinary
convolution, in place of a transposed one, which would draw checkerboards.
"""

from inpainting_jax.methods.pggan.method import build
from inpainting_jax.methods.pggan.networks import Discriminator, Generator

__all__ = ["Discriminator", "Generator", "build"]
