"""Names to code: tables of `"module:attribute"` strings, imported when asked for.

One `Registry` per kind of thing (methods, metrics, mask generators, converters) keeps
imports lazy, and makes an unknown name the same clear error everywhere.
"""

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any


class Registry(Mapping[str, Any]):
    """An immutable mapping from names to lazily imported attributes.

    Args:
      kind: what the names are, for messages: "method", "metric", ...
      table: `{name: "package.module:attribute"}`.
    """

    def __init__(self, kind: str, table: Mapping[str, str]):
        self.kind = kind
        self._table = dict(table)

    def __getitem__(self, name: str) -> Any:
        """Imports the attribute; an unknown name is an error that lists all."""
        if name not in self._table:
            raise UnknownNameError(self.kind, name, self._table)
        module, attribute = self._table[name].split(":")
        return getattr(importlib.import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def where(self, name: str) -> str:
        """The `"module:attribute"` of a name, without importing it."""
        if name not in self._table:
            raise UnknownNameError(self.kind, name, self._table)
        return self._table[name]


class UnknownNameError(KeyError, ValueError):
    """A name that is not in its table; the message lists those that are."""

    def __init__(self, kind: str, name: object, known: Mapping[str, Any]):
        close = difflib.get_close_matches(str(name), list(known), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        self.message = f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}."
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would print the repr, with quotes
        return self.message
