"""Methods ready to use (the door) and measured side by side (the evaluation)."""

from inpainting_jax.evaluation.evaluate import evaluate_inpainters
from inpainting_jax.evaluation.report import Report
from inpainting_jax.evaluation.scores import evaluate_method
from inpainting_jax.evaluation.sets import EvaluationSet, build_set

__all__ = [
    "EvaluationSet",
    "Report",
    "build_set",
    "evaluate_inpainters",
    "evaluate_method",
]
