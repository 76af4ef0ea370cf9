"""Checkpoints of globally and locally consistent completion: otenim's and mmagic's.

otenim saves the completion network (`conv1.weight`, ...) and the discriminator
(`model_gd.`, `model_ld.`, `linear1.`) as two files; either may come alone, or both in
one mapping. Its training mean is in its own config file: pass it as `mean_colour`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from inpainting_jax.converters.base import (
    Entry,
    Plan,
    batch_norm_entries,
    dense,
    hwio,
    transposed_hwio,
)
from inpainting_jax.methods.global_local.networks import LAYERS

Tensors = Mapping[str, np.ndarray]
Turn = Callable[[np.ndarray], np.ndarray]


def from_otenim(
    tensors: Tensors,
    *,
    channel_order: str = "rgb",
    mean_colour: Sequence[float] = (0.5, 0.5, 0.5),
) -> Plan:
    """`otenim/GLCIC-PyTorch`: normalises after the ReLU, paints the hole's colour.

    Args:
      tensors: state dict of the completion network, the discriminator, or both.
      channel_order: the port trains in "rgb"; "bgr" swaps.
      mean_colour: `mpv` of the port's config file, red, green, blue in [0, 1].
    """
    swap = _is_swapped(channel_order)
    names = {
        layer.name: (layer.name, f"bn{number}")
        for number, layer in enumerate(LAYERS, start=1)
    }
    branches = {}
    for ours, theirs in (("global_branch", "model_gd"), ("local_branch", "model_ld")):
        count = _count(tensors, theirs + ".conv{}.weight")
        convs = [(f"{theirs}.conv{i}", f"{theirs}.bn{i}") for i in range(1, count + 1)]
        branches[ours] = (convs, f"{theirs}.linear{count + 1}")
    has_generator, has_discriminator = _present(tensors, "conv1.", "model_")
    entries, found = [], {}
    if has_generator or not has_discriminator:
        entries += _completion(tensors, names, "conv17", swap)
        found["width"] = _outputs(tensors, "conv1.weight")
    image_size = 256
    if has_discriminator:
        entries += _discriminator(tensors, branches, "linear1", swap)
        sizes, image_size = _sizes(tensors, branches)
        found |= sizes
    overrides = {
        "norm_last": True,
        "local_first": True,
        "subtract_mean": False,
        "mean_colour": tuple(mean_colour),
        "judged": "raw",
        **found,
    }
    counters = frozenset(n for n in tensors if n.endswith("num_batches_tracked"))
    return Plan("global_local", overrides, entries, counters, image_size)


def from_mmagic(tensors: Tensors, *, channel_order: str = "rgb") -> Plan:
    """`open-mmlab/mmagic` (and mmediting), `GLEncoderDecoder` with `GLDiscs`.

    Works on [-1, 1] with the hole at 0, and clips its output. The names of the modules
    are read from its code; that a normalisation is called `bn` and the last layer
    `disc.fc` is from memory, and no published file has been tried.
    """
    swap = _is_swapped(channel_order)
    root = "state_dict." if any(n.startswith("state_dict.") for n in tensors) else ""
    parts = [f"encoder.enc{i}" for i in range(1, 7)]
    parts += [f"dilation_neck.dilation_convs.{i}" for i in range(4)]
    parts += [f"decoder.dec{i}" for i in range(1, 8)]
    modules = [f"{root}generator.{part}" for part in parts]
    names = {
        layer.name: (f"{module}.conv", f"{module}.bn")
        for layer, module in zip(LAYERS, modules, strict=False)
    }
    branches = {}
    for ours, theirs in (("global_branch", "global"), ("local_branch", "local")):
        module = f"{root}disc.{theirs}_disc"
        count = _count(tensors, module + ".conv{}.conv.weight")
        convs = [
            (f"{module}.conv{i}.conv", f"{module}.conv{i}.bn")
            for i in range(1, count + 1)
        ]
        branches[ours] = (convs, f"{module}.fc.linear")
    prefixes = f"{root}generator.", f"{root}disc."
    has_generator, has_discriminator = _present(tensors, *prefixes)
    entries, found, image_size = [], {}, 256
    if has_generator or not has_discriminator:
        entries += _completion(tensors, names, f"{modules[-1]}.conv", swap)
        found["width"] = _outputs(tensors, f"{modules[0]}.conv.weight")
    if has_discriminator:
        entries += _discriminator(tensors, branches, f"{root}disc.fc", swap)
        sizes, image_size = _sizes(tensors, branches)
        found |= sizes
    overrides = {"signed": True, "independent_window": False, **found}
    ignored = frozenset(
        name
        for name in tensors
        if not name.startswith(prefixes) or name.endswith("num_batches_tracked")
    )
    return Plan("global_local", overrides, entries, ignored, image_size)


def _present(tensors: Tensors, *prefixes: str) -> list[bool]:
    """Whether any tensor's name starts so."""
    return [any(name.startswith(p) for name in tensors) for p in prefixes]


