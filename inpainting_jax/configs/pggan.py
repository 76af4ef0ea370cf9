"""PGGAN, patch and global adversaries together (Demir and Unal 2018).

  python -m launch.train --config=inpainting_jax/configs/pggan.py:small \
      --workdir=runs/pggan --config.data.source=folder:/path/to/photographs

Not the progressive growing of GANs. Presets: `paper` (256 px, 11.4 M + 13.3 M
parameters, batch 16: about a day of one large GPU by estimate), its ablations `res` (no
dilation), `patch_only` and `global_only` (one head each), `small` (128 px, half the
width: hours of one GPU), `tiny` (64 px, narrow: minutes on a laptop CPU; tests use it).
The paper's tables could not be consulted: no published scores are given here. Values
marked [M] are from memory, [D] our choice where nothing was to be had.
"""

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "res", "patch_only", "global_only", "small", "tiny")


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of pggan; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "pggan"
    config.preset = preset

    config.data.image_size = 256  # [M]
    config.batch_size = 16  # [D]
    # A centred square or one anywhere, half the side of the image [M].
    config.masks = "center:0.5,box(shrink=0):0.5"
    config.evaluation.masks = config.masks

    config.model.width = 64  # [D], as all below
    config.model.discriminator_width = 64
    config.model.dilations = (1, 2, 2, 4, 4, 8, 8, 2, 1)
    config.model.dilated_position = "first"  # "none" is the plain residual generator
    config.model.resize = "nearest"
    config.model.use_mask = True
    config.model.judged = "composite"
    config.model.hole_weight = 1.0

    # Steps of L1 alone before the adversaries join.
    config.schedule = ("warmup", "joint")
    config.phases.warmup = ConfigDict(
        {"steps": 0, "order": ("generator",), "loss_weights": {"l1": 1.0}}
    )
    # 100 epochs of the 14,900 images of Paris StreetView [D].
    config.phases.joint.steps = 93_000
    config.phases.joint.order = ("discriminator", "generator")
    config.phases.joint.loss_weights = ConfigDict(  # [M]
        {"l1": 0.995, "adversarial_global": 0.0025, "adversarial_patch": 0.0025}
    )
    adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}  # [M]/[D]
    config.optimizers = ConfigDict(
        {"generator": dict(adam), "discriminator": dict(adam)}
    )

    weights = config.phases.joint.loss_weights
    if preset == "res":
        config.model.dilated_position = "none"
    if preset == "patch_only":
        weights.adversarial_global, weights.adversarial_patch = 0.0, 0.005
    if preset == "global_only":
        weights.adversarial_global, weights.adversarial_patch = 0.005, 0.0
    if preset == "small":
        config.data.image_size = 128
        config.model.width = 32
        config.model.discriminator_width = 32
        config.phases.joint.steps = 30_000
        config.evaluation.every = 5000
    if preset == "tiny":
        _shrink(config)
    return config


def _shrink(config: ConfigDict) -> None:
    """A laptop's worth: narrow, five blocks, L1 first."""
    config.data.image_size = 64
    config.batch_size = 8
    config.model.width = 12
    config.model.discriminator_width = 8
    config.model.dilations = (1, 2, 4, 8, 1)
    config.model.hole_weight = 4.0  # short runs: the hole counts more
    config.phases.warmup.steps = 600
    config.phases.joint.steps = 1000
    config.data.min_scale = 0.4  # few photographs: crops of many sizes
    decay = {
        "schedule": "cosine",
        "init_value": 1e-3,
        "decay_steps": 1600,
        "alpha": 0.01,
    }
    config.optimizers.generator = ConfigDict(
        {"name": "adam", "learning_rate": decay, "b1": 0.5, "b2": 0.999}
    )
    config.optimizers.discriminator.learning_rate = 5e-4
    config.overfit_steps = 200
    config.log_every = 20
    config.sample_every = 400
    config.checkpoint_every = 400
    config.evaluation.every = 400
    config.evaluation.images = 16
