"""The library at work in minutes: `make demo` runs this.

python -m launch.tour --output=demo_output
"""

from absl import app, flags, logging

from inpainting_jax import runtime

_OUTPUT = flags.DEFINE_string("output", "demo_output", "Folder for everything.")
_STEPS = flags.DEFINE_integer("steps", 500, "Training steps.", lower_bound=1)
_COUNT = flags.DEFINE_integer("count", 16, "Crops in the table.", lower_bound=2)
_CACHE = flags.DEFINE_string(
    "compilation_cache", "auto", "auto (a folder of the user), off, or a folder."
)


def main(argv: list[str]) -> None:
    """Reads the flags and sets out."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.ERROR)  # orbax tells each file it writes
    runtime.use_compilation_cache(_CACHE.value)
    from inpainting_jax.demo.tour import tour

    tour(_OUTPUT.value, steps=_STEPS.value, count=_COUNT.value)


if __name__ == "__main__":
    app.run(main)
