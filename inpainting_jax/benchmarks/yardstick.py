"""The PyTorch yardstick in the forms that may be fastest: channels last, compiled.

Each is a variant of a case; the suite times them all and compares us with the fastest.
Compiled: `torch.compile` with static shapes. Frozen: its weights are constants, packed
beforehand, as for deployment. Eager passes, and channels first, are slower (2 CPU
cores, 256 x 256: 2.7 s eager, 2.2 s first, 1.9 s last) and not timed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from inpainting_jax.benchmarks.speed_cases import Variant


def generator_variants(
    variables: Mapping[str, Any], image: np.ndarray, mask: np.ndarray
) -> dict[str, Variant]:
    """Forward passes of the generator of DeepFill v2 at its paper's width.

    Args:
      variables: of our generator.
      image: [B, S, S, 3] in [-1, 1].
      mask: [B, S, S, 1], 1 = hole.
    """
    from inpainting_jax.benchmarks import torch_deepfill_v2 as yard

    def prepare(*, frozen: bool) -> Variant:
        generator = yard.Generator(form="product").eval()
        yard.load(generator, variables)
        inputs = yard.to_planes(image), yard.to_planes(mask)
        return forward(generator, inputs, frozen=frozen)

    return {
        "torch compiled, channels last": prepare(frozen=False),
        "torch frozen, channels last": prepare(frozen=True),
    }


def forward(network: Any, inputs: tuple[Any, ...], *, frozen: bool) -> Variant:
    """A module's forward pass without gradients; the last of its results is compared.

    Args:
      network: a PyTorch module.
      inputs: [B, C, H, W] tensors.
      frozen: with constant weights.
    """
    import torch

    from inpainting_jax.benchmarks.torch_deepfill_v2 import to_images

    layout = torch.channels_last
    network = network.to(memory_format=layout)
    inputs = tuple(planes.to(memory_format=layout) for planes in inputs)
    options = {"freezing": True} if frozen else None
    network = torch.compile(network, dynamic=False, options=options)

    def call() -> Any:
        with torch.no_grad():
            return network(*inputs)

    return Variant(call, lambda result: to_images(result[-1]))
