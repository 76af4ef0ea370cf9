"""What a command loads before it does anything."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
HEAVY = ("flax", "orbax", "grain", "scipy.stats", "matplotlib", "tensorflow_datasets")
COMMANDS = ("convert", "evaluate", "inpaint", "prepare", "report", "study", "train")

CODE = """
import importlib, sys
from absl import flags
for name in sys.argv[2].split(","):
    importlib.import_module(f"launch.{name}")
    flags.FLAGS.remove_flag_values(list(flags.FLAGS))  # names recur
print([m for m in sys.argv[1].split(",") if m in sys.modules])
"""


def test_reading_the_flags_of_the_commands_loads_nothing_heavy():
    """So that --help takes as long as JAX's own import, about a second."""
    arguments = [",".join(HEAVY), ",".join(COMMANDS)]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "[]"
