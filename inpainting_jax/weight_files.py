"""Weights for sharing: one safetensors file and one JSON card.

The file holds nothing that runs and any tool can read it. Tensors are named by their
path, `generator/params/conv1/kernel`; the card (method, build arguments, data, licence)
is inside as metadata and beside it as NAME.json, there with the file's sha256.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from inpainting_jax.types import Variables


def save_weights(
    path: str | os.PathLike, variables: Variables, card: Mapping[str, Any]
) -> pathlib.Path:
    """Writes `variables` and their card; returns the path of the weights.

    Args:
      path: ends in .safetensors; the card goes beside it with .json.
      variables: arrays by network and collection.
      card: anything JSON can hold; "sha256" is added to the copy beside the file.
    """
    path = _check_suffix(path)
    flat = {
        name: np.ascontiguousarray(jax.device_get(leaf))
        for name, leaf in traverse_util.flatten_dict(dict(variables), sep="/").items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed: a reader never meets half a file.
    partial = path.with_suffix(".partial")
    try:
        data = save(flat, metadata={"card": json.dumps(dict(card))})
        partial.write_bytes(data)  # `save_file` would keep others from reading it
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    card = {**card, "sha256": _sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    return path


def load_weights(
    path: str | os.PathLike, expected: Variables | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables (NumPy arrays) and the card of a weights file.

    Args:
      path: a file written by `save_weights`.
      expected: variables of the right structure and shapes (arrays or shape structs);
        the file must hold exactly these tensors. None takes what is there.

    Raises:
      FileNotFoundError: no such file.
      ValueError: damaged file, or a missing, extra or mis-shaped tensor, by name.
    """
    path = _check_suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights file {path} does not exist")
    card_path = path.with_suffix(".json")
    beside = json.loads(card_path.read_text()) if card_path.is_file() else {}
    if beside.get("sha256", _sha256(path)) != _sha256(path):
        raise ValueError(
            f"{path} is damaged or was exchanged: its sha256 is not the one in "
            f"{card_path.name}. Copy both files again, or delete the .json if the "
            "weights are meant to be others."
        )
    try:
        with safe_open(path, framework="numpy") as file:
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            card = json.loads((file.metadata() or {}).get("card", "{}"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a readable weights file: {error}") from error
    if expected is not None:
        check_tensors(flat, expected, where=str(path))
    return traverse_util.unflatten_dict(flat, sep="/"), {**card, **beside}


def check_tensors(
    flat: Mapping[str, np.ndarray], expected: Variables, *, where: str
) -> None:
    """`ValueError` naming the first tensor that is missing, extra or mis-shaped."""
    wanted = traverse_util.flatten_dict(dict(expected), sep="/")
    remedy = "use weights of this method and of the same build arguments (see its card)"
    for name, leaf in wanted.items():
        if name not in flat:
            raise ValueError(f"{where} lacks the tensor {name!r}; {remedy}")
        if tuple(flat[name].shape) != tuple(leaf.shape):
            raise ValueError(
                f"{where}: tensor {name!r} has shape {tuple(flat[name].shape)}, "
                f"expected {tuple(leaf.shape)}; {remedy}"
            )
    extra = sorted(set(flat) - set(wanted))
    if extra:
        raise ValueError(f"{where} has the unexpected tensor {extra[0]!r}; {remedy}")


def _check_suffix(path: str | os.PathLike) -> pathlib.Path:
    path = pathlib.Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"a weights file must end in .safetensors, got {path}")
    return path


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
