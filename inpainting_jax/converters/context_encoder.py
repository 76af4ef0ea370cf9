"""Checkpoints of the Context Encoder: BoyuanJiang's PyTorch port.

That port trains the authors' centre network (128 px, overlap 4) and saves generator and
discriminator in a file each, under the same names. One file gives one network; both
at once are told apart by "G." and "D." in front.
"""

from collections.abc import Mapping

import numpy as np

from inpainting_jax.converters.base import (
    Entry,
    Plan,
    batch_norm_entries,
    dense,
    hwio,
    transposed_hwio,
)

# Index in the port's `nn.Sequential` of each layer; its normalisation comes next.
_ENCODER = {f"conv{i}": main for i, main in enumerate((0, 2, 5, 8, 11), 1)}
_ENCODER["bottleneck"] = 14
_DECODER = {f"deconv{i}": main for i, main in enumerate((17, 20, 23, 26, 29), 1)}
_DISCRIMINATOR = {f"conv{i}": main for i, main in enumerate((0, 2, 5, 8), 1)}
_JUDGEMENT = 11  # the last convolution covers all of its input: a dense layer
_NOT_NORMALISED = ("conv1", "deconv5")


def _layer_entries(network: str, layer: str, name: str, main: int, turn) -> list[Entry]:
    """A convolution and, if it has one, its normalisation."""
    path = (network, "params", layer, "kernel")
    entries = [Entry(path, f"{name}{main}.weight", turn)]
    if layer not in _NOT_NORMALISED:
        norm = f"{name}{main + 1}"
        entries += batch_norm_entries((layer, "norm"), norm, network=network)
    return entries


def _generator_entries(name: str) -> list[Entry]:
    """The generator, whose tensors are called `{name}{index}.{leaf}`."""
    turns = [(_ENCODER, hwio), (_DECODER, transposed_hwio)]
    return [
        entry
        for table, turn in turns
        for layer, main in table.items()
        for entry in _layer_entries("generator", layer, name, main, turn)
    ]


def _discriminator_entries(name: str, channels: int) -> list[Entry]:
    """The discriminator; `channels` are those of its last features."""
    entries = [
        entry
        for layer, main in _DISCRIMINATOR.items()
        for entry in _layer_entries("discriminator", layer, name, main, hwio)
    ]
    path = ("discriminator", "params", "dense", "kernel")
    return [*entries, Entry(path, f"{name}{_JUDGEMENT}.weight", dense(channels))]


def from_boyuan(tensors: Mapping[str, np.ndarray]) -> Plan:
    """`BoyuanJiang/context_encoder_pytorch`: generator, discriminator, or both.

    Args:
      tensors: a state dict, the saved {"epoch", "state_dict"}, or two of either with
        "G." and "D." in front of their names. Widths are read from the tensors.
    """
    overrides = {"variant": "center", "image_size": 128, "overlap": 4}
    entries: list[Entry] = []
    both = any(name.startswith(("G.", "D.")) for name in tensors)
    for network in ("G.", "D.") if both else ("",):
        saved = any(name.startswith(f"{network}state_dict.") for name in tensors)
        name = network + ("state_dict." if saved else "") + "main."
        # Alone, a file with the last layer of the generator's decoder is one.
        first, narrow = (tensors.get(f"{name}{i}.weight") for i in (0, 14))
        if network == "D." or (not network and f"{name}17.weight" not in tensors):
            last = tensors.get(f"{name}{_JUDGEMENT}.weight")
            channels = 512 if last is None else last.shape[1]
            entries += _discriminator_entries(name, channels)
            if first is not None:
                overrides["discriminator_width"] = int(first.shape[0])
        else:
            entries += _generator_entries(name)
            if first is not None and narrow is not None:
                overrides["width"] = int(first.shape[0])
                overrides["bottleneck"] = int(narrow.shape[0])
    ignored = frozenset(
        name for name in tensors if name.endswith(("num_batches_tracked", "epoch"))
    )
    return Plan("context_encoder", overrides, entries, ignored)
