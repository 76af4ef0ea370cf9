"""The inpainting systems, one paper per file, and the one table that names them."""

from inpainting_jax.methods.base import Method
from inpainting_jax.registry import Registry

_HERE = "inpainting_jax.methods"

METHODS = Registry(
    "method",
    {
        "telea": f"{_HERE}.classical:build_telea",
        "navier_stokes": f"{_HERE}.classical:build_navier_stokes",
        "biharmonic": f"{_HERE}.classical:build_biharmonic",
        "patchmatch": f"{_HERE}.patchmatch:build",
        "deepfill_v1": f"{_HERE}.deepfill_v1:build",
        "deepfill_v2": f"{_HERE}.deepfill_v2:build",
        "context_encoder": f"{_HERE}.context_encoder:build",
        "global_local": f"{_HERE}.global_local:build",
        "pggan": f"{_HERE}.pggan:build",
        "latent_search": f"{_HERE}.latent_search:build",
        "partial_conv": f"{_HERE}.partial_conv:build",
        "neural_patch": f"{_HERE}.neural_patch:build",
        "cascaded_refinement": f"{_HERE}.cascaded_refinement:build",
        "spg_net": f"{_HERE}.spg_net:build",
    },
)

__all__ = ["METHODS", "Method"]
