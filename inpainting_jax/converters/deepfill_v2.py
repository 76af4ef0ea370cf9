"""Checkpoints of DeepFill v2: the TensorFlow original and nipponjo's two ports.

The layer names are those of the TensorFlow original, which are ours too. The released
TensorFlow weights were trained on images in B, G, R order: convert them with
`channel_order="bgr"` to get a network that takes and gives R, G, B.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from inpainting_jax.converters.base import Entry, Plan, hwio, row
from inpainting_jax.converters.deepfill_v1 import (
    LAST,
    LAYERS,
    is_tensorflow_slot,
    must_reverse,
    reversing,
    tensorflow_generator_names,
)


def _plan(
    tensors: Mapping[str, np.ndarray],
    *,
    generator_names: Mapping[tuple[str, str], str],
    discriminator_names: Mapping[tuple[str, str], str],
    torch: bool,
    swap: bool,
    ignored: Callable[[str], bool],
    overrides: Mapping[str, Any],
) -> Plan:
    """The plan of either layout; networks wholly absent are left out."""
    entries = []
    found = dict(overrides)
    axis = 0 if torch else -1
    networks = {"generator": generator_names, "discriminator": discriminator_names}
    present = {
        network: names
        for network, names in networks.items()
        if any(name in tensors for name in names.values())
    } or {"generator": generator_names}
    for network, names in present.items():
        for (layer, leaf), source in names.items():
            turn = {"kernel": hwio if torch else np.asarray, "u": row}.get(
                leaf, np.asarray
            )
            if swap and not (network == "discriminator" and leaf != "kernel"):
                turn = reversing(layer, leaf, turn)
            collection = "spectral_stats" if leaf == "u" else "params"
            entries.append(Entry((network, collection, layer, leaf), source, turn))
        first = tensors.get(names["conv1", "kernel"])
        if first is not None and network == "generator":
            found["width"] = max(2, np.shape(first)[axis] // 2)
        elif first is not None:
            found["discriminator_width"] = int(np.shape(first)[axis])
    skipped = frozenset(name for name in tensors if ignored(name))
    return Plan("deepfill_v2", found, entries, skipped)


def from_tensorflow(
    tensors: Mapping[str, np.ndarray], *, channel_order: str = "rgb"
) -> Plan:
    """`JiahuiYu/generative_inpainting` v2; variable names without ":0"."""
    discriminator = {}
    for i in range(1, 7):
        prefix = f"discriminator/sn_patch_gan/conv{i}"
        discriminator[f"conv{i}", "kernel"] = f"{prefix}/kernel"
        discriminator[f"conv{i}", "bias"] = f"{prefix}/bias"
        discriminator[f"conv{i}", "u"] = f"{prefix}/kernel_sn/u"

    return _plan(
        tensors,
        generator_names=tensorflow_generator_names(),
        discriminator_names=discriminator,
        torch=False,
        swap=must_reverse(channel_order),
        ignored=is_tensorflow_slot,
        overrides={"padding": "SAME", "resize_rule": "align_corners"},
    )


def _torch_plan(
    tensors: Mapping[str, np.ndarray],
    layer_names: Mapping[str, str],
    overrides: Mapping[str, Any],
    channel_order: str,
) -> Plan:
    """Either PyTorch layout: bare state dicts, or the saved {"G": ..., "D": ...}."""
    whole = any(name.startswith("G.") for name in tensors)
    g, d = ("G.", "D.") if whole else ("", "")
    generator = {
        (layer, ours): f"{g}{layer_names[layer]}.{theirs}"
        for layer in LAYERS
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
    }
    discriminator = {
        (f"conv{i}", ours): f"{d}conv{i}.conv_sn.{theirs}"
        for i in range(1, 7)
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"), ("u", "weight_u"))
    }

    def ignored(name: str) -> bool:
        return name.split(".")[0] in (
            "G_optim",
            "D_optim",
            "n_iter",
        ) or name.endswith(("fuse_weight", "weight_v"))

    return _plan(
        tensors,
        generator_names=generator,
        discriminator_names=discriminator,
        torch=True,
        swap=must_reverse(channel_order),
        ignored=ignored,
        overrides=overrides,
    )


def from_nipponjo_tf(
    tensors: Mapping[str, np.ndarray], *, channel_order: str = "rgb"
) -> Plan:
    """`nipponjo/deepfillv2-pytorch`, file networks_tf.py.

    That port never fuses the attention scores and resizes the mask in one step: so
    does the network converted here. Whether its published file swapped the colours is
    not known; try both orders on a photograph.
    """
    names = {
        layer: f"{layer}.conv.conv" if layer.endswith("_upsample") else f"{layer}.conv"
        for layer in LAYERS
    }
    names |= {layer: f"{layer}.conv" for layer in LAST}
    overrides = {
        "fuse": False,
        "mask_in_one_step": True,
        "discriminator_padding": "SYMMETRIC",
    }
    return _torch_plan(tensors, names, overrides, channel_order)


def _stage1_names() -> dict[str, str]:
    """Our coarse layers by nipponjo's names."""
    names = {
        "conv1": "conv1",
        "conv2_downsample": "down_block1.conv1_downsample",
        "conv3": "down_block1.conv2",
        "conv4_downsample": "down_block2.conv1_downsample",
        "conv5": "down_block2.conv2",
        "conv6": "conv_bn1",
        "conv11": "conv_bn6",
        "conv12": "conv_bn7",
        "conv17": "conv_to_rgb",
    }
    names |= {f"conv{7 + i}_atrous": f"conv_bn{2 + i}" for i in range(4)}
    return names | _up_names("", "")


