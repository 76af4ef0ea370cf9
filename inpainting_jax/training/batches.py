"""From what the reader delivers to what an objective sees, on the device.

Runs inside the step. Every image's draws come from the run's key, the step and the
image's position in the global stream: neither the number of devices nor the way the
batch is split over them changes a mask.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from inpainting_jax.images import to_signed
from inpainting_jax.types import Array, Batch, Key

DrawMask = Callable[[Key, int, int], Array]


def prepare_batch(
    key: Key,
    raw: Mapping[str, Array],
    *,
    draw_mask: DrawMask | None,
    draw_guide: Callable[[Array], Array] | None = None,
) -> Batch:
    """Floats in [-1, 1], one mask and one key per image, and the guide if there is one.

    Args:
      key: of this update.
      raw: `image` uint8 [B, H, W, 3], `index` [B] position in the global stream;
        optional uint8 [B, H, W, 1] `mask` (1 = hole) and `guide` (label numbers).
      draw_mask: (key, height, width) -> [H, W, 1]; unused if `raw` brings masks.
      draw_guide: image [B, H, W, 3] in [-1, 1] -> lines [B, H, W, G]; what it draws is
        confined to the hole.
    """
    image = to_signed(raw["image"])
    _, height, width, _ = image.shape
    keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(raw["index"])
    mask_keys, image_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    if "mask" in raw:
        mask = (raw["mask"] > 0).astype(jnp.float32)
    else:
        mask = jax.vmap(lambda k: draw_mask(k, height, width))(mask_keys)
    batch = {"image": image, "mask": mask, "keys": image_keys}
    if "guide" in raw:
        batch["guide"] = raw["guide"].astype(jnp.float32)
    elif draw_guide is not None:
        batch["guide"] = draw_guide(image) * mask
    return batch
