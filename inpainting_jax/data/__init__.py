"""Images for training and evaluation: sources, views, batches, guides, preparation."""

from inpainting_jax.data.pipeline import (
    TrainBatches,
    eval_images,
    eval_views,
    train_batches,
)
from inpainting_jax.data.sources import Source, open_source

__all__ = [
    "Source",
    "TrainBatches",
    "eval_images",
    "eval_views",
    "open_source",
    "train_batches",
]
