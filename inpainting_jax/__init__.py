"""Image inpainting in JAX. The public names are imported when first used.

import inpainting_jax as ij
completed = ij.inpaint(image, mask, method="patchmatch")
fill = ij.load("deepfill_v2")
completed = fill(image, mask)
"""

import importlib
from typing import TYPE_CHECKING, Any

from inpainting_jax.version import __version__

if TYPE_CHECKING:
    from inpainting_jax import converters, layers, losses, masks, methods, metrics
    from inpainting_jax.evaluation.inpainter import Inpainter
    from inpainting_jax.evaluation.predict import (
        inpaint,
        list_methods,
        list_weights,
        load,
    )

_FUNCTIONS = {
    "Inpainter": "inpainting_jax.evaluation.inpainter",
    "inpaint": "inpainting_jax.evaluation.predict",
    "list_methods": "inpainting_jax.evaluation.predict",
    "list_weights": "inpainting_jax.evaluation.predict",
    "load": "inpainting_jax.evaluation.predict",
}
_PACKAGES = ("converters", "layers", "losses", "masks", "methods", "metrics")

__all__ = [
    "Inpainter",
    "__version__",
    "converters",
    "inpaint",
    "layers",
    "list_methods",
    "list_weights",
    "load",
    "losses",
    "masks",
    "methods",
    "metrics",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for (PEP 562)."""
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
