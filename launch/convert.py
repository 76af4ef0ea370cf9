"""Converts a public checkpoint into our weights: safetensors and a card.

  python -m launch.convert --source=deepfill_v2_tf --channel_order=bgr \
      --input=release_places2_256/snap-0 --output=places2.safetensors
"""

import sys

from absl import app, flags, logging

_SOURCE = flags.DEFINE_string("source", None, "Name in converters.SOURCES.")
_INPUT = flags.DEFINE_string("input", None, "Checkpoint file, or TensorFlow prefix.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write NAME.safetensors.")
_CHANNEL_ORDER = flags.DEFINE_enum(
    "channel_order", "rgb", ["rgb", "bgr"], "Order the network was trained in."
)
_LICENCE = flags.DEFINE_string("licence", "", "Terms of the weights, for the card.")
flags.mark_flags_as_required(["source", "input", "output"])


def main(argv: list[str]) -> None:
    """Reads, converts, writes."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    from inpainting_jax import checkpoints, converters

    try:
        tensors = converters.read_tensors(_INPUT.value)
        converted = converters.convert(
            _SOURCE.value, tensors, channel_order=_CHANNEL_ORDER.value
        )
        card = {
            "method": converted.method,
            "overrides": converted.overrides,
            "source": _SOURCE.value,
            "licence": _LICENCE.value,
        }
        checkpoints.save_weights(_OUTPUT.value, converted.variables, card)
    except (OSError, ValueError) as error:
        logging.error("%s", error)
        sys.exit(2)
    logging.info("wrote %s: %s", _OUTPUT.value, converted.overrides)


if __name__ == "__main__":
    app.run(main)
