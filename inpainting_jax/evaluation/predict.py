"""Methods by name, ready to use: `load`, `inpaint`, and the weights that ship.

Weights come from the package (`inpainting_jax/weights/`, each with a card), from a
.safetensors file, from the work directory of a training run, or from a converted
checkpoint of another code base.
"""

import functools
import inspect
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from numpy.typing import ArrayLike

from inpainting_jax import checkpoints
from inpainting_jax.converters import Converted
from inpainting_jax.converters.runs import read_run
from inpainting_jax.evaluation.inpainter import Inpainter
from inpainting_jax.methods import METHODS, Method
from inpainting_jax.types import Variables

SHIPPED = pathlib.Path(__file__).parents[1] / "weights"

_TRAINING_ONLY = ("discriminator", "critic")  # networks that inference does not need


def list_methods() -> list[str]:
    """The names that `load` and `inpaint` take."""
    return list(METHODS)


def list_weights() -> dict[str, dict[str, Any]]:
    """The shipped weights: `{name: card}`."""
    return {
        path.stem: json.loads(path.with_suffix(".json").read_text())
        for path in sorted(SHIPPED.glob("*.safetensors"))
    }


def load(
    name: str | Converted,
    weights: str | os.PathLike | None = None,
    *,
    devices: int = 1,
    **overrides: Any,
) -> Inpainter:
    """A method with its weights.

    Args:
      name: a method of `list_methods()`; or what `converters.convert` returned.
      weights: None = those that ship under the method's name (untrained methods need
        none); a name of `list_weights()`; a .safetensors file; or the --workdir of a
        training run, whose best checkpoint is taken.
      devices: over how many of this process's devices the rows of an image are split,
        for images that are too large for one; feed-forward networks only. The result
        is the same up to rounding.
      **overrides: build arguments of the method, over those of the weights' card.

    Raises:
      ValueError: unknown method or argument, weights of another method, or a tensor
        that is missing, extra or of another shape.
      FileNotFoundError: no such weights.
    """
    if isinstance(name, Converted):
        if weights is not None:
            raise ValueError(
                "a converted checkpoint is the weights; leave `weights` out"
            )
        method = _build(name.method, {**name.overrides, **overrides})
        card = {
            "method": name.method,
            "overrides": dict(name.overrides),
            "image_size": name.image_size,
        }
        _check_variables(method, name.variables, card, "the converted checkpoint")
        return Inpainter(method, name.variables, card, devices=devices)
    METHODS.where(name)  # an unknown name is an error before anything is built
    if weights is None:
        if not (SHIPPED / f"{name}.safetensors").is_file():
            return _untrained(name, overrides, devices)
        weights = name
    variables, card = _find(name, weights)
    made_for = card.get("method", name)
    if made_for != name:
        raise ValueError(
            f"{weights} holds weights of {made_for}, not of {name}; use"
            f" load({made_for!r}, weights=...) or other weights"
        )
    method = _build(name, {**card.get("overrides", {}), **overrides})
    if not method.networks:
        raise ValueError(f"{name} is not trained and takes no weights; leave them out")
    _check_variables(method, variables, card, str(weights))
    return Inpainter(method, variables, card, devices=devices)


def inpaint(
    image: ArrayLike,
    mask: ArrayLike,
    method: str = "patchmatch",
    *,
    weights: str | os.PathLike | None = None,
    guide: ArrayLike | None = None,
    seed: int = 0,
    strategy: str = "auto",
    blend: str = "none",
    dilate: int = 0,
    size: int | None = None,
    mask_convention: str = "white_hole",
    **overrides: Any,
) -> np.ndarray:
    """The completed image, in one call; see `Inpainter.__call__` for the arguments.

    Args:
      image: [H, W], [H, W, 1|3|4] or a batch; uint8, uint16 or float in [0, 1].
      mask: [H, W], [H, W, 1] or a batch; 1 = hole.
      method: a name of `list_methods()`.
      weights: see `load`.
      guide: see `Inpainter.__call__`, like the following.
      seed: of methods that draw random numbers.
      strategy: "auto", "full", "resize", "crop" or "tile".
      blend: "none", "feather", "poisson" or "telea_poisson".
      dilate: pixels by which the hole is widened first.
      size: working side in pixels.
      mask_convention: "white_hole", "black_hole" or "alpha".
      **overrides: build arguments of the method.
    """
    try:
        fill = _load_once(method, weights, **overrides)
    except TypeError:  # an override that cannot be hashed
        fill = load(method, weights, **overrides)
    return fill(
        image,
        mask,
        guide,
        seed,
        strategy,
        blend,
        dilate=dilate,
        size=size,
        mask_convention=mask_convention,
    )


