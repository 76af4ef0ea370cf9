"""Measures methods side by side on the same images and the same holes.

python -m launch.evaluate --methods=patchmatch,telea --data=photos --masks=irregular \
    --output=runs/evaluation

The same command with one more method computes only that one. LABEL=METHOD names a row,
for two sets of weights of one method. Exit status 2 on wrong use.
"""

import sys

from absl import app, flags, logging

from inpainting_jax import runtime
from inpainting_jax.evaluation import blending, strategies
from launch.parsing import flag_values, parse_flags

text, number, enum = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_enum
names = flags.DEFINE_list
names("methods", None, "Names, or LABEL=METHOD, with commas between.", required=True)
names("weights", [], "LABEL=WEIGHTS pairs: shipped name, .safetensors, or workdir.")
names("metrics", None, "Of metrics.METRICS and SET_METRICS, or standard.")
text("inception", None, "File of FID's weights, for fid_torch, fid_clean, fid_tf.")
text("data", "photos", "Data SPEC, see README; validation images unless it says.")
text("masks", "irregular", "Mask SPEC, see README.")
text(
    "output", None, "Folder of report.json, the tables and samples.png.", required=True
)
text("compilation_cache", "auto", "auto (a folder of the user), off, or a folder.")
number("image_size", 256, "Side of the images, pixels.", lower_bound=1)
number("count", 100, "Images, spread evenly over the data.", lower_bound=1)
number("seed", 0, "Of the holes, the methods and the intervals.", lower_bound=0)
enum("fit", "crop", ["crop", "resize"], "Centre square, or the whole image squashed.")
enum("strategy", "auto", strategies.STRATEGIES, "What the methods get to see.")
enum("blend", "none", blending.BLENDS, "How the hole meets its surroundings.")
flags.DEFINE_bool("keep_images", False, "Write all images, as launch.study takes them.")
flags.DEFINE_bool("overwrite", False, "Forget what the folder holds.")
flags.DEFINE_bool("progress", True, "Draw a progress bar.")


def main(argv: list[str]) -> int:
    """Evaluates; returns the exit status."""
    from inpainting_jax.evaluation import comparison  # late: --help needs no network

    logging.set_verbosity(logging.WARNING)
    values = flag_values(__name__)
    try:
        if argv[1:]:
            raise ValueError(f"unexpected arguments: {' '.join(argv[1:])}")
        runtime.use_compilation_cache(values.pop("compilation_cache"))
        comparison.compare(**values)
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print(f"{values['output']}/table.md")
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
