"""Merges evaluations of the same images and holes into one table, with plots.

python -m launch.report --runs=runs/monday,runs/tuesday --output=runs/both

Nothing is computed again. Writes report.json, table.md, table.csv, per_image.csv,
by_ratio.png and ranks.png. LABEL=FOLDER puts LABEL before the names of a run's rows.
Runs on other images, masks or metrics are refused, saying which. Exit status 2 on wrong
use.
"""

import sys

from absl import app, flags, logging

from launch.parsing import parse_flags

_RUNS = flags.DEFINE_list(
    "runs", None, "Folders of launch.evaluate, or LABEL=FOLDER.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the merged report.")
flags.mark_flag_as_required("output")


def main(argv: list[str]) -> int:
    """Merges; returns the exit status."""
    from inpainting_jax.evaluation import merging  # late: --help needs no plots

    logging.set_verbosity(logging.WARNING)
    try:
        if argv[1:]:
            raise ValueError(f"unexpected arguments: {' '.join(argv[1:])}")
        merging.merge_reports(_RUNS.value, _OUTPUT.value)
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    print(f"{_OUTPUT.value}/table.md")
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
