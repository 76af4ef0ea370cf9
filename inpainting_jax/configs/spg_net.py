"""SPG-Net (Song et al. 2018): label maps first, then the image they guide.

  python -m launch.prepare --images=streets/images --labels=streets/labels \
      --output=data/streets
  python -m launch.train --config=inpainting_jax/configs/spg_net.py:small \
      --workdir=runs/spg_net --config.data.source=tfds_dir:data/streets

Training needs images with label maps; launch.prepare --label_groups=cityscapes puts
those of Cityscapes into the paper's eight groups. Presets: `paper` (256 px, those
groups, 48.0 M parameters in each generator: two days of one Titan X, from memory),
`small` (128 px, half the width, the 11 classes and void of CamVid: hours of one GPU),
`tiny` (64 px, narrow, up to 12 classes, cross-entropy and L1 beside the paper's terms:
minutes on a laptop CPU, on pictures that it draws itself; tests use it). `paper` and
`small` compare AlexNet's features: pip install -e '.[features]'.

The paper's table could not be consulted: no published scores are given here. Values
marked [M] are from memory, [P] pix2pixHD's, [D] our choice where nothing was to be had.
The same network without guidance: --config.model.guidance=False.
"""

from typing import Any

from ml_collections import ConfigDict

from inpainting_jax.configs import base

PRESETS = ("paper", "small", "tiny")

_LABELS = {"label_adversarial": 1.0, "label_matching": 10.0}  # [M]
_IMAGES = {"image_adversarial": 1.0, "image_matching": 10.0, "image_perceptual": 10.0}
_JUDGES = ("label_discriminator", "image_discriminator")
_MAKERS = ("label_generator", "image_generator")


def get_config(preset: str = "") -> ConfigDict:
    """The configuration of one preset; "" is `paper`."""
    preset = preset or "paper"
    if preset not in PRESETS:
        raise ValueError(
            f"unknown preset {preset!r} of spg_net; known: {', '.join(PRESETS)}"
        )
    config = base.get_config()
    config.method = "spg_net"
    config.preset = preset

    config.data.image_size = 256  # [M]
    config.data.guide = "labels"
    config.batch_size = 4  # [D]
    # One rectangle anywhere, its sides 1/8 to 1/2 of the image's [M].
    config.masks = "box(shrink=48)"
    config.evaluation.masks = config.masks

    config.model.classes = 8  # [M]: Cityscapes in groups; 11 for Helen's faces
    config.model.void_class = -1
    config.model.width = 64  # [M]
    config.model.depth = 4  # [M]
    config.model.dilations = (2, 2, 2, 4, 4, 4, 8, 8, 8)  # [M]
    config.model.norm = "batch"  # [M]
    config.model.discriminator_width = 64  # [P]
    config.model.discriminator_layers = 3  # [P]; 4 in the paper's text
    config.model.scales = 3  # [M]
    config.model.conditional = True  # [M]
    config.model.gan_mode = "bce"  # [M]
    config.model.features = "alexnet"  # [M]
    config.model.hole_value = (0.0, 0.0, 0.0)  # [D]
    config.model.feed_mask = False
    config.model.guidance = True
    config.model.label_composite = True  # [D]
    config.model.soft_labels = False  # [D]
    config.model.detach_labels = False  # [M]
    config.model.hole_weight = 1.0
    config.model.segmenter_width = 64  # [D], as all of the segmenter
    config.model.segmenter_rates = (6, 12, 18)
    config.model.segmenter_stride = 16

    # 200 epochs of 2,975 images apart, then 200 together [M, low].
    _set_phases(config, segmenter=40_000, separate=150_000, joint=150_000)
    if preset == "small":
        _shrink(config)
    elif preset == "tiny":
        _shrink_to_laptop(config)
    return config


