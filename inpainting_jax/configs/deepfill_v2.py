"""DeepFill v2 (Yu et al. 2019): gated convolution, SN-PatchGAN, free-form holes.

  python -m launch.train --config=inpainting_jax/configs/deepfill_v2.py:small \
      --workdir=runs/deepfill_v2 --config.data.source=folder:/path/to/photographs

Presets: `paper` (256 px, 4.1 M parameters, batch 16: days on one GPU), `small` (128 px,
same networks: an hour of one GPU), `tiny` (64 px, 1/4 of the width: minutes on a laptop
CPU; tests and the demo use it), `cpu` (64 px, 1/2 of the width: hours of two CPU cores;
the shipped weights). `sketch` and `tiny_sketch` are `small` and `tiny` with the edge
guide. The paper reports, inside the holes of Places2 at 256 px, L1 8.6 % for
rectangles and 9.1 % for free-form masks (read from memory of its Table 1).
"""

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "small", "cpu", "tiny", "sketch", "tiny_sketch")


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of deepfill_v2; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "deepfill_v2"
    config.preset = preset

    config.data.flip = False  # the authors do not mirror
    config.fresh_batches = True  # each update has its own images, as in their code
    config.masks = "deepfill"  # box OR strokes

    config.model.width = 24  # cnum 48 counts features and gates
    config.model.discriminator_width = 64
    config.model.guided = False
    config.model.fuse = True
    config.model.shared_mask = False  # True: the first mask for all, as the authors do
    config.model.padding = "SAME"
    config.model.resize_rule = "align_corners"

    config.phases.joint.steps = 1_000_000  # "until converged"
    config.phases.joint.order = ("discriminator", "generator")
    config.phases.joint.loss_weights = ConfigDict(
        {
            "l1": 1.0,  # whole image, coarse + refined
            "adversarial": 1.0,  # 0.1 if the coarse fill turns grey
        }
    )
    adam = {"name": "adam", "learning_rate": 1e-4, "b1": 0.5, "b2": 0.999}
    config.optimizers = ConfigDict(
        {"generator": dict(adam), "discriminator": dict(adam)}
    )
    config.ema.generator = 0.999  # ours: the paper keeps the last weights

    if preset != "paper":
        config.masks = "deepfill(scale=True)"  # strokes as wide as at 256 px, in share
        config.evaluation.masks = config.masks
        config.data.flip = True
    if preset in ("small", "sketch"):
        config.data.image_size = 128
        config.phases.joint.steps = 60_000
        config.evaluation.every = 5000
    if preset == "cpu":
        _fit_two_cores(config)
    if preset in ("tiny", "tiny_sketch"):
        _shrink(config)
    if preset in ("sketch", "tiny_sketch"):
        config.model.guided = True
        config.data.guide = "edges"
    return config


def _shrink(config: ConfigDict) -> None:
    """A laptop's worth: same structure, 1/4 of the width, L1 first."""
    config.data.image_size = 64
    config.batch_size = 8
    config.fresh_batches = False
    config.model.width = 6
    config.model.discriminator_width = 16
    config.phases.joint.steps = 1000
    config.phases.joint.loss_weights.adversarial = 0.01
    config.phases.joint.loss_weights.l1_hole = 1.0  # short runs: the hole counts more
    config.optimizers.generator.learning_rate = 1e-3
    config.optimizers.discriminator.learning_rate = 4e-4
    config.ema.generator = 0.99
    config.log_every = 20
    config.sample_every = 200
    config.checkpoint_every = 200
    config.evaluation.every = 200
    config.evaluation.images = 16


def _fit_two_cores(config: ConfigDict) -> None:
    """Hours of two CPU cores: L1 alone first, then with the discriminator."""
    config.data.image_size = 64
    config.fresh_batches = False
    config.model.width = 12
    config.model.discriminator_width = 32
    config.schedule = ("warmup", "joint")
    config.phases.warmup = ConfigDict(
        {"steps": 2500, "order": ("generator",), "loss_weights": {"l1": 1.0}}
    )
    config.phases.joint.steps = 20_000
    config.phases.joint.loss_weights.adversarial = 0.05
    config.optimizers.generator.learning_rate = 4e-4
    config.optimizers.discriminator.learning_rate = 4e-4
    config.checkpoint_every = 250
    config.sample_every = 500
    config.evaluation.every = 500
    config.evaluation.images = 128
