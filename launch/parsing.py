"""Flag parsing and error messages with the exit status that our commands promise."""

import ast
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags


def parse_flags(argv: list[str]) -> list[str]:
    """For `app.run(main, flags_parser=...)`: a wrong flag exits with 2, not 1."""
    try:
        return flags.FLAGS(argv)
    # The other two are how ml_collections reports an unknown field or a missing file.
    except (flags.Error, AttributeError, OSError) as error:
        print(f"{argv[0]}: {error} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)


def flag_values(module: str, *, only_given: bool = False) -> dict[str, Any]:
    """`{name: value}` of the flags that a module, by its `__name__`, defines."""
    own = flags.FLAGS.get_flags_for_module(sys.modules[module])
    return {f.name: f.value for f in own if f.present or not only_given}


def tell(line: str) -> None:
    """Prints a line at once, where it may be long until the next."""
    print(line, flush=True)


def parse_pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    """`{NAME: VALUE}` of a repeatable flag `NAME=VALUE`, or an error that names it."""
    pairs = dict(text.split("=", 1) for text in texts if "=" in text)
    if len(pairs) != len(texts):
        raise ValueError(f"each --{flag} reads NAME=VALUE, once a name; got {texts}")
    return pairs


def parse_options(flag: str, texts: Sequence[str]) -> dict[str, Any]:
    """As `parse_pairs`; a value that reads as a Python literal becomes that."""
    options: dict[str, Any] = {}
    for name, text in parse_pairs(flag, texts).items():
        try:
            options[name] = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            options[name] = text
    return options


def is_message(error: BaseException) -> bool:
    """Whether our own code raised an error, so that its message tells the user enough.

    One from inside a library points to a mistake in code: it needs its traceback.
    """
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals["__name__"].split(".")[0] == "inpainting_jax"