def _is_swapped(channel_order: str) -> bool:
    """Whether colours must be reversed."""
    if channel_order not in ("rgb", "bgr"):
        raise ValueError(
            f"channel_order must be 'rgb' (as stored) or 'bgr', got {channel_order!r}"
        )
    return channel_order == "bgr"


def _count(tensors: Tensors, pattern: str) -> int:
    """How many consecutive layers 1, 2, ... there are; 1 if none, to be missed."""
    count = 1
    while pattern.format(count + 1) in tensors:
        count += 1
    return count


def _outputs(tensors: Tensors, name: str) -> int:
    """Output channels of a first convolution; 2 if it is missing, which is told."""
    return int(np.shape(tensors[name])[0]) if name in tensors else 2


def _conv(
    tensors: Tensors,
    path: tuple[str, ...],
    conv: str,
    norm: str = "",
    *,
    turn: Turn = hwio,
) -> list[Entry]:
    """Entries of one convolution and, if it has one, its normalisation.

    mmagic leaves the bias out where a normalisation follows: it is 0 then.
    """
    network, *module = path
    entries = [Entry((network, "params", *module, "kernel"), f"{conv}.weight", turn)]
    bias = (network, "params", *module, "bias")
    if norm and f"{conv}.bias" not in tensors:
        entries.append(Entry(bias, f"{norm}.bias", np.zeros_like))
    else:
        entries.append(Entry(bias, f"{conv}.bias"))
    if norm:
        entries += batch_norm_entries((*module, "norm"), norm, network=network)
    return entries


def _first(swap: bool) -> Turn:
    """Turns a kernel whose first three inputs are colours."""

    def turn(kernel: np.ndarray) -> np.ndarray:
        kernel = hwio(kernel)
        if not swap:
            return kernel
        return np.concatenate([kernel[:, :, 2::-1], kernel[:, :, 3:]], axis=2)

    return turn


def _completion(
    tensors: Tensors, names: Mapping[str, tuple[str, str]], last: str, swap: bool
) -> list[Entry]:
    """Entries of the completion network by `{our layer: (conv, normalisation)}`."""
    entries = []
    for layer in LAYERS:
        turn = transposed_hwio if layer.transposed else hwio
        turn = _first(swap) if layer.name == "conv1" else turn
        path = ("generator", layer.name)
        entries += _conv(tensors, path, *names[layer.name], turn=turn)
    colours = slice(None, None, -1 if swap else 1)
    path = ("generator", "params", "conv17")
    return [
        *entries,
        Entry((*path, "kernel"), f"{last}.weight", lambda k: hwio(k)[..., colours]),
        Entry((*path, "bias"), f"{last}.bias", lambda b: b[colours]),
    ]


def _discriminator(
    tensors: Tensors,
    branches: Mapping[str, tuple[list[tuple[str, str]], str]],
    fusion: str,
    swap: bool,
) -> list[Entry]:
    """Entries by `{our branch: ([(conv, normalisation), ...], linear)}`."""
    entries = []
    for branch, (convs, linear) in branches.items():
        for number, (conv, norm) in enumerate(convs, start=1):
            path = ("discriminator", branch, f"conv{number}")
            turn = _first(swap) if number == 1 else hwio
            entries += _conv(tensors, path, conv, norm, turn=turn)
        path = ("discriminator", "params", branch, "dense")
        channels = _outputs(tensors, f"{convs[-1][0]}.weight")
        entries.append(Entry((*path, "kernel"), f"{linear}.weight", dense(channels)))
        entries.append(Entry((*path, "bias"), f"{linear}.bias"))
    path = ("discriminator", "params", "fusion")
    entries.append(Entry((*path, "kernel"), f"{fusion}.weight", np.transpose))
    entries.append(Entry((*path, "bias"), f"{fusion}.bias"))
    return entries


def _sizes(
    tensors: Tensors, branches: Mapping[str, tuple[list[tuple[str, str]], str]]
) -> tuple[dict[str, int], int]:
    """Build arguments of the discriminator and the images' side, from the shapes."""
    sides, found = {}, {}
    for branch, (convs, linear) in branches.items():
        channels = _outputs(tensors, f"{convs[-1][0]}.weight")
        weight = tensors.get(f"{linear}.weight")
        inputs = channels if weight is None else np.shape(weight)[1]
        side = round((inputs // channels) ** 0.5)
        sides[branch] = side * 2 ** len(convs)
        found[branch.replace("branch", "layers")] = len(convs)
        found["discriminator_width"] = _outputs(tensors, f"{convs[0][0]}.weight")
    found["local_size"] = sides["local_branch"]
    return found, sides["global_branch"]
