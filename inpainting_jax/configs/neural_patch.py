"""Neural patch synthesis (Yang et al. 2017): a content network, then texture.

  python -m launch.train --config=inpainting_jax/configs/neural_patch.py:small \
      --workdir=runs/neural_patch --config.data.source=folder:/path/to/photographs

Training concerns the content network alone; completing an image optimises its pixels
through VGG features (pip install -e '.[features]'), about a minute of one GPU for a 256
pixel hole, many minutes of a CPU. Presets: `paper` (128 px, 71 M parameters, batch 64,
500 epochs of 14,900 images: a day of one GPU, estimated), `cnnmrf` (the same network as
released, with the texture stage of the authors' "faster" code), `small` (half the
width: about an hour of one GPU, estimated), `cpu` (3/8 of the width, some 15 minutes of
two quiet CPU cores), `tiny` (64 px, the content network alone: minutes; tests use it).
Training looks at pictures only with --config.model.features=none (the content network
alone) and --config.evaluation.every=500 --config.sample_every=500.

The paper reports for the centre of Paris StreetView's test images at 128 px: mean L1
10.01 %, mean L2 2.21 %, PSNR 18.00 dB [read in the CVPR paper], pixels in [0, 1]. An
independent run at 256 px with holes of 128 px (GMCNN's authors): PSNR 24.44, SSIM 0.848
on Paris StreetView, 20.62 and 0.722 on ImageNet, whole images.
"""

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "cnnmrf", "small", "cpu", "tiny")


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of neural_patch; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "neural_patch"
    config.preset = preset

    config.data.image_size = 128
    config.data.min_scale = 128 / 350  # the Context Encoder's authors crop from 350 px
    config.batch_size = 64
    config.masks = "center"  # half the side

    config.model.features = "vgg16"  # a file of VGG19 as in the paper
    config.model.scales = 3  # 128, 256, 512
    config.model.image_size = 128
    config.model.width = 64
    config.model.discriminator_width = 64
    config.model.bottleneck = 4000  # Fig. 3
    config.model.overlap = 0
    config.model.texture_weight = 5e-6  # alpha, Sec. 3.2
    config.model.tv_weight = 5e-6  # beta, Sec. 3.2
    config.model.match = "l2"  # Eq. 4
    config.model.iterations = 100

    config.phases.joint.steps = 116_400  # 500 epochs of 14,900 images
    config.phases.joint.order = ("discriminator", "generator")
    config.phases.joint.loss_weights = ConfigDict(
        {"l2": 0.999, "adversarial": 0.001}  # Sec. 3.3
    )
    adam = {"name": "adam", "b1": 0.5, "b2": 0.999}
    config.optimizers = ConfigDict(  # as the Context Encoder's
        {
            "generator": {**adam, "learning_rate": 2e-3},
            "discriminator": {**adam, "learning_rate": 2e-4},
        }
    )
    config.sample_every = 0  # the texture stage takes minutes; see above

    if preset == "cnnmrf":
        _as_released(config)
    elif preset == "small":
        config.model.width = 32
        config.model.discriminator_width = 32
        config.model.bottleneck = 1000
        config.phases.joint.steps = 30_000
        _sharpen(config)
    elif preset == "cpu":
        _train_on_cpu(config)
    elif preset == "tiny":
        _shrink(config)
    config.evaluation.masks = config.masks
    return config


def _as_released(config: ConfigDict) -> None:
    """The authors' demo model and "faster" code."""
    config.masks = "center(size=0.4375)"  # 56 of 128 pixels
    config.model.overlap = 4
    config.model.update(
        {
            "taps": ("relu4_1",),
            "content": "features",
            "content_weight": 20.0,
            "texture_weight": 1e-4,
            "reduction": "average",
            "tv_weight": 5e-5,  # 1e-4 without the factor 2 of the gradient
            "match": "ncc",
            "stride": 2,
            "margin": 28.0,
            "turns": (-7.5, 0.0, 7.5),  # pi / 24
            "zooms": (1 / 1.05, 1.0, 1.05),
            "free": "all",
            "keep_to": "content",
            "refresh": 0,
            "line_search": False,
        }
    )


def _sharpen(config: ConfigDict) -> None:
    """The texture stage that scored best with VGG16 (`docs/methods.md`)."""
    config.model.match = "ncc"
    config.model.texture_weight = 2e-6
    config.model.tv_weight = 0.1
    config.model.update({"growth": 4.0, "refresh": 10})
    config.model.iterations = 50


def _train_on_cpu(config: ConfigDict) -> None:
    """3/8 of the width, few steps."""
    _sharpen(config)
    config.batch_size = 8
    config.data.min_scale = 0.4
    config.model.width = 24
    config.model.discriminator_width = 16
    config.model.bottleneck = 512
    config.phases.joint.steps = 4000
    config.phases.joint.loss_weights = ConfigDict({"l2": 0.995, "adversarial": 0.005})
    _decay(config, 4000)
    config.ema.generator = 0.995
    config.checkpoint_every = 500


def _decay(config: ConfigDict, steps: int) -> None:
    """Adam whose rate falls to a hundredth."""
    decay = {
        "schedule": "cosine",
        "init_value": 1e-3,
        "decay_steps": steps,
        "alpha": 0.01,
    }
    config.optimizers.generator = ConfigDict(
        {"name": "adam", "learning_rate": decay, "b1": 0.5, "b2": 0.999}
    )


def _shrink(config: ConfigDict) -> None:
    """A laptop's worth: 64 px, 1/4 of the width, no texture stage, no adversary yet."""
    config.data.image_size = 64
    config.data.min_scale = 0.4
    config.batch_size = 8
    config.model.features = "none"
    config.model.image_size = 64
    config.model.width = 16
    config.model.discriminator_width = 16
    config.model.bottleneck = 256
    config.phases.joint.steps = 3000
    _decay(config, 3000)
    config.ema.generator = 0.99
    config.overfit_steps = 300
    config.log_every = 20
    config.sample_every = 200
    config.checkpoint_every = 200
    config.evaluation.every = 200
    config.evaluation.images = 16
