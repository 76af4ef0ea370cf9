"""Flag parsing and error messages with the exit status that our commands promise."""

import sys

from absl import flags


def parse_flags(argv: list[str]) -> list[str]:
    """For `app.run(main, flags_parser=...)`: a wrong flag exits with 2, not 1."""
    try:
        return flags.FLAGS(argv)
    # The other two are how ml_collections reports an unknown field or a missing file.
    except (flags.Error, AttributeError, OSError) as error:
        print(f"{argv[0]}: {error} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)


def is_message(error: BaseException) -> bool:
    """Whether our own code raised an error, so that its message tells the user enough.

    One from inside a library points to a mistake in code: it needs its traceback.
    """
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals["__name__"].split(".")[0] == "inpainting_jax"
