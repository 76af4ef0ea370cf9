"""Fewer classes: tables that put the class numbers of a data set into groups.

A table is a JSON file `{"road": [6, 7], "sky": [23]}`; the first group becomes class 0,
and so on. `cityscapes_groups.json` holds the eight groups on which SPG-Net (Song et al.
2018) was trained; the paper names the groups, their members are our choice.
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from inpainting_jax.types import UNKNOWN_LABEL

_SHIPPED = pathlib.Path(__file__).parent
_SUFFIX = "_groups.json"


def read_groups(source: str | os.PathLike) -> dict[str, list[int]]:
    """The members of each group, in order, of a JSON file or of "cityscapes".

    Raises:
      ValueError: no such table, or one that is no table of numbers 0 to 254, each in
        one group at most.
    """
    path = _SHIPPED / f"{source}{_SUFFIX}"
    if not path.is_file():
        path = pathlib.Path(source)
    if not path.is_file():
        known = sorted(p.name.removesuffix(_SUFFIX) for p in _SHIPPED.glob("*.json"))
        raise ValueError(
            f"no label groups {str(source)!r}: neither a JSON file nor one of "
            f"{', '.join(known)}."
        )
    try:
        groups = json.loads(path.read_text())
        members = [number for numbers in groups.values() for number in numbers]
        numbers = {n for n in members if isinstance(n, int) and 0 <= n < UNKNOWN_LABEL}
    except (json.JSONDecodeError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is no table of label groups: {error}.") from error
    if len(numbers) != len(members):
        raise ValueError(
            f"{path} must hold numbers 0 to {UNKNOWN_LABEL - 1}, each in one group."
        )
    return groups


def group_labels(
    label_map: np.ndarray, groups: Mapping[str, Sequence[int]]
) -> np.ndarray:
    """The uint8 label map in numbers of groups; `UNKNOWN_LABEL` stays.

    Raises:
      ValueError: a number that no group has, by name.
    """
    table = np.full(256, -1)
    table[UNKNOWN_LABEL] = UNKNOWN_LABEL
    for index, numbers in enumerate(groups.values()):
        table[list(numbers)] = index
    grouped = table[label_map]
    if (grouped < 0).any():
        raise ValueError(
            f"the label map holds class {label_map[grouped < 0].min()}, which is in "
            f"none of the groups {', '.join(groups)}."
        )
    return grouped.astype(np.uint8)
