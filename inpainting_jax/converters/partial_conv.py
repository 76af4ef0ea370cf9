"""Checkpoints of partial-convolution U-Nets: naoto0804's, mmagic's and PConv-Keras's.

All are re-implementations; the authors published no U-Net. Width and depth are read
from the tensors. Kernels that count valid pixels are all ones and dropped.
"""

import re
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


def from_keras(tensors: Tensors) -> Plan:
    """`MathiasGruber/PConv-Keras`, its `.h5` of weights; works on [0, 1].

    Keras numbers layers anew in every process, so they are told by their order. Its
    biases before a normalisation become part of the running means, and its epsilon of
    1e-3 part of the variances. One difference is left: where no known pixel is within
    reach of the whole network, the last layer's bias does not reach the head of ours.
    """
    convs = _numbered(tensors, "p_conv2d", "img_kernel:0")
    decoder_norms = _numbered(tensors, "batch_normalization", "gamma:0")
    depth = max(len(convs) // 2, 2)
    convs += [f"p_conv2d_{i}" for i in range(len(convs), 2 * depth)]  # named as missing
    decoder_norms += ["batch_normalization"] * (depth - 1 - len(decoder_norms))
    sides = [("enc", i) for i in range(1, depth + 1)]
    sides += [("dec", i) for i in range(depth, 0, -1)]
    entries, folded = [], set()
    for (side, i), theirs in zip(sides, convs, strict=True):
        path, bias = ("generator", "params", f"{side}{i}", "conv"), f"{theirs}/bias:0"
        turn = _skip_last if side == "dec" else np.asarray
        entries.append(Entry((*path, "kernel"), f"{theirs}/img_kernel:0", turn))
        if i == 1:
            entries.append(Entry((*path, "bias"), bias))
            continue
        if f"{theirs}/img_kernel:0" in tensors and bias not in tensors:
            raise ValueError(f"{theirs} has a kernel, but {bias!r} is missing")
        norm = f"EncBN{i - 1}" if side == "enc" else decoder_norms[depth - i]
        entries += _keras_norm(f"{side}{i}", norm, tensors.get(bias, 0))
        folded.add(bias)
    head = ("generator", "params", "head")
    entries.append(Entry((*head, "kernel"), "outputs_img/kernel:0"))
    entries.append(Entry((*head, "bias"), "outputs_img/bias:0"))
    first = tensors.get(f"{convs[0]}/img_kernel:0")
    overrides = {
        "depth": depth,
        "width": 64 if first is None else int(np.shape(first)[-1]),
        "window": "area",
        "first_bias": True,
        "head": "sigmoid",
        "value_range": "unit",
    }
    return Plan(
        "partial_conv", overrides, entries, frozenset(folded & set(tensors)), 2**depth
    )


def _numbered(tensors: Tensors, kind: str, weight: str) -> list[str]:
    """Layers `kind`, `kind_1`, `kind_2`, ... that have `weight`, in their order."""
    pattern = re.compile(rf"({kind}(?:_(\d+))?)/{weight}")
    found = [match for name in tensors if (match := pattern.fullmatch(name))]
    return [m[1] for m in sorted(found, key=lambda m: int(m[2] or 0))]


def _skip_last(kernel: np.ndarray) -> np.ndarray:
    """A decoder's kernel with the inputs [skip, upsampled] as [upsampled, skip]."""
    skip = kernel.shape[-1]  # as many channels leave the decoder as the encoder before
    return np.concatenate([kernel[:, :, skip:], kernel[:, :, :skip]], axis=2)


def _keras_norm(layer: str, theirs: str, bias: np.ndarray | float) -> list[Entry]:
    """A normalisation of epsilon 1e-3 after a convolution that adds `bias`."""

    def entry(collection, leaf, name, turn=np.asarray):
        path = ("generator", collection, layer, "norm", leaf)
        return Entry(path, f"{theirs}/{name}:0", turn)

    return [
        entry("params", "scale", "gamma"),
        entry("params", "bias", "beta"),
        entry("batch_stats", "mean", "moving_mean", lambda mean: mean - bias),
        entry("batch_stats", "var", "moving_variance", lambda v: v + (1e-3 - 1e-5)),
    ]


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
