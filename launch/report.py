"""Merges evaluations of the same images and holes, or draws the curves of a training.

python -m launch.report --runs=runs/monday,runs/tuesday --output=runs/both
python -m launch.report --training=runs/deepfill_v2 --output=runs/curves

Nothing is computed again. --runs writes report.json, table.md, table.csv,
per_image.csv, by_ratio.png and ranks.png. LABEL=FOLDER puts LABEL before the names of a
run's rows. Runs on other images, masks or metrics are refused, saying which. --training
writes curves.png, grey where a health warning begins. Exit status 2 on wrong use.
"""

import sys

from absl import app, flags, logging

from launch.parsing import parse_flags

_RUNS = flags.DEFINE_list("runs", [], "Folders of launch.evaluate, or LABEL=FOLDER.")
_TRAINING = flags.DEFINE_string("training", "", "A --workdir of launch.train.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder of what is written.")
flags.mark_flag_as_required("output")


def main(argv: list[str]) -> int:
    """Merges or draws; returns the exit status."""
    logging.set_verbosity(logging.WARNING)
    try:
        if argv[1:]:
            raise ValueError(f"unexpected arguments: {' '.join(argv[1:])}")
        if bool(_RUNS.value) == bool(_TRAINING.value):
            raise ValueError("give either --runs or --training")
        if _TRAINING.value:
            from inpainting_jax.training import curves  # late: --help needs no plots

            print(curves.draw(_TRAINING.value, f"{_OUTPUT.value}/curves.png"))
            return 0
        from inpainting_jax.evaluation import merging

        merging.merge_reports(_RUNS.value, _OUTPUT.value)
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    print(f"{_OUTPUT.value}/table.md")
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
