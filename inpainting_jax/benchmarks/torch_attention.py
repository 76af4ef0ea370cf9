"""Contextual attention in plain PyTorch, part of the yardstick.

Yu et al. 2018, arXiv 1801.07892, Sec. 4. In one of two forms: "convolution", patches as
the kernels of two convolutions, one image at a time, and fusion by a convolution with a
diagonal, as the authors and the ports do it; or "product", cut-out patches multiplied
as matrices and fusion by shifted sums, for the whole batch, which is faster.
"""

import torch
from torch.nn import functional

from inpainting_jax.layers.resize import nearest_indices

FORMS = ("convolution", "product")


def pick_nearest(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Nearest resize from corner to corner, TensorFlow's `align_corners=True`."""
    rows, columns = (
        torch.as_tensor(nearest_indices(size, new_size, "align_corners"))
        for size, new_size in zip(planes.shape[2:], (height, width), strict=True)
    )
    return planes[:, :, rows][:, :, :, columns]


def contextual_attention(
    foreground: torch.Tensor,
    background: torch.Tensor,
    mask: torch.Tensor,
    form: str = "convolution",
) -> torch.Tensor:
    """Fills features with known patches, weighted by similarity (Yu et al. 2018).

    Args:
      foreground: [B, C, H, W].
      background: [B, C, H, W].
      mask: [B, 1, H / 2, W / 2], 1 = hole.
      form: see the module's docstring.

    Returns:
      [B, C, H, W].
    """
    height, width = (side // 2 for side in background.shape[2:])
    queries = pick_nearest(foreground, height, width)
    keys = functional.unfold(pick_nearest(background, height, width), 3, padding=1)
    keys = keys / torch.linalg.vector_norm(keys, dim=1, keepdim=True).clamp(min=1e-4)
    pasted = functional.unfold(background, 4, padding=1, stride=2)
    holes = functional.unfold(mask, 3, padding=1).sum(dim=1)
    known = (holes == 0).to(queries.dtype)[:, :, None]
    attend = _by_convolution if form == "convolution" else _by_product
    return attend(queries, keys, pasted, known) / 4


def _by_convolution(queries, keys, pasted, known):
    """The authors' form: every patch of the background is a filter."""
    batch, channels, height, width = queries.shape
    keys = keys.transpose(1, 2).reshape(batch, -1, channels, 3, 3)
    pasted = pasted.transpose(1, 2).reshape(batch, -1, channels, 4, 4)
    diagonal = torch.eye(3, dtype=queries.dtype)[None, None]
    filled = []
    for query, key, paste, offered in zip(queries, keys, pasted, known, strict=True):
        scores = functional.conv2d(query[None], key, padding=1)
        table = scores.reshape(1, 1, height * width, height * width)
        for _ in range(2):
            table = functional.conv2d(table, diagonal, padding=1)
            table = _swap_order(table, height, width)
        scores = table.reshape(1, -1, height, width)
        offered = offered[None, :, :, None]
        weights = torch.softmax(10.0 * scores * offered, dim=1) * offered
        filled.append(functional.conv_transpose2d(weights, paste, stride=2, padding=1))
    return torch.cat(filled)


def _by_product(queries, keys, pasted, known):
    """The same as matrix products of cut-out patches."""
    height, width = queries.shape[2:]
    cut = functional.unfold(queries, 3, padding=1)
    table = keys.transpose(1, 2) @ cut
    for _ in range(2):
        padded = functional.pad(table, (1, 1, 1, 1))
        table = padded[:, :-2, :-2] + table + padded[:, 2:, 2:]
        table = _swap_order(table, height, width)
    weights = torch.softmax(10.0 * table * known, dim=1) * known
    return functional.fold(
        pasted @ weights, (2 * height, 2 * width), 4, padding=1, stride=2
    )


def _swap_order(table: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """[..., keys, queries] counted along rows to along columns, and back (squares)."""
    if height != width:
        raise ValueError(f"the yardstick takes squares, got {height} x {width} scores")
    split = table.reshape(-1, height, width, height, width)
    return split.permute(0, 2, 1, 4, 3).reshape(table.shape)
