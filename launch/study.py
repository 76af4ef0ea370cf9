"""A study with human observers: prepared, served to browsers, analysed.

python -m launch.study prepare --study=runs/study --originals=DIR --masks=DIR \
    --results=patchmatch=DIR,telea=DIR [--mode=timed_real_fake --exposures=50,100,1000]
python -m launch.study serve --study=runs/study
python -m launch.study analyse --study=runs/study --output=runs/study_report

`delete --study= --code=` leaves an observer out, `sample_size` tells how many answers
are needed; docs/study.md has it all. Exit status 2 on wrong use.
"""

import sys

from absl import app, flags

from inpainting_jax.study.design import MODES
from launch.parsing import flag_values, parse_flags

text, number, enum = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_enum
names = flags.DEFINE_list
text("study", None, "Folder of the study.")
text("originals", None, "Folder of original images.")
names("results", None, "LABEL=FOLDER of completed images, with commas between.")
text("masks", None, "Folder of masks, white = hole; without: all pixels count.")
enum("mode", MODES[2], MODES, "What is shown and asked.")
names("exposures", [], "ms; 0 = until the answer. By default 0; 50 to 2000 if timed.")
enum("reference", "none", ["none", "original", "masked"], "Shown beside the pair.")
number("sessions", 20, "Different ones; later observers repeat them.")
number("trials", None, "Main trials of a session; 40, or as many as images allow.")
number("practice", 10, "Practice trials of a session.")
number("catch", None, "Catch trials of a session; a tenth of --trials, at least 4.")
number("seed", 0, "Of the plan, or of the analysis.", lower_bound=0)
text("title", "Looking at pictures", "Of the page.")
text("question", "", "Asked at every trial; the mode's own by default.")
text("contact", "", "Who asks, for the consent page.")
text("host", "127.0.0.1", "Address to serve at; 0.0.0.0 for the local network.")
number("port", 8080, "Port to serve at.")
text("output", None, "Folder of the report.")
names("files", [], "Files of answers; by default the study's own.")
flags.DEFINE_bool("overwrite", False, "Replace an earlier report.")
text("code", None, "Of the observer to leave out.")
number("per_person", 40, "Answers of one observer.", lower_bound=1)
flags.DEFINE_float("correlation", 0.05, "Of the answers of one observer.")


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit status."""
    from inpainting_jax.study import commands  # late: --help needs no pictures

    try:
        print(commands.run(argv[1:], flag_values(__name__, only_given=True)))
    except (ValueError, OSError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
