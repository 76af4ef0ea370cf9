"""PatchMatch (Barnes et al. 2009) image completion with voting (Wexler et al. 2007)."""

from inpainting_jax.methods.patchmatch.field import nearest_neighbour_field
from inpainting_jax.methods.patchmatch.method import build, complete
from inpainting_jax.methods.patchmatch.options import Options

__all__ = ["Options", "build", "complete", "nearest_neighbour_field"]
