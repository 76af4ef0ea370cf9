"""Methods ready to use (the door) and measured side by side (the evaluation).

The public names are imported when first used: a command that completes one image, or
only tells its flags, needs no data sets, metrics and statistics.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inpainting_jax.evaluation.evaluate import evaluate_inpainters
    from inpainting_jax.evaluation.report import Report
    from inpainting_jax.evaluation.scores import evaluate_method
    from inpainting_jax.evaluation.sets import EvaluationSet, build_set

_MODULES = {
    "EvaluationSet": "sets",
    "Report": "report",
    "build_set": "sets",
    "evaluate_inpainters": "evaluate",
    "evaluate_method": "scores",
}

__all__ = [
    "EvaluationSet",
    "Report",
    "build_set",
    "evaluate_inpainters",
    "evaluate_method",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for (PEP 562)."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
