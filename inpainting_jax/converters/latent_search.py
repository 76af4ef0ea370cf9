"""The DCGAN face generator of the PyPI package `gan-face-generate`.

Its `weights.tar` is a PyTorch archive with the state dict of PyTorch's DCGAN tutorial:
64 x 64, latents from a normal distribution, no discriminator. Trained on rendered faces
(DigiFace-1M, as the package says); MIT licence.
"""

from collections.abc import Mapping

import numpy as np

from inpainting_jax.converters.base import (
    Entry,
    Plan,
    batch_norm_entries,
    transposed_hwio,
)

_PREFIX = "netG_state_dict."


def _project(kernel: np.ndarray) -> np.ndarray:
    """A 4 x 4 transposed convolution of one pixel [Z, C, 4, 4] as a dense layer."""
    return kernel.transpose(0, 2, 3, 1).reshape(kernel.shape[0], -1)


def from_gan_face_generate(tensors: Mapping[str, np.ndarray]) -> Plan:
    """`gan-face-generate` 1.1.1, with or without the prefix `netG_state_dict.`."""
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in tensors) else ""
    entries = [
        Entry(
            ("generator", "params", "project", "kernel"),
            f"{prefix}main.0.weight",
            _project,
        )
    ]
    entries += batch_norm_entries(
        ("project_norm",), f"{prefix}main.1", network="generator"
    )
    for index in range(1, 5):
        name, layer = f"{prefix}main.{3 * index}", f"deconv{index}"
        path = ("generator", "params", layer, "kernel")
        entries.append(Entry(path, f"{name}.weight", transposed_hwio))
        if index < 4:
            entries += batch_norm_entries(
                (layer, "norm"), f"{prefix}main.{3 * index + 1}", network="generator"
            )
    overrides = {
        "kernel_size": 4,
        "use_bias": False,
        "prior": "normal",
        "clip": None,
        "width": 64,
        "latent_size": 100,
    }
    first = tensors.get(f"{prefix}main.0.weight")
    if first is not None and np.ndim(first) == 4:
        overrides["latent_size"] = int(np.shape(first)[0])
        overrides["width"] = int(np.shape(first)[1]) // 8
    counts = (name for name in tensors if name.endswith(".num_batches_tracked"))
    return Plan("latent_search", overrides, entries, frozenset(counts))
