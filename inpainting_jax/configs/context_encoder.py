"""Context Encoder (Pathak et al. 2016): a 4000-unit bottleneck predicts the hole.

  python -m launch.train --config=inpainting_jax/configs/context_encoder.py:small \
      --workdir=runs/context_encoder --config.data.source=folder:/path/to/photographs

Presets: `paper` (the centre of 128 px images, 71 M parameters, batch 64, 500 epochs of
14,900 images: a day of one GPU, estimated), `small` (half the width, 1000 units, 30,000
steps: about an hour of one GPU, estimated), `tiny` (64 px, 1/4 of the width: minutes on
a laptop CPU; tests and the demo use it). `random` is the released network for holes of
any form (128 px), `channelwise` the paper's feature learning (227 px, L2 alone). A
centre network fills other holes by zooming until they lie in its centre.

The paper reports, for the centre of Paris StreetView's test images at 128 px, mean L1
10.33 %, mean L2 2.35 %, PSNR 17.59 dB [read in the CVPR paper]; its arXiv version 2
9.37 %, 1.96 %, 18.58 dB [third-party]. Pixels in [0, 1]; whether the 64 px or the
inner 56 px are scored is not stated.
"""

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "small", "tiny", "random", "channelwise")


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of context_encoder; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "context_encoder"
    config.preset = preset

    config.data.image_size = 128
    # The authors crop from images of 350 px on the short side; here from 128 to 350.
    config.data.min_scale = 128 / 350
    config.batch_size = 64
    config.masks = "center(size=0.390625)"  # 50 of 128 pixels: the square less its ring

    config.model.variant = "center"
    config.model.image_size = 128
    config.model.width = 64
    config.model.discriminator_width = 64
    config.model.bottleneck = 4000
    config.model.overlap = 7  # Sec. 3.2; 4 in the authors' code
    config.model.ring_weight = 10.0  # Sec. 3.2

    config.phases.joint.steps = 116_400  # 500 epochs of 14,900 images (authors' README)
    config.phases.joint.order = ("discriminator", "generator")
    config.phases.joint.loss_weights = ConfigDict(
        {"l2": 0.999, "adversarial": 0.001}  # Sec. 3.2
    )
    adam = {"name": "adam", "b1": 0.5, "b2": 0.999}
    config.optimizers = ConfigDict(
        {
            "generator": {**adam, "learning_rate": 2e-3},  # ten times D's, Sec. 5.1
            "discriminator": {**adam, "learning_rate": 2e-4},
        }
    )

    if preset in ("small", "tiny"):
        config.model.overlap = 4  # authors' code
        config.masks = "center(size=0.4375)"  # 56 of 128 pixels
        config.evaluation.every = 5000
    if preset == "small":
        config.model.width = 32
        config.model.discriminator_width = 32
        config.model.bottleneck = 1000
        config.phases.joint.steps = 30_000
    elif preset == "tiny":
        _shrink(config)
    elif preset == "random":
        config.model.variant = "random"
        config.masks = "pattern"  # the released code's random regions, 20 to 30 %
    elif preset == "channelwise":
        _learn_features(config)
    config.evaluation.masks = config.masks
    return config


def _shrink(config: ConfigDict) -> None:
    """A laptop's worth: 64 px, same structure less one stage, 1/4 of the width."""
    config.data.image_size = 64
    config.data.min_scale = 0.5
    config.batch_size = 8
    config.model.image_size = 64
    config.model.width = 16
    config.model.discriminator_width = 16
    config.model.bottleneck = 256
    config.model.overlap = 2  # 28 of 64 pixels are blanked, as 56 of 128
    config.phases.joint.steps = 3000
    config.ema.generator = 0.99
    config.overfit_steps = 300
    config.log_every = 20
    config.sample_every = 200
    config.checkpoint_every = 200
    config.evaluation.every = 200
    config.evaluation.images = 16


def _learn_features(config: ConfigDict) -> None:
    """AlexNet's encoder and the channel-wise layer, L2 on the hole alone (Sec. 5.2)."""
    config.data.image_size = 227
    config.data.min_scale = 227 / 350
    config.masks = "pattern(scale=True)"
    config.model = ConfigDict(
        {"variant": "channelwise", "image_size": 227, "width": 64, "dropout": 0.5}
    )
    config.phases.joint.steps = 100_000
    config.phases.joint.order = ("generator",)  # "did not converge with AlexNet"
    config.phases.joint.loss_weights = ConfigDict({"l2": 1.0})
    config.optimizers = ConfigDict(
        # 1e-3 for centre holes
        {"generator": {"name": "adam", "learning_rate": 1e-4, "b1": 0.9, "b2": 0.999}}
    )
