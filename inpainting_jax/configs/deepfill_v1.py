"""DeepFill v1 (Yu et al. 2018): contextual attention, Wasserstein critics, boxes.

  python -m launch.train --config=inpainting_jax/configs/deepfill_v1.py:small \
      --workdir=runs/deepfill_v1 --config.data.source=folder:/path/to/photographs

Presets: `paper` (256 px, 3.6 M parameters and two critics of 7.1 M, batch 16, five
critic updates a step: the paper names about 120 hours of a GTX 1080, from memory),
`small` (128 px, same generator, critics half as wide: hours of one GPU), `tiny`
(64 px, 1/4 of the width, one critic update a step: minutes on a laptop CPU; tests and
the demo use it).

Published, Places2 at 256 px with boxes (the paper's Table 1 from memory, the region
presumably the hole): L1 8.6 %, L2 2.1 %, PSNR 18.91, total variation 25.3 %. mmagic's
README, whole image: Places365 L1 11.0, PSNR 23.43, SSIM 0.862; CelebA-HQ 6.7, 26.88,
0.911.
"""

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "small", "tiny")


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of deepfill_v1; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "deepfill_v1"
    config.preset = preset

    config.data.flip = False  # the authors do not mirror
    config.fresh_batches = True  # each update has its own images, as in their code
    config.masks = "box"  # half the side, losing up to 16 px per side
    config.evaluation.masks = "center"  # the authors validate on 128 px in the middle

    config.model.width = 32
    config.model.discriminator_width = 64
    config.model.local_size = 128  # side of the box before it shrinks
    config.model.local_factor = 8  # 4 in daa233's code
    config.model.coarse_weight = 1.2  # COARSE_L1_ALPHA
    config.model.gamma = 0.9  # the paper's text says 0.99
    config.model.masked_penalty = True  # of the slope in the hole only
    config.model.padding = "SAME"
    config.model.resize_rule = "align_corners"
    config.model.fuse = True
    config.model.shared_mask = False  # True: the first mask for all, as the authors do

    config.phases.joint.steps = 1_000_000  # MAX_ITERS
    config.phases.joint.order = ("discriminator",) * 5 + ("generator",)
    config.phases.joint.loss_weights = ConfigDict(
        {
            "l1": 1.2,  # L1_LOSS_ALPHA, on the window
            "ae": 1.2,  # AE_LOSS_ALPHA, on the known part
            "adversarial": 0.001,  # GAN_LOSS_ALPHA
            "gradient_penalty": 10.0,  # WGAN_GP_LAMBDA
        }
    )
    adam = {"name": "adam", "learning_rate": 1e-4, "b1": 0.5, "b2": 0.9}
    config.optimizers = ConfigDict(
        {"generator": dict(adam), "discriminator": dict(adam)}
    )
    config.ema.generator = 0.999  # ours: the paper keeps the last weights

    if preset != "paper":
        config.data.flip = True
    if preset == "small":
        config.data.image_size = 128
        config.model.local_size = 64
        config.model.discriminator_width = 32
        config.phases.joint.steps = 60_000
        config.evaluation.every = 5000
    if preset == "tiny":
        _shrink(config)
    return config


def _shrink(config: ConfigDict) -> None:
    """A laptop's worth: same structure, 1/4 of the width, one critic update a step."""
    config.data.image_size = 64
    config.batch_size = 8
    config.fresh_batches = False
    config.model.width = 8
    config.model.discriminator_width = 8
    config.model.local_size = 32
    config.phases.joint.steps = 1000
    config.phases.joint.order = ("discriminator", "generator")
    config.phases.joint.loss_weights.l1_hole = 1.0  # short runs: the hole counts more
    decay = {
        "schedule": "cosine",
        "init_value": 1e-3,
        "decay_steps": 1000,
        "alpha": 0.01,
    }
    config.optimizers.generator = ConfigDict(
        {"name": "adam", "learning_rate": decay, "b1": 0.5, "b2": 0.9}
    )
    config.optimizers.discriminator.learning_rate = 4e-4
    config.data.min_scale = 0.4  # few photographs: crops of many sizes
    config.ema.generator = 0.99
    config.overfit_steps = 150  # each has five critic updates
    config.log_every = 20
    config.sample_every = 200
    config.checkpoint_every = 200
    config.evaluation.every = 200
    config.evaluation.images = 16
