"""Semantic inpainting by latent search (Yeh et al. 2017): a DCGAN, then a search in z.

  python -m launch.train --config=inpainting_jax/configs/latent_search.py:small \
      --workdir=runs/latent_search --config.data.source=folder:/path/to/aligned/faces

Training draws no holes: it is that of a DCGAN at 64 px; completing an image is a search
of `config.model.iterations` steps. Presets: `paper` (23 M parameters, batch 64, about
25 epochs of CelebA: hours of one GPU), `small` (half the width), `cpu` (1 / 4 of the
width: hours of two CPU cores; the shipped weights), `tiny` (1 / 8, 100 iterations:
minutes; tests use it). The paper reports PSNR 19.4 / 22.8 / 13.7 dB for centre, random
and half masks on CelebA (its Table 1; the region is not stated) and argues that PSNR
says little here: the Context Encoder scores more on all but the random mask.
"""

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "small", "cpu", "tiny")


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of latent_search; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "latent_search"
    config.preset = preset

    config.data.image_size = 64
    config.data.flip = True  # Sec. 4
    config.batch_size = 64  # not in the paper; the codes have 64 or 256
    config.fresh_batches = False
    config.masks = "center"  # training ignores it

    config.model.width = 128
    config.model.discriminator_width = 64
    config.model.kernel_size = 5
    config.model.latent_size = 100  # Sec. 4
    config.model.prior = "uniform"  # in [-1, 1], Sec. 4
    config.model.iterations = 1500  # Sec. 4
    config.model.learning_rate = 0.01  # of the search; not in the paper
    config.model.norm = "l1"  # Sec. 3.2: slightly better than l2
    config.model.weighted = True  # Eq. 3
    config.model.window = 7  # Eq. 3
    config.model.prior_weight = 0.003  # lambda, Eq. 5
    config.model.non_saturating = False  # True: as the public codes
    config.model.restarts = 1
    config.model.poisson = True  # Eq. 6

    config.phases.joint.steps = 80_000  # 25 epochs of CelebA at batch 64
    config.phases.joint.order = ("discriminator", "generator")
    config.phases.joint.loss_weights = ConfigDict({"adversarial": 1.0})
    adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
    config.optimizers = ConfigDict(
        {"generator": dict(adam), "discriminator": dict(adam)}
    )
    config.evaluation.masks = "center"  # the paper's block: side 32 of 64

    if preset == "small":
        config.model.width = 64
        config.model.discriminator_width = 32
        config.phases.joint.steps = 30_000
    if preset == "cpu":
        config.batch_size = 32
        config.model.width = 32
        config.model.discriminator_width = 24
        config.model.kernel_size = 4
        config.optimizers.generator.learning_rate = 3e-4
        config.optimizers.discriminator.learning_rate = 3e-4
        config.model.restarts = 4
        config.phases.joint.steps = 20_000
        config.checkpoint_every = 250
        config.sample_every = 500
    if preset == "tiny":
        _shrink(config)
    return config


def _shrink(config: ConfigDict) -> None:
    """A laptop's worth: 1/8 of the width, a short search."""
    config.batch_size = 16
    config.model.width = 16
    config.model.discriminator_width = 16
    config.model.latent_size = 32
    config.model.iterations = 100
    config.model.learning_rate = 0.05
    config.phases.joint.steps = 2000
    config.log_every = 20
    config.sample_every = 500
    config.checkpoint_every = 500
    config.evaluation.every = 500
    config.evaluation.images = 16
