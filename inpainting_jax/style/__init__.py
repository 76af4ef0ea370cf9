"""Style transfer, on whose losses and feature networks the perceptual methods rest.

`style_transfer` optimises the pixels of one picture (Gatys, Ecker, Bethge 2016);
`TransformerNet` is a network that repaints any photograph in one style at once
(Johnson, Alahi, Fei-Fei 2016), and `fit_transformer` trains it. Neither inpaints.
"""

from inpainting_jax.style.gatys import Stylised, style_transfer
from inpainting_jax.style.johnson import fit_transformer, transformer_loss
from inpainting_jax.style.perception import Perception
from inpainting_jax.style.transformer import TransformerNet

__all__ = [
    "Perception",
    "Stylised",
    "TransformerNet",
    "fit_transformer",
    "style_transfer",
    "transformer_loss",
]
