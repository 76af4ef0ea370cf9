"""Globally and locally consistent completion (Iizuka et al. 2017): three phases.

  python -m launch.train --config=inpainting_jax/configs/global_local.py:small \
      --workdir=runs/global_local --config.data.source=folder:/path/to/photographs

Presets: `paper` (256 px, 6.1 M + 45.1 M parameters, batch 96: two months of four K80 in
the paper), `faces` (160 px images, 96 px windows, for CelebA), `small` (128 px, half
the width: some hours of one GPU), `tiny` (64 px, a quarter of the width: minutes on a
laptop CPU; tests use it). The paper is mainly qualitative; about 77 % of its faces were
taken for natural, real ones 96.5 % (from memory). A later re-implementation with
another recipe (mmagic) reports for square boxes in Places365 at 256 px, without
post-processing: PSNR 23.15, SSIM 0.862, L1 in the hole 11.16 % (its README).

The paper's post-processing is `blend="telea_poisson"` of the inference, off by default.
"""

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "faces", "small", "tiny")


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of global_local; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "global_local"
    config.preset = preset

    config.data.image_size = 256
    config.data.min_scale = 256 / 384  # short side in 256..384, then a random crop
    config.batch_size = 96
    # One box, each side in 96..128 of 256 pixels.
    config.masks = _box(96 / 256, 129 / 256)
    config.evaluation.masks = config.masks

    config.model.width = 64
    config.model.discriminator_width = 64
    config.model.local_size = 128
    # Fills the hole: the mean of ImageNet. Put that of your training set.
    config.model.mean_colour = (0.485, 0.456, 0.406)
    config.model.subtract_mean = True
    config.model.norm_last = False
    config.model.judged = "composite"
    config.model.independent_window = True
    config.model.non_saturating = True

    config.schedule = ("completion", "discriminator", "joint")
    config.phases.completion = _phase(90_000, ("generator",), mse=1.0)  # T_C
    config.phases.discriminator = _phase(10_000, ("discriminator",))  # T_D
    config.phases.joint = _phase(  # 500,000 in all
        400_000, ("discriminator", "generator"), mse=1.0, adversarial=4e-4
    )
    # PyTorch's defaults; optax's own rate would not train.
    adadelta = {"name": "adadelta", "learning_rate": 1.0, "rho": 0.9, "eps": 1e-6}
    config.optimizers = ConfigDict(
        {"generator": dict(adadelta), "discriminator": dict(adadelta)}
    )

    if preset == "faces":
        config.data.image_size = 160
        config.data.min_scale = 160 / 178
        config.masks = _box(48 / 160, 97 / 160)
        config.evaluation.masks = config.masks
        config.model.local_size = 96
    if preset == "small":
        _shrink(config)
    if preset == "tiny":
        _shrink_to_laptop(config)
    return config


def _box(low: float, high: float) -> str:
    """SPEC of one box whose sides are uniform in [low, high) of the image's."""
    options = f"min_count=1,max_count=1,min_size={low:.6g},max_size={high:.6g}"
    return f"boxes({options})"


def _phase(steps: int, order: tuple[str, ...], **loss_weights: float) -> ConfigDict:
    return ConfigDict({"steps": steps, "order": order, "loss_weights": loss_weights})


def _shrink(config: ConfigDict) -> None:
    """128 px, half the width, and a tenth of the steps."""
    config.data.image_size = 128
    config.batch_size = 32
    config.model.width = 32
    config.model.discriminator_width = 32
    config.model.local_size = 64
    config.phases.completion.steps = 12_000
    config.phases.discriminator.steps = 1000
    config.phases.joint.steps = 40_000
    config.evaluation.every = 5000


def _shrink_to_laptop(config: ConfigDict) -> None:
    """Same structure and phases, a quarter of the width; Adam, for a short run."""
    config.data.image_size = 64
    config.batch_size = 8
    config.model.width = 16
    config.model.discriminator_width = 8
    config.model.local_size = 32
    config.phases.completion.steps = 1500
    config.phases.discriminator.steps = 100
    config.phases.joint.steps = 400
    for name in ("completion", "joint"):
        config.phases[name].loss_weights.l1_hole = 1.0  # short runs: sharper than mse
        # Colours find their way through the layers sooner where they are known: with
        # 0.5 the fills stayed grey for 1000 steps.
        config.phases[name].loss_weights.l1_known = 3.0
    for name in ("generator", "discriminator"):
        config.optimizers[name] = ConfigDict({"name": "adam", "learning_rate": 5e-4})
    decay = {
        "schedule": "cosine",
        "init_value": 1e-3,
        "decay_steps": 1900,
        "alpha": 0.01,
    }
    config.optimizers.generator = ConfigDict({"name": "adam", "learning_rate": decay})
    config.data.min_scale = 0.4  # few photographs: crops of many sizes
    config.overfit_steps = 200
    config.log_every = 20
    config.sample_every = 400
    config.checkpoint_every = 400
    config.evaluation.every = 400
    config.evaluation.images = 16
