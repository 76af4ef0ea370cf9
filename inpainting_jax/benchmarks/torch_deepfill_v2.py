"""DeepFill v2 in plain PyTorch: the yardstick that our speed is measured against.

Yu et al. 2019 (arXiv 1806.03589), written from the same description as ours and checked
to compute the same numbers from the same weights (`load`). Arrays are [B, C, H, W]
inside. PyTorch comes with the extra `bench`: this module and `torch_attention` import
it, and the suites import them when they run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from inpainting_jax.benchmarks.torch_attention import (
    contextual_attention,
    pick_nearest,
)
from inpainting_jax.methods.deepfill_v1 import networks as v1


def same_convolution(
    features: torch.Tensor, conv: nn.Conv2d, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """`conv` with TensorFlow's padding: at stride 2 one more zero after than before."""
    weight = conv.weight if weight is None else weight
    reach, stride = conv.dilation[0] * (conv.kernel_size[0] - 1), conv.stride[0]
    if stride == 1:
        return functional.conv2d(
            features, weight, conv.bias, 1, reach // 2, conv.dilation
        )
    margins = []
    for length in (features.shape[3], features.shape[2]):
        total = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
        margins += [total // 2, total - total // 2]
    features = functional.pad(features, margins)
    return functional.conv2d(features, weight, conv.bias, stride)


class GatedConv(nn.Module):
    """One layer of the tables in `deepfill_v1.networks`, gated."""

    def __init__(self, layer: v1.Layer, channels: int, width: int):
        super().__init__()
        self.features = int(width * layer.width)
        self.upsample = layer.upsample
        rectified = layer.activation is flax.linen.relu
        self.activation = functional.relu if rectified else functional.elu
        self.conv = nn.Conv2d(
            channels,
            2 * self.features,
            layer.kernel,
            layer.strides,
            dilation=layer.dilation,
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] to [B, F, H', W']."""
        if self.upsample:
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
        feature, gate = same_convolution(features, self.conv).chunk(2, dim=1)
        return self.activation(feature) * torch.sigmoid(gate)


class Generator(nn.Module):
    """Coarse network, then refinement by two branches (Fig. 3 of the paper)."""

    def __init__(self, width: int = 24, form: str = "convolution"):
        super().__init__()
        self.form = form
        merged = 8 * width
        self.coarse = self._stack(v1.COARSE, 5, width)
        self.conv_branch = self._stack(v1.CONV_BRANCH, 3, width)
        self.attention_branch = self._stack(v1.ATTENTION_BRANCH, 3, width)
        self.after_attention = self._stack(v1.AFTER_ATTENTION, merged // 2, width)
        self.merged = self._stack(v1.MERGED, merged, width)
        self.conv17 = nn.Conv2d(width // 2, 3, 3)
        self.allconv17 = nn.Conv2d(width // 2, 3, 3)

    @staticmethod
    def _stack(table: Sequence[v1.Layer], channels: int, width: int) -> nn.Sequential:
        stack = nn.Sequential()
        for layer in table:
            stack.add_module(layer.name, GatedConv(layer, channels, width))
            channels = int(width * layer.width)
        return stack

    def forward(
        self, image: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Coarse and refined images [B, 3, H, W] in (-1, 1); the hole is not read."""
        hole = mask > 0.5
        masked = image.masked_fill(hole, 0.0)
        seen = torch.cat([masked, torch.ones_like(mask), mask], dim=1)
        coarse = torch.tanh(same_convolution(self.coarse(seen), self.conv17))
        inpainted = torch.where(hole, coarse, image)
        hallucinated = self.conv_branch(inpainted)
        attended = self.attention_branch(inpainted)
        height, width = attended.shape[2:]
        small = pick_nearest(pick_nearest(mask, height, width), height // 2, width // 2)
        attended = contextual_attention(attended, attended, small, self.form)
        both = torch.cat([hallucinated, self.after_attention(attended)], dim=1)
        refined = torch.tanh(same_convolution(self.merged(both), self.allconv17))
        return coarse, refined


class Discriminator(nn.Module):
    """SN-PatchGAN: six strided, spectrally normalised 5x5 convolutions (Sec. 3.4)."""

    def __init__(self, width: int = 64):
        super().__init__()
        sizes = [4, *(width * factor for factor in (1, 2, 4, 4, 4, 4))]
        for index in range(1, 7):
            conv = nn.Conv2d(sizes[index - 1], sizes[index], 5, 2)
            self.add_module(f"conv{index}", conv)
            self.register_buffer(f"u{index}", torch.randn(1, sizes[index]))

    def forward(self, judged: torch.Tensor, update_stats: bool = False) -> torch.Tensor:
        """Logits [B, 256 * H/64 * W/64]; advances the power iteration if told."""
        for index in range(1, 7):
            conv, u = getattr(self, f"conv{index}"), getattr(self, f"u{index}")
            matrix = conv.weight.flatten(1)
            with torch.no_grad():
                v = functional.normalize(u @ matrix, dim=1)
                new = functional.normalize(v @ matrix.T, dim=1)
                if update_stats:
                    u.copy_(new)
            weight = conv.weight / ((v @ matrix.T) * new).sum()
            judged = same_convolution(judged, conv, weight)
            judged = functional.leaky_relu(judged, 0.2)
        return judged.flatten(1)


class GanStep:
    """One training step: the discriminator by the hinge, then the generator.

    Both look at one completed image, which is painted once. The authors' Adam, in its
    fused form.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module):
        self.generator, self.discriminator = generator, discriminator
        self.optimizers = [
            torch.optim.Adam(
                network.parameters(), lr=1e-4, betas=(0.5, 0.999), fused=True
            )
            for network in (discriminator, generator)
        ]

    def __call__(self, image: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
        """Losses before the updates: hinge, L1 of both stages, adversarial."""
        coarse, refined = self.generator(image, mask)
        completed = torch.where(mask > 0.5, refined, image)
        real = torch.cat([image, mask], dim=1)
        both = torch.cat([real, torch.cat([completed.detach(), mask], dim=1)])
        of_real, of_fake = self.discriminator(both, True).chunk(2)
        hinge = (
            functional.relu(1 - of_real).mean() + functional.relu(1 + of_fake).mean()
        )
        hinge = 0.5 * hinge
        self._update(0, hinge)
        self.discriminator.requires_grad_(False)
        logits = self.discriminator(torch.cat([completed, mask], dim=1), False)
        self.discriminator.requires_grad_(True)
        adversarial = -logits.mean()
        l1 = (coarse - image).abs().mean() + (refined - image).abs().mean()
        self._update(1, l1 + adversarial)
        return np.array([hinge.item(), l1.item(), adversarial.item()])

    def _update(self, index: int, loss: torch.Tensor) -> None:
        self.optimizers[index].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[index].step()


def to_planes(images: np.ndarray) -> torch.Tensor:
    """[B, H, W, C] of NumPy to [B, C, H, W] of PyTorch."""
    planes = np.asarray(images, np.float32).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(planes))


def to_images(planes: torch.Tensor) -> np.ndarray:
    """[B, C, H, W] of PyTorch to [B, H, W, C] of NumPy."""
    return planes.detach().numpy().transpose(0, 2, 3, 1)


def load(module: nn.Module, variables: Mapping[str, Any]) -> None:
    """Copies the variables of our generator or discriminator into a yardstick's.

    Args:
      module: `Generator` or `Discriminator` of the same width.
      variables: {"params": {layer: {"kernel", "bias"}}, "spectral_stats": ...}.

    Raises:
      KeyError: a layer of one that the other does not have.
    """
    layers = {
        name.removesuffix(".conv").split(".")[-1]: child
        for name, child in module.named_modules()
        if isinstance(child, nn.Conv2d)
    }
    if set(layers) != set(variables["params"]):
        raise KeyError(f"layers differ: {set(layers) ^ set(variables['params'])}")
    with torch.no_grad():
        for name, own in variables["params"].items():
            kernel = np.asarray(own["kernel"]).transpose(3, 2, 0, 1)
            layers[name].weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
            layers[name].bias.copy_(torch.from_numpy(np.array(own["bias"])))
        for name, own in variables.get("spectral_stats", {}).items():
            buffer = getattr(module, f"u{name.removeprefix('conv')}")
            buffer.copy_(torch.from_numpy(np.array(own["u"])))
