"""Flag parsing with the exit status that our commands promise."""

import sys

from absl import flags


def parse_flags(argv: list[str]) -> list[str]:
    """For `app.run(main, flags_parser=...)`: a wrong flag exits with 2, not 1."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print(f"{argv[0]}: {error} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)
