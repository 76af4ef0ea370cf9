"""Checkpoints of DeepFill v1: the TensorFlow original, daa233's port and mmagic's.

Our layer names are those of the TensorFlow original. Its released weights were trained
on images in B, G, R order: convert them with `channel_order="bgr"` to get a network
that takes and gives R, G, B. daa233 saves generator and critics to two files: each
converts alone.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from inpainting_jax.converters.base import Entry, Plan, dense, hwio
from inpainting_jax.methods.deepfill_v1 import networks

LAYERS = (
    *(layer.name for table in networks.TABLES for layer in table),
    "conv17",
    "allconv17",
)
"""Names of the generator's layers, DeepFill v2's too."""

LAST = ("conv17", "allconv17")
"""Layers whose output is colours."""

_FIRST = ("conv1", "xconv1", "pmconv1")  # their input starts with colours
_CONVS = ("conv1", "conv2", "conv3", "conv4")  # of a critic

Turn = Callable[[np.ndarray], np.ndarray]
Names = Mapping[tuple[str, str], str]
"""(layer, leaf) of ours -> name in the checkpoint."""


def must_reverse(channel_order: str) -> bool:
    """Whether colours must be reversed; an unknown order is a `ValueError`."""
    if channel_order not in ("rgb", "bgr"):
        raise ValueError(
            f"channel_order must be 'rgb' (as stored) or 'bgr', got {channel_order!r}"
        )
    return channel_order == "bgr"


def reversing(layer: str, leaf: str, turn: Turn) -> Turn:
    """`turn`, then colours reversed where the layer's input or output is colours."""

    def reverse(array: np.ndarray) -> np.ndarray:
        array = turn(array)
        if layer in LAST:
            return array[..., ::-1]
        if leaf == "kernel" and layer in _FIRST:
            rest = array[:, :, 3:]
            return np.concatenate([array[:, :, 2::-1], rest], axis=2)
        return array

    return reverse


def tensorflow_generator_names() -> dict[tuple[str, str], str]:
    """Names in the authors' checkpoints of v1 and v2; up-sampling ones are nested."""
    names = {}
    for layer in LAYERS:
        inner = f"{layer}/{layer}_conv" if layer.endswith("_upsample") else layer
        for leaf in ("kernel", "bias"):
            names[layer, leaf] = f"inpaint_net/{inner}/{leaf}"
    return names


def is_tensorflow_slot(name: str) -> bool:
    """Whether a variable of the authors' checkpoints belongs to the optimiser."""
    leaf = name.split("/")[-1]
    return leaf in ("Adam", "Adam_1", "global_step", "lr") or "_power" in leaf


