"""Mask SPECs: one line of text that names a distribution of holes.

    center                            one generator of `MASKS`
    strokes(max_width=20,scale=true)  with keyword options
    box+strokes                       union: hole where any part has a hole
    irregular@0.1-0.4                 hole ratio in (0.1, 0.4], redrawn until it fits
    deepfill:0.7,half:0.3             mixture, weights need not sum to 1
    files:PATH                        mask files drawn at random (host only)
    files:PATH?convention=black_hole  with options, joined by &
    paired:PATH                       the file whose stem is the image's (host only)

Union binds closest, then bounds, then weight. Generators run on device inside the train
step; SPECs with files run on the host (`is_host`).
"""

import ast
import functools
import inspect
import re
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax, random

from inpainting_jax.masks.drawing import Draw, bounded, draw_shares
from inpainting_jax.registry import Registry
from inpainting_jax.types import Array, Key

MASKS = Registry(
    "mask generator",
    {
        "center": "inpainting_jax.masks.rectangles:center",
        "box": "inpainting_jax.masks.rectangles:box",
        "deepfill_box": "inpainting_jax.masks.rectangles:box",
        "boxes": "inpainting_jax.masks.rectangles:boxes",
        "blocks": "inpainting_jax.masks.rectangles:blocks",
        "half": "inpainting_jax.masks.rectangles:half",
        "outpaint": "inpainting_jax.masks.rectangles:outpaint",
        "grid": "inpainting_jax.masks.rectangles:grid",
        "strokes": "inpainting_jax.masks.free_form:strokes",
        "deepfill": "inpainting_jax.masks.free_form:deepfill",
        "brush": "inpainting_jax.masks.free_form:brush",
        "irregular": "inpainting_jax.masks.shapes:irregular",
        "pattern": "inpainting_jax.masks.regions:pattern",
        "lama": "inpainting_jax.masks.large_masks:lama",
    },
)


class Item(NamedTuple):
    """One generator or folder: name (`files` and `paired` included), path, options."""

    name: str
    path: str
    options: dict[str, Any]


class Component(NamedTuple):
    """A union of items, bounds on its hole ratio (or None), and its weight."""

    items: tuple[Item, ...]
    bounds: tuple[float, float] | None
    weight: float


def parse(spec: str) -> tuple[Component, ...]:
    """The components of a mask SPEC; `ValueError` says which part is wrong."""
    if not spec or not spec.strip():
        known = ", ".join(MASKS)
        raise ValueError(f"empty mask spec; name a generator ({known}) or files:PATH.")
    return tuple(_parse_component(part.strip(), spec) for part in _split(spec, ","))


def is_host(spec: str) -> bool:
    """Whether a SPEC reads files, and so must be drawn on the host."""
    items = (item for component in parse(spec) for item in component.items)
    return any(item.name in ("files", "paired") for item in items)


@functools.lru_cache(maxsize=64)
def sampler(spec: str) -> Draw:
    """`(key, height, width) -> [H, W, 1]` float32 for a SPEC without files.

    Jit-able and vmappable over keys; sizes are static. The same SPEC gives the same
    function object, so that jitted callers do not compile twice.

    Raises:
      ValueError: if the SPEC is malformed, names an unknown generator or option, or
        reads files.
    """
    if is_host(spec):
        raise ValueError(
            f"mask spec {spec!r} reads files, which cannot run on the device; draw it "
            "with masks.host_sampler(spec)."
        )
    components = parse(spec)
    draws = tuple(_component_draw(component) for component in components)
    if len(draws) == 1:
        return draws[0]
    weights = [component.weight for component in components]

    def draw(key, height, width):
        choice_key, key = random.split(key)
        edges = jnp.cumsum(jnp.array(weights, jnp.float32)) / sum(weights)
        share = draw_shares(choice_key, ()).astype(jnp.float32)
        index = jnp.minimum(jnp.sum(share >= edges), len(draws) - 1)
        branches = [functools.partial(_call, one, height, width) for one in draws]
        return lax.switch(index, branches, key)

    return draw


def _call(draw: Draw, height: int, width: int, key: Key) -> Array:
    """`draw` with the key last, as `lax.switch` hands it over."""
    return draw(key, height, width)


def _aimed(component: Component) -> Component:
    """Bounds become the options `min_ratio`, `max_ratio` of a generator that has them.

    It then aims at the range instead of having most of its masks rejected.
    """
    item = component.items[0]
    options = {"min_ratio", "max_ratio"}
    if not component.bounds or len(component.items) > 1 or options & set(item.options):
        return component
    if not options <= set(inspect.signature(MASKS[item.name]).parameters):
        return component
    low, high = component.bounds
    item = item._replace(options={**item.options, "min_ratio": low, "max_ratio": high})
    return component._replace(items=(item,))


def _component_draw(component: Component) -> Draw:
    component = _aimed(component)
    draws = [functools.partial(MASKS[i.name], **i.options) for i in component.items]

    def union(key, height, width):
        keys = random.split(key, len(draws))
        masks = [draw(k, height, width) for draw, k in zip(draws, keys, strict=True)]
        return functools.reduce(jnp.maximum, masks)

    draw = draws[0] if len(draws) == 1 else union
    return bounded(draw, *component.bounds) if component.bounds else draw


def _split(text: str, separator: str) -> list[str]:
    """Splits at `separator` outside parentheses."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _parse_component(text: str, spec: str) -> Component:
    number = r"\d*\.?\d+(?:e-?\d+)?"
    weight, bounds = 1.0, None
    if match := re.search(rf":({number})$", text):
        weight, text = float(match[1]), text[: match.start()]
    if match := re.search(rf"@({number})-({number})$", text):
        bounds, text = (float(match[1]), float(match[2])), text[: match.start()]
        if not 0 <= bounds[0] < bounds[1] <= 1:
            raise ValueError(
                f"bounds @{match[1]}-{match[2]} in mask spec {spec!r} must satisfy "
                "0 <= low < high <= 1, for instance @0.1-0.4."
            )
    if weight <= 0:
        raise ValueError(f"weight {weight:g} in mask spec {spec!r} must be above 0.")
    items = tuple(_parse_item(part.strip(), spec) for part in _split(text, "+"))
    return Component(items, bounds, weight)


def _parse_item(text: str, spec: str) -> Item:
    if match := re.match(r"(files|paired):([^?]+)(?:\?(.+))?$", text):
        options = _parse_options((match[3] or "").split("&"), spec)
        return Item(match[1], match[2], options)
    match = re.match(r"(\w+)(?:\((.*)\))?$", text)
    if not match:
        raise ValueError(
            f"cannot read {text!r} in mask spec {spec!r}; write NAME, "
            "NAME(option=value), files:PATH, with @LOW-HIGH for "
            "bounds and :WEIGHT in mixtures."
        )
    options = _parse_options(_split(match[2] or "", ","), spec)
    parameters = inspect.signature(MASKS[match[1]]).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise ValueError(
                f"mask {match[1]!r} has no option {option!r}; it takes "
                f"{', '.join(known) or 'none'} (mask spec {spec!r})."
            )
    return Item(match[1], "", options)


def _parse_options(texts: list[str], spec: str) -> dict[str, Any]:
    """`["a=1", "b=true"]` -> {"a": 1, "b": True}; what is no literal stays text."""
    options = {}
    for text in filter(None, (text.strip() for text in texts)):
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ValueError(f"{text!r} in mask spec {spec!r} must read option=value.")
        value = {"true": "True", "false": "False", "none": "None"}.get(
            value.lower(), value
        )
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options
