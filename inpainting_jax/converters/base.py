"""What every converter does: look each tensor up, turn it, check it, miss none.

A converter is a function `(tensors) -> Plan`; the plan says which method, with which
build arguments, and where each of our arrays comes from. (Those of feature weights
return the network itself.) `convert` carries it out and
names every tensor that is missing, left over or of the wrong shape.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.converters.sources import SOURCES
from inpainting_jax.features.vgg import FeatureNetwork
from inpainting_jax.methods import METHODS
from inpainting_jax.registry import UnknownNameError
from inpainting_jax.types import Variables

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Converted:
    """A checkpoint in our terms; `inpainting_jax.load(converted)` runs it.

    Attributes:
      method: registry name; of feature weights, "vgg16" or "vgg19", which `load` does
        not take: `features.feature_network` reads the file that `launch.convert` makes.
      overrides: keyword arguments of the method's `build`; of feature weights, `norm`.
      variables: `{network: {collection: tree of float32 NumPy arrays}}`.
      image_size: side of the images whose discriminator has these shapes, pixels.
    """

    method: str
    overrides: dict[str, Any]
    variables: Variables
    image_size: int = 64


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where one of our arrays comes from.

    Attributes:
      path: (network, collection, layer, ..., leaf).
      source: name of the tensor in the checkpoint.
      turn: from the checkpoint's layout to ours.
    """

    path: Path
    source: str
    turn: Callable[[np.ndarray], np.ndarray] = np.asarray


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a converter wants done.

    Attributes:
      method: registry name.
      overrides: keyword arguments of its `build`.
      entries: one per array of the networks that the checkpoint holds.
      ignored: tensors of the checkpoint that have no place here (optimiser slots).
      image_size: side of the images the networks are made for, where shapes of their
        arrays follow from it (a dense layer on what strided convolutions leave).
    """

    method: str
    overrides: dict[str, Any]
    entries: Sequence[Entry]
    ignored: frozenset[str] = frozenset()
    image_size: int = 64


def hwio(kernel: np.ndarray) -> np.ndarray:
    """A PyTorch convolution kernel [O, I, kh, kw] as [kh, kw, I, O]."""
    return np.transpose(kernel, (2, 3, 1, 0))


def transposed_hwio(kernel: np.ndarray) -> np.ndarray:
    """A PyTorch transposed-convolution kernel [I, O, kh, kw] as ours [kh, kw, I, O]."""
    return np.transpose(kernel, (2, 3, 0, 1))[::-1, ::-1]


def dense(channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Turns a PyTorch linear layer after a flatten of [C, H, W] into ours of [H, W, C].

    Args:
      channels: C. Square maps are assumed: H = W follows from the layer's inputs.
    """

    def turn(weight: np.ndarray) -> np.ndarray:
        outputs = weight.shape[0]
        side = math.isqrt(weight[0].size // channels)
        maps = weight.reshape(outputs, channels, side, side)
        return maps.transpose(2, 3, 1, 0).reshape(-1, outputs)

    return turn


def batch_norm_entries(path: Path, prefix: str, *, network: str) -> list["Entry"]:
    """Entries of a PyTorch batch normalisation: `weight`, `bias` and running values.

    Args:
      path: of the module inside the network, e.g. `("conv1", "norm")`.
      prefix: its name in the checkpoint, without the last dot.
      network: the network's name.
    """
    leaves = (
        ("params", "scale", "weight"),
        ("params", "bias", "bias"),
        ("batch_stats", "mean", "running_mean"),
        ("batch_stats", "var", "running_var"),
    )
    return [
        Entry((network, collection, *path, ours), f"{prefix}.{theirs}")
        for collection, ours, theirs in leaves
    ]


def row(vector: np.ndarray) -> np.ndarray:
    """A spectral-norm vector of any layout as [1, O]."""
    return np.reshape(vector, (1, -1))


def convert(
    source: str, tensors: Mapping[str, np.ndarray], **options: Any
) -> Converted:
    """Variables and build arguments from the named arrays of a foreign checkpoint.

    Args:
      source: a name of `converters.SOURCES`.
      tensors: `{name in the checkpoint: array}`.
      **options: what the converter of this source takes, e.g. `channel_order`.

    Raises:
      ValueError: unknown source, an option it does not take, or tensors missing, left
        over or mis-shaped; all are named.
    """
    converter = SOURCES[source]
    known = list(inspect.signature(converter).parameters)[1:]
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of source {source!r}", option, known)
    plan: Plan | FeatureNetwork = converter(tensors, **options)
    if isinstance(plan, FeatureNetwork):
        layers = {name: dict(layer) for name, layer in plan.layers.items()}
        network = {plan.network: {"params": layers}}
        return Converted(plan.network, {"norm": plan.norm}, network)
    wanted = {entry.source for entry in plan.entries}
    missing = sorted(wanted - set(tensors))
    extra = sorted(set(tensors) - wanted - plan.ignored)
    if missing or extra:
        raise ValueError(
            f"not a checkpoint of {source}:"
            + (f" missing {_shortened(missing)}." if missing else "")
            + (f" Not part of it: {_shortened(extra)}." if extra else "")
            + f" Other sources: {', '.join(SOURCES)}."
        )
    shapes = _expected_shapes(plan)
    flat: dict[Path, np.ndarray] = {}
    for entry in plan.entries:
        array = np.asarray(entry.turn(np.asarray(tensors[entry.source])), np.float32)
        expected = shapes.get(entry.path)
        if array.shape != expected:
            stored = np.shape(tensors[entry.source])
            raise ValueError(
                f"tensor {entry.source!r} of {source} has shape {stored}, which "
                f"becomes {array.shape}; {'/'.join(entry.path)} needs {expected}"
            )
        flat[entry.path] = np.ascontiguousarray(array)
    networks = {path[0] for path in flat}
    unset = sorted(
        "/".join(path) for path in shapes if path[0] in networks and path not in flat
    )
    assert not unset, f"the converter {source} forgets {unset}"
    variables = flax.traverse_util.unflatten_dict(flat)
    return Converted(plan.method, dict(plan.overrides), variables, plan.image_size)


def _shortened(names: Sequence[str], limit: int = 6) -> str:
    """Names for a message, the first few in full."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more


def _expected_shapes(plan: Plan) -> dict[Path, tuple[int, ...]]:
    """Shapes of every array of the method, without computing any."""
    method = METHODS[plan.method](**plan.overrides)
    side = plan.image_size
    batch = {
        "image": jnp.zeros((1, side, side, 3)),
        "mask": jnp.zeros((1, side, side, 1)),
        "guide": jnp.zeros((1, side, side, max(method.guide_channels, 1))),
    }
    tree = jax.eval_shape(lambda key: method.init(key, batch), jax.random.key(0))
    flat = flax.traverse_util.flatten_dict(tree)
    return {path: tuple(leaf.shape) for path, leaf in flat.items()}
