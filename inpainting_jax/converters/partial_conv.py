"""Checkpoints of partial-convolution U-Nets: naoto0804's and mmagic's.

Both are PyTorch re-implementations; the authors published no U-Net. Width and depth are
read from the tensors. Kernels that count valid pixels are all ones and dropped.
"""

from collections.abc import Mapping

import numpy as np

from inpainting_jax.converters.base import Entry, Plan, batch_norm_entries, hwio
from inpainting_jax.methods.partial_conv.networks import VALUE_RANGES
from inpainting_jax.registry import UnknownNameError

Tensors = Mapping[str, np.ndarray]


def from_naoto0804(tensors: Tensors, *, value_range: str = "imagenet") -> Plan:
    """`naoto0804/pytorch-inpainting-with-partial-conv`: sums without a window's size.

    Args:
      tensors: the saved {"model", "optimizer", "n_iter"}, or the model's state dict.
      value_range: of the network's input and output: "imagenet" as its training script
        normalises, or "unit", "signed".
    """
    if value_range not in VALUE_RANGES:
        known = dict.fromkeys(VALUE_RANGES)
        raise UnknownNameError("value of value_range", value_range, known)
    root = "model." if any(name.startswith("model.") for name in tensors) else ""
    overrides = {"window": "one", "value_range": value_range, "tv_region": "all"}
    return _plan(
        tensors,
        root,
        block=lambda side, i: f"{root}{side}_{i}",
        conv="conv.input_conv",
        dropped=("mask_conv.weight", "mask_conv.bias"),
        overrides=overrides,
    )


def from_mmagic(tensors: Tensors) -> Plan:
    """`open-mmlab/mmagic` (and mmediting), `PConvEncoderDecoder`; works on [-1, 1].

    The names are those of its module definitions; no published file has been tried.
    """
    root = "state_dict." if any(n.startswith("state_dict.") for n in tensors) else ""
    root += "generator."
    sides = {"enc": "encoder.enc", "dec": "decoder.dec"}
    overrides = {
        "first_bias": True,
        "value_range": "signed",
        "tv_region": "hole",
        "l1_reduction": "region",
    }
    return _plan(
        tensors,
        root,
        block=lambda side, i: f"{root}{sides[side]}{i}",
        conv="conv",
        dropped=("weight_mask_updater",),
        overrides=overrides,
    )


def _plan(tensors: Tensors, root: str, *, block, conv, dropped, overrides) -> Plan:
    """The plan, given how blocks (side, number) and their convolutions are called."""
    depth = 2
    while f"{block('enc', depth + 1)}.{conv}.weight" in tensors:
        depth += 1
    first = tensors.get(f"{block('enc', 1)}.{conv}.weight")
    width = 64 if first is None else int(np.shape(first)[0])
    entries = []
    for side in ("enc", "dec"):
        for i in range(1, depth + 1):
            name, theirs = f"{side}{i}", block(side, i)
            path = ("generator", "params", name, "conv")
            entries.append(Entry((*path, "kernel"), f"{theirs}.{conv}.weight", hwio))
            has_bias = i == 1 and (side == "dec" or overrides.get("first_bias"))
            if has_bias:
                entries.append(Entry((*path, "bias"), f"{theirs}.{conv}.bias"))
            if i > 1:
                entries += batch_norm_entries(
                    (name, "norm"), f"{theirs}.bn", network="generator"
                )
    ignored = frozenset(
        name
        for name in tensors
        if not name.startswith(root) or name.endswith((*dropped, "num_batches_tracked"))
    )
    found = {"depth": depth, "width": width, **overrides}
    return Plan("partial_conv", found, entries, ignored, 2**depth)