def _up_names(ours: str, theirs: str) -> dict[str, str]:
    """The up-sampling half of either stage."""
    return {
        f"{ours}conv13_upsample": f"{theirs}up_block1.conv1_upsample.conv",
        f"{ours}conv14": f"{theirs}up_block1.conv2",
        f"{ours}conv15_upsample": f"{theirs}up_block2.conv1_upsample.conv",
        f"{ours}conv16": f"{theirs}up_block2.conv2",
    }


def _stage2_names() -> dict[str, str]:
    """Our refinement layers by nipponjo's names."""
    names = {}
    for ours, theirs in (("x", "conv"), ("pm", "ca")):
        names |= {
            f"{ours}conv1": f"{theirs}_conv1",
            f"{ours}conv2_downsample": f"{theirs}_down_block1.conv1_downsample",
            f"{ours}conv3": f"{theirs}_down_block1.conv2",
            f"{ours}conv4_downsample": f"{theirs}_down_block2.conv1_downsample",
            f"{ours}conv5": f"{theirs}_down_block2.conv2",
        }
    names |= {"xconv6": "conv_conv_bn1", "pmconv6": "ca_conv_bn1"}
    names |= {f"xconv{7 + i}_atrous": f"conv_conv_bn{2 + i}" for i in range(4)}
    names |= {"pmconv9": "ca_conv_bn4", "pmconv10": "ca_conv_bn5"}
    names |= {"allconv11": "conv_bn6", "allconv12": "conv_bn7"}
    names |= {"allconv17": "conv_to_rgb"}
    return names | _up_names("all", "")


def from_nipponjo(
    tensors: Mapping[str, np.ndarray], *, channel_order: str = "rgb"
) -> Plan:
    """`nipponjo/deepfillv2-pytorch`, file networks.py: its own padding and resizing."""
    names = {ours: f"stage1.{name}.conv" for ours, name in _stage1_names().items()}
    names |= {ours: f"stage2.{name}.conv" for ours, name in _stage2_names().items()}
    overrides = {"padding": "SYMMETRIC", "resize_rule": "floor"}
    return _torch_plan(tensors, names, overrides, channel_order)
