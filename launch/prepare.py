"""Turns a folder of images into a data set for training, and reports its bad files.

python -m launch.prepare --images=DIR --output=DIR [--labels=DIR --val_fraction=0.05]
"""

import sys

from absl import app, flags, logging

_IMAGES = flags.DEFINE_string("images", None, "folder of images, read recursively")
_OUTPUT = flags.DEFINE_string("output", None, "folder of the data set to make")
_LABELS = flags.DEFINE_string("labels", None, "folder of label maps, named as images")
_LABEL_GROUPS = flags.DEFINE_string(
    "label_groups", None, "put classes into groups: cityscapes, or a JSON file"
)
_VAL_FRACTION = flags.DEFINE_float("val_fraction", 0.05, "share to validate on")
_MIN_SIZE = flags.DEFINE_integer("min_size", 32, "least short side, pixels")
_NAME = flags.DEFINE_string("name", "images", "name of the data set")
_NUM_SHARDS = flags.DEFINE_integer(
    "num_shards", None, "files per split; by size if unset"
)
_OVERWRITE = flags.DEFINE_boolean("overwrite", False, "replace an earlier data set")
_BEAM = flags.DEFINE_boolean("beam", False, "write by an Apache Beam pipeline")
_BEAM_OPTION = flags.DEFINE_multi_string(
    "beam_option", [], "of that pipeline, as runner=DirectRunner"
)


def main(argv: list[str]) -> None:
    """Prepares the data set; exit status 2 on wrong use."""
    from inpainting_jax.data import prepare  # late: --help needs no reader

    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.ERROR)  # TFDS tells its inner steps otherwise
    try:
        prepared = prepare.prepare_dataset(
            _IMAGES.value,
            _OUTPUT.value,
            labels=_LABELS.value,
            label_groups=_LABEL_GROUPS.value,
            val_fraction=_VAL_FRACTION.value,
            min_size=_MIN_SIZE.value,
            name=_NAME.value,
            num_shards=_NUM_SHARDS.value,
            overwrite=_OVERWRITE.value,
            progress=True,
            beam=[f"--{o}" for o in _BEAM_OPTION.value] if _BEAM.value else None,
        )
    except (ValueError, ImportError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        sys.exit(2)
    print(prepared)


if __name__ == "__main__":
    flags.mark_flags_as_required(["images", "output"])
    app.run(main)
