"""Every field of a run, its default, and what it means.

A method's config file starts from `get_config()` and changes what its paper changes.
Override on the command line: `--config.batch_size=8 --config.phases.joint.steps=1000`.
"""

from ml_collections import ConfigDict


def get_config(preset: str = "") -> ConfigDict:
    """The defaults shared by all methods; `preset` is ignored here."""
    del preset
    config = ConfigDict()
    config.method = ""  # registry name
    config.preset = ""  # paper, small or tiny: recorded, not interpreted
    config.seed = 0  # parameters, masks, data order and augmentation follow from it

    config.data = ConfigDict()
    config.data.source = "photos"  # data SPEC, see README "Data"
    config.data.image_size = 256  # side of the square training crops, pixels
    config.data.fit = (
        "crop"  # crop: cover, then random crop; resize: whole image, squashed
    )
    config.data.min_scale = (
        1.0  # crop: cover a side of image_size/min_scale..1 at random
    )
    config.data.flip = True  # mirror left-right at random
    config.data.guide = ""  # "edges" draws a sketch of each image; "" for none
    config.data.threads = 8  # reader threads
    config.data.workers = 0  # reader processes; 0 = threads only
    config.data.prefetch = 8  # batches read ahead

    config.batch_size = 16  # images per update, over all devices
    config.fresh_batches = (
        False  # True: every update of a step takes a batch of its own
    )

    config.masks = "deepfill"  # mask SPEC, see README "Masks"; drawn on device

    config.model = ConfigDict()  # keyword arguments of the method's `build`
    config.compute_dtype = (
        "float32"  # or bfloat16: convolutions only, losses stay float32
    )
    # True: what a block computes inside is computed again in the backward pass instead
    # of kept: the same numbers, a fifth more operations, less memory: 1.4 -> 1.0 GiB
    # for deepfill_v2:small, batch 8, on a CPU, in the same CPU time.
    config.remat = False

    config.schedule = ("joint",)  # names of the phases, in order
    config.phases = ConfigDict()
    config.phases.joint = ConfigDict()
    config.phases.joint.steps = 1000  # steps of this phase
    config.phases.joint.order = ("generator",)  # one optimiser update each, in order
    config.phases.joint.loss_weights = ConfigDict()

    config.optimizers = (
        ConfigDict()
    )  # {network: ConfigDict(name=..., learning_rate=...)}
    # {network: decay in (0, 1)}; inference uses the average. A young run forgets
    # faster: the decay after t steps is at most (1 + t) / (10 + t).
    config.ema = ConfigDict()
    # Steps in which this preset must fit 8 images, each with a fixed hole: hole L1 down
    # at least three times. For the slow test and whoever doubts a change.
    config.overfit_steps = 500
    config.max_bad_updates = 20  # stop after this many non-finite updates in a row

    config.parallel = "jit"  # jit over a mesh, or pmap
    config.log_every = 50  # steps
    config.sample_every = 1000  # steps between sample grids; 0 = never
    config.checkpoint_every = 1000  # steps between checkpoints
    config.keep_every = (
        0  # keep for good each checkpoint at a multiple of this; 0 = none
    )
    config.keep_latest = 2  # how many recent checkpoints stay

    config.evaluation = ConfigDict()
    config.evaluation.source = ""  # data SPEC; "" = the training source's "validation"
    config.evaluation.every = 0  # steps; 0 = never during training
    config.evaluation.images = 64  # how many images
    config.evaluation.masks = "deepfill"  # mask SPEC, seeded: the same set every time
    config.evaluation.best = (
        "l1_hole"  # the metric that names the best checkpoint (lower)
    )
    return config
