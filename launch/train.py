"""Trains a method; the same command resumes.

python -m launch.train --config=inpainting_jax/configs/deepfill_v2.py:tiny \
    --workdir=runs/first --config.batch_size=4
"""

import os
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from inpainting_jax import runtime
from launch.parsing import is_message, parse_flags

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Configuration file, METHOD.py[:preset]; its fields are flags."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where the run is kept, and resumed.")
_INIT_FROM = flags.DEFINE_string(
    "init_from", "", "Weights to begin with: a .safetensors file or another workdir."
)
_DISTRIBUTED = flags.DEFINE_enum(
    "distributed", "auto", ["auto", "on", "off"], "Join the processes of a cluster job."
)
_CACHE = flags.DEFINE_string(
    "compilation_cache", "auto", "auto (a folder of the user), off, or a folder."
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Only tell work, memory, largest batch.")
flags.mark_flags_as_required(["config", "workdir"])


def main(argv: list[str]) -> int:
    """Reads the flags and trains; 75 as exit status: stopped early, not finished."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.ERROR)  # orbax tells every rename otherwise
    config = _CONFIG.value
    runtime.keep_memory()
    runtime.join_cluster(_DISTRIBUTED.value)
    runtime.use_compilation_cache(_CACHE.value)
    # Imported late: nothing may touch a device before the processes have joined.
    from inpainting_jax.training import dry_run, loop, phases

    try:
        if _DRY_RUN.value:
            print(dry_run.estimate(config))
            return 0
        state = loop.train(config, _WORKDIR.value, init_from=_INIT_FROM.value)
    except (ValueError, OSError, RuntimeError) as error:
        if not is_message(error):
            raise
        print(f"train: {error}", file=sys.stderr)
        return 1
    return 0 if int(state.step) >= phases.total_steps(config) else os.EX_TEMPFAIL


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
