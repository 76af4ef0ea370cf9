"""Makes a weights file, safetensors and card, of a public checkpoint or of a run.

python -m launch.convert --source=deepfill_v2_tf --channel_order=bgr \
    --input=release_places2_256/snap-0 --output=places2.safetensors
python -m launch.convert --source=run --input=runs/a --networks=generator \
    --output=mine.safetensors --note=licence="CC BY 4.0"
"""

import sys

from absl import app, flags

from launch.parsing import parse_flags, parse_options, parse_pairs

_SOURCE = flags.DEFINE_string("source", None, "run, or a name of converters.SOURCES.")
_INPUT = flags.DEFINE_string("input", None, "File, TensorFlow prefix, or workdir.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write NAME.safetensors.")
_ORDER = flags.DEFINE_enum(
    "channel_order", None, ["rgb", "bgr"], "Order the network was trained in; rgb."
)
_OPTIONS = flags.DEFINE_multi_string(
    "option", [], "NAME=VALUE of the source, e.g. mean_colour=[0.5,0.4,0.4]."
)
_NETWORKS = flags.DEFINE_list("networks", [], "Of a run: networks to keep; all.")
_NOTES = flags.DEFINE_multi_string("note", [], "FIELD=TEXT for the card; repeatable.")
flags.mark_flags_as_required(["source", "input", "output"])


def main(argv: list[str]) -> int:
    """Reads, converts, writes; returns the exit status."""
    from inpainting_jax import checkpoints, converters

    try:
        if argv[1:]:
            raise ValueError(f"unexpected arguments: {' '.join(argv[1:])}")
        notes = parse_pairs("note", _NOTES.value)
        options = parse_options("option", _OPTIONS.value)
        options |= {"channel_order": _ORDER.value} if _ORDER.value else {}
        if _SOURCE.value == "run":
            variables, card = converters.read_run(
                _INPUT.value, networks=_NETWORKS.value
            )
        else:
            tensors = converters.read_tensors(_INPUT.value)
            converted = converters.convert(_SOURCE.value, tensors, **options)
            card = {"source": _SOURCE.value, **options}
            print(converters.write(_OUTPUT.value, converted, card | notes))
            return 0
        path = checkpoints.save_weights(_OUTPUT.value, variables, card | notes)
    except (OSError, ValueError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    print(path)
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