def _set_phases(config: ConfigDict, *, segmenter: int, separate: int, joint: int):
    """Segmenter; both generators apart, on true labels; then end to end."""
    weights = {**_LABELS, **_IMAGES}
    config.schedule = ("segmenter", "separate", "joint")
    config.phases = ConfigDict(
        {
            "segmenter": _phase(segmenter, ("segmenter",), {}),
            "separate": _phase(separate, (*_JUDGES, *_MAKERS), weights),
            # Switches, not weights: SG-Net is given SP-Net's labels.
            "joint": _phase(
                joint, (*_JUDGES, *_MAKERS), {**weights, "predicted_labels": 1.0}
            ),
        }
    )
    # 2e-4, in the second half of the phase down to the 2e-5 of the joint one [M, low].
    rate = {
        "schedule": "piecewise_linear",
        "init_value": 2e-4,
        "boundaries": (separate // 2, separate),
        "scales": (1.0, 0.1),
    }
    adam = {"name": "adam", "learning_rate": rate, "b1": 0.5, "b2": 0.999}  # [M, P]
    config.optimizers = ConfigDict({name: dict(adam) for name in (*_JUDGES, *_MAKERS)})
    config.optimizers.segmenter = ConfigDict(_cosine(1e-3, segmenter))


def _phase(
    steps: int, order: tuple[str, ...], loss_weights: dict[str, float]
) -> dict[str, Any]:
    return {"steps": steps, "order": order, "loss_weights": loss_weights}


def _cosine(rate: float, steps: int, *, b1: float = 0.9) -> dict[str, Any]:
    """Adam whose rate falls to a hundredth."""
    schedule = {"schedule": "cosine", "init_value": rate, "decay_steps": steps}
    schedule["alpha"] = 0.01
    return {"name": "adam", "learning_rate": schedule, "b1": b1, "b2": 0.999}


def _shrink(config: ConfigDict) -> None:
    """128 px, half the width, CamVid's classes, a seventh of the steps."""
    config.data.image_size = 128
    config.data.min_scale = 0.5  # few photographs: crops of many sizes
    config.batch_size = 16
    config.masks = "box(shrink=24)"
    config.evaluation.masks = config.masks
    config.model.classes = 12
    config.model.void_class = 11
    config.model.width = 32
    config.model.dilations = (1, 1, 1, 2, 2, 2, 4, 4, 4)
    config.model.discriminator_width = 32
    config.model.segmenter_width = 32
    config.model.segmenter_stride = 8
    config.model.segmenter_rates = (2, 4, 8)
    _set_phases(config, segmenter=6000, separate=20_000, joint=20_000)
    config.evaluation.every = 5000


def _shrink_to_laptop(config: ConfigDict) -> None:
    """Narrow networks; cross-entropy and L1 carry a short run."""
    config.data.source = "procedural"
    config.data.image_size = 64
    config.data.min_scale = 0.4
    config.batch_size = 8
    config.masks = "box(shrink=12)"
    config.evaluation.masks = config.masks
    config.model.classes = 12
    config.model.width = 12
    config.model.depth = 3
    config.model.dilations = (1, 2, 4)
    config.model.discriminator_width = 8
    config.model.discriminator_layers = 2
    config.model.scales = 2
    config.model.features = "none"
    config.model.feed_mask = True
    config.model.hole_weight = 4.0
    config.model.segmenter_width = 12
    config.model.segmenter_stride = 8
    config.model.segmenter_rates = (2, 4)
    alone = {"label_ce": 1.0, "image_l1": 1.0}
    judged = {"label_adversarial": 0.01}
    judged |= {"image_adversarial": 0.003, "image_matching": 0.1}
    switches = {"predicted_labels": 1.0, "segmented_labels": 1.0}
    apart, together = 1600, 600
    config.schedule = ("separate", "joint")
    config.phases = ConfigDict(
        {
            "separate": _phase(apart, ("segmenter", *_MAKERS), alone),
            "joint": _phase(
                together, (*_JUDGES, *_MAKERS), {**alone, **judged, **switches}
            ),
        }
    )
    makers = _cosine(1e-3, apart + together, b1=0.5)
    config.optimizers = ConfigDict(dict.fromkeys(_MAKERS, makers))
    for name in _JUDGES:
        config.optimizers[name] = ConfigDict({**makers, "learning_rate": 5e-4})
    config.optimizers.segmenter = ConfigDict(_cosine(2e-3, apart))
    config.overfit_steps = 400
    config.log_every = 20
    config.sample_every = 400
    config.checkpoint_every = 400
    config.evaluation.every = 400
    config.evaluation.images = 16
