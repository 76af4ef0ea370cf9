"""Image inpainting in JAX. The public names are imported when first used."""

from inpainting_jax.version import __version__

__all__ = ["__version__"]
