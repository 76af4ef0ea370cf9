"""Measures speed and quality; writes a JSON report and Markdown tables.

python -m launch.benchmark --suite=patchmatch --output=runs/benchmark \
    --data=folder:/path/to/unseen/photographs
python -m launch.benchmark --suite=spg_net --output=runs/benchmark_spg --count=202 \
    --data=tfds_dir:data/streets:validation --weights=runs/spg_net
python -m launch.benchmark --suite=forward --output=runs/forward --repeats=5 \
    --baseline=runs/earlier/report.json

Exit status 2 on wrong use.
"""

import inspect
import sys

from absl import app, flags, logging

from inpainting_jax.benchmarks import SUITES
from launch.parsing import parse_flags

_SUITE = flags.DEFINE_enum("suite", None, list(SUITES), "What to measure.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder of report.json and table.md.")
_DATA = flags.DEFINE_multi_string("data", [], "Data SPEC of further pictures.")
_COUNT = flags.DEFINE_integer("count", 12, "Pictures of each --data.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed rounds.", lower_bound=1)
_WEIGHTS = flags.DEFINE_multi_string("weights", [], "Runs, for suites that want them.")
_BASELINE = flags.DEFINE_string("baseline", "", "Earlier report.json of the suite.")
flags.mark_flags_as_required(["suite", "output"])


def main(argv: list[str]) -> int:
    """Runs a suite; returns the exit status."""
    logging.set_verbosity(logging.WARNING)
    try:
        if argv[1:]:
            raise ValueError(f"unexpected arguments: {' '.join(argv[1:])}")
        suite = SUITES[_SUITE.value]
        extra = {flag.name: flag.value for flag in (_WEIGHTS, _BASELINE) if flag.value}
        for name in extra:
            if name not in inspect.signature(suite).parameters:
                raise ValueError(f"the suite {_SUITE.value} takes no --{name}")
        suite(
            output=_OUTPUT.value,
            data=_DATA.value,
            count=_COUNT.value,
            repeats=_REPEATS.value,
            **extra,
        )
    except (ValueError, OSError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(f"{_OUTPUT.value}/table.md")
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