@functools.lru_cache(maxsize=4)
def _load_shipped(name: str, **overrides: Any) -> Inpainter:
    return load(name, **overrides)


def _load_once(name: str, weights, **overrides: Any) -> Inpainter:
    """`load`, remembered where nothing on disk can change: compilations are kept."""
    if weights is not None:
        return load(name, weights, **overrides)
    return _load_shipped(name, **overrides)


def _build(name: str, overrides: Mapping[str, Any]) -> Method:
    """The method record; an argument that `build` does not know is named."""
    build: Callable[..., Method] = METHODS[name]
    known = list(inspect.signature(build).parameters)
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise ValueError(
            f"{name} has no argument {unknown[0]!r}; it takes: {', '.join(known)}"
        )
    return build(**overrides)


def _untrained(name: str, overrides: Mapping[str, Any], devices: int) -> Inpainter:
    method = _build(name, overrides)
    if method.networks:
        raise FileNotFoundError(
            f"no weights ship for {name}; train it (python -m launch.train"
            f" --config=inpainting_jax/configs/{name}.py --workdir=DIR) and give"
            " weights=DIR, or give a .safetensors file made by launch.convert"
        )
    card = {"method": name, "overrides": dict(overrides)}
    return Inpainter(method, {}, card, devices=devices)


def _find(name: str, weights: str | os.PathLike) -> tuple[Variables, dict[str, Any]]:
    """Variables and card of shipped weights, of a file, or of a run."""
    path = pathlib.Path(weights)
    shipped = SHIPPED / f"{weights}.safetensors"
    if path.suffix == ".safetensors":
        return checkpoints.load_weights(path)
    if path.is_dir():
        return read_run(path)
    if shipped.is_file():
        return checkpoints.load_weights(shipped)
    raise FileNotFoundError(
        f"no weights {str(weights)!r} for {name}: neither a .safetensors file, nor the"
        " --workdir of a training run, nor one of the shipped weights"
        f" ({', '.join(list_weights()) or 'none ship'})"
    )


def _check_variables(
    method: Method, variables: Variables, card: Mapping[str, Any], where: str
) -> None:
    """Raises, naming the tensor, if the weights are not those of the method."""
    needed = [
        network
        for network in method.networks
        if not any(word in network for word in _TRAINING_ONLY)
    ]
    missing = [network for network in needed if network not in variables]
    if missing:
        raise ValueError(f"{where} lacks the network {missing[0]!r} of {method.name}")
    # A discriminator's dense layer has the shape that its images gave it.
    side = card.get("image_size") or card.get("train_size") or 64
    side = max(side, method.multiple, method.min_size)
    batch = {
        "image": jax.ShapeDtypeStruct((1, side, side, 3), np.float32),
        "mask": jax.ShapeDtypeStruct((1, side, side, 1), np.float32),
        "guide": jax.ShapeDtypeStruct(
            (1, side, side, max(1, method.guide_channels)), np.float32
        ),
    }
    expected = jax.eval_shape(method.init, jax.random.key(0), batch)
    expected = {
        network: expected[network] for network in variables if network in expected
    }
    flat = traverse_util.flatten_dict(dict(variables), sep="/")
    checkpoints.check_tensors(flat, expected, where=where)