def _plan(
    tensors: Mapping[str, np.ndarray],
    *,
    generator: Names,
    critics: Mapping[str, Names],
    torch: bool,
    channel_order: str,
    ignored: Callable[[str], bool],
    overrides: Mapping[str, Any],
) -> Plan:
    """The plan of any layout; networks wholly absent are left out."""
    reverse = must_reverse(channel_order)
    found, image_size = dict(overrides), 64
    groups = {("generator", ""): generator}
    groups |= {("discriminator", critic): names for critic, names in critics.items()}
    present = {
        network
        for (network, _), names in groups.items()
        if any(name in tensors for name in names.values())
    } or {"generator"}
    entries = []
    for (network, critic), names in groups.items():
        if network not in present:
            continue
        sizes = _sizes(tensors, names, torch)
        for (layer, leaf), source in names.items():
            turn: Turn = np.asarray
            if torch and leaf == "kernel":
                turn = dense(sizes.get("last", 1)) if layer == "dense" else hwio
            if reverse:
                turn = reversing(layer, leaf, turn)
            where = (critic, layer) if critic else (layer,)
            entries.append(Entry((network, "params", *where, leaf), source, turn))
        if network == "generator":
            found |= {"width": max(2, sizes["first"])} if "first" in sizes else {}
        elif len(sizes) == 3:
            found["discriminator_width"] = sizes["first"]
            if critic == "local_critic":
                found["local_size"] = sizes["side"]
                found["local_factor"] = max(1, sizes["last"] // sizes["first"])
            else:
                image_size = sizes["side"]
    skipped = frozenset(name for name in tensors if ignored(name))
    return Plan("deepfill_v1", found, entries, skipped, image_size)


def _sizes(
    tensors: Mapping[str, np.ndarray], names: Names, torch: bool
) -> dict[str, int]:
    """What the arrays tell: `first` and `last` channels, `side` of a critic's images.

    What cannot be told because a tensor is missing is left out.
    """
    sizes = {}
    axis = 0 if torch else -1
    for key, layer in (("first", "conv1"), ("last", "conv4")):
        kernel = tensors.get(names.get((layer, "kernel"), ""))
        if kernel is not None and np.ndim(kernel) == 4:
            sizes[key] = np.shape(kernel)[axis]
    inputs = tensors.get(names.get(("dense", "kernel"), ""))
    if inputs is not None and "last" in sizes:
        sizes["side"] = 16 * max(1, math.isqrt(np.size(inputs) // sizes["last"]))
    return sizes


def from_tensorflow(
    tensors: Mapping[str, np.ndarray], *, channel_order: str = "rgb"
) -> Plan:
    """`JiahuiYu/generative_inpainting` v1; variable names without ":0"."""
    critics = {}
    for kind in ("local", "global"):
        whole = {c: f"discriminator/discriminator_{kind}/{c}" for c in _CONVS}
        whole["dense"] = f"discriminator/dout_{kind}_fc"
        critics[f"{kind}_critic"] = {
            (layer, leaf): f"{name}/{leaf}"
            for layer, name in whole.items()
            for leaf in ("kernel", "bias")
        }
    return _plan(
        tensors,
        generator=tensorflow_generator_names(),
        critics=critics,
        torch=False,
        channel_order=channel_order,
        ignored=is_tensorflow_slot,
        overrides={},
    )


def _torch_names(modules: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """`{our layer: module}` as names of its two tensors."""
    return {
        (layer, ours): f"{module}.{theirs}"
        for layer, module in modules.items()
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
    }


def from_daa233(
    tensors: Mapping[str, np.ndarray], *, channel_order: str = "rgb"
) -> Plan:
    """`daa233/generative-inpainting-pytorch`: `gen_*.pt`, or `dis_*.pt` (both critics).

    The port's own padding, resizing and patch norm come with its weights.
    """
    modules = {}
    for layer in LAYERS:
        stage = "coarse" if layer.startswith("conv") else "fine"
        name = layer.removesuffix("_upsample").removeprefix("x")
        modules[layer] = f"{stage}_generator.{name}.conv"
    critics = {}
    for kind in ("local", "global"):
        convs = {c: f"{kind}D.dis_conv_module.{c}.conv" for c in _CONVS}
        critics[f"{kind}_critic"] = _torch_names({**convs, "dense": f"{kind}D.linear"})
    return _plan(
        tensors,
        generator=_torch_names(modules),
        critics=critics,
        torch=True,
        channel_order=channel_order,
        ignored=lambda name: False,
        overrides={
            "padding": "SYMMETRIC",
            "resize_rule": "floor",
            "patch_norm": "daa233",
            "shared_mask": True,
            "local_factor": 4,
            "masked_penalty": False,
        },
    )


def _mmagic_modules() -> dict[str, str]:
    """Our generator's layers by mmagic's module names."""
    stage1, stage2 = "generator.stage1", "generator.stage2"
    parts = (
        (networks.COARSE[:6], f"{stage1}.encoder.enc{{}}"),
        (networks.COARSE[6:10], f"{stage1}.dilation_neck.dilation_convs.{{}}"),
        (networks.COARSE[10:], f"{stage1}.decoder.dec{{}}"),
        (networks.CONV_BRANCH[:6], f"{stage2}.encoder_conv.enc{{}}"),
        (networks.CONV_BRANCH[6:], f"{stage2}.dilation_neck.dilation_convs.{{}}"),
        (networks.ATTENTION_BRANCH, f"{stage2}.encoder_attention.enc{{}}"),
        (networks.AFTER_ATTENTION, f"{stage2}.contextual_attention_neck.conv{{}}"),
        (networks.MERGED, f"{stage2}.decoder.dec{{}}"),
    )
    modules = {}
    for table, pattern in parts:
        start = 0 if "dilation_convs" in pattern else 1
        for number, layer in enumerate(table, start):
            modules[layer.name] = f"{pattern.format(number)}.conv"
    modules["conv17"] = f"{stage1}.decoder.dec7.conv"
    modules["allconv17"] = f"{stage2}.decoder.dec7.conv"
    return modules


def from_mmagic(
    tensors: Mapping[str, np.ndarray], *, channel_order: str = "rgb"
) -> Plan:
    """`open-mmlab/mmagic` DeepFillv1, a bare state dict or a file that holds one.

    Its own rules come with its weights: reflected borders, ELU before the attention,
    hole scores left out of the softmax, exact overlap, ELU critics whose logits pass a
    leaky ReLU.
    """
    root = "state_dict."
    prefix = root if any(name.startswith(root) for name in tensors) else ""
    modules = {ours: prefix + theirs for ours, theirs in _mmagic_modules().items()}
    critics = {}
    for kind in ("local", "global"):
        convs = {c: f"{prefix}disc.{kind}_disc.{c}.conv" for c in _CONVS}
        fc = f"{prefix}disc.{kind}_disc.fc.linear"
        critics[f"{kind}_critic"] = _torch_names({**convs, "dense": fc})

    def ignored(name: str) -> bool:
        return name.endswith(".fuse_kernel") or not name.startswith(prefix)

    return _plan(
        tensors,
        generator=_torch_names(modules),
        critics=critics,
        torch=True,
        channel_order=channel_order,
        ignored=ignored,
        overrides={
            "padding": "REFLECT",
            "discriminator_padding": "SYMMETRIC",
            "discriminator_activation": "elu",
            "output_slope": 0.2,
            "resize_rule": "floor",
            "overlap": "exact",
            "mask_mode": "neg_inf",
            "attention_relu": False,
        },
    )
