"""Completes images: fills the holes that masks mark, and changes nothing else.

python -m launch.inpaint --method=patchmatch --images=DIR --masks=DIR --outputs=DIR

Exit status 1 if an image failed, 2 on wrong use; the same command takes up its work.
"""

import sys

from absl import app, flags, logging

from inpainting_jax import image_files, images, runtime
from inpainting_jax.evaluation import blending, strategies
from launch.parsing import flag_values, parse_flags, tell

text, number, enum = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_enum
switch, strings = flags.DEFINE_bool, flags.DEFINE_multi_string
text("method", "patchmatch", "A name of inpainting_jax.list_methods().")
text("images", None, "Image file, or folder with sub-folders.", required=True)
text("masks", None, "File for all images, or folder, by name.", required=True)
text("outputs", None, "Folder; or, for one image, the file.", required=True)
text("weights", None, "Shipped name, .safetensors file, or --workdir of training.")
text("guides", None, "Sketches, white lines on black, or label maps: file or folder.")
text("labels", None, "Folder for completed label maps, of methods that make them.")
text("shard", "0/1", "i/n: of n processes on one folder this is the i-th, from 0.")
text("suffix", "", "Added to the name of each output.")
text("compilation_cache", "auto", "auto (a folder of the user), off, or a folder.")
enum("format", None, image_files.FORMATS, "Of the outputs, if not the image's own.")
enum("strategy", "auto", strategies.STRATEGIES, "What the method gets to see.")
enum("blend", "none", blending.BLENDS, "How the hole meets its surroundings.")
enum("mask_convention", "white_hole", images.CONVENTIONS, "What marks the hole.")
number("dilate", 0, "Pixels by which holes are widened.", lower_bound=0)
number("seed", 0, "Of methods that draw random numbers.", lower_bound=0)
number("devices", 1, "The rows of an image are split over so many.", lower_bound=1)
number("size", None, "Working side, pixels.", lower_bound=1)
strings("option", [], "NAME=VALUE, a build argument of the method.")
switch("overwrite", False, "Make outputs that exist anew.")
switch("resize_mask", False, "Scale masks of another size than their image.")
switch("black_lines", False, "Guides are black lines on white.")


def main(argv: list[str]) -> int:
    """Completes the images; returns the exit status."""
    from inpainting_jax.evaluation import folders  # late: --help needs no network

    logging.set_verbosity(logging.WARNING)  # JAX tells which back-ends it lacks
    values = flag_values(__name__)
    try:
        if argv[1:]:
            raise ValueError(f"unexpected arguments: {' '.join(argv[1:])}")
        runtime.use_compilation_cache(values.pop("compilation_cache"))
        rows = folders.inpaint_files(**values, tell=tell)
    except (ValueError, OSError) as error:
        print(f"inpaint: {error}", file=sys.stderr)
        return 2
    return int(any(row.status == "failed" for row in rows))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
