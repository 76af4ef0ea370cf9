"""PatchMatch as a method: plans pictures on the host, runs levels on the device."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.methods.base import Method
from inpainting_jax.methods.patchmatch import pyramid
from inpainting_jax.methods.patchmatch.completion import (
    Dials,
    Kind,
    Level,
    Result,
    run_levels,
)
from inpainting_jax.methods.patchmatch.indexing import (
    bucket,
    capacity,
    chunk_size,
    seed_words,
)
from inpainting_jax.methods.patchmatch.options import Options
from inpainting_jax.types import Key


class Plan(NamedTuple):
    """What one picture needs: the patch side that fits it, and its scales."""

    patch: int
    scales: Sequence[pyramid.Scale]
    lists: Sequence[pyramid.Lists]


def complete(
    key: Key, images: np.ndarray, holes: np.ndarray, options: Options | None = None
) -> np.ndarray:
    """Completes pictures [B, H, W, C] in [0, 1]; their known pixels return unchanged.

    Every picture gets the same random numbers, so that none depends on its company.

    Args:
      key: PRNG key.
      images: [B, H, W, C] float32, any H, W, C >= 1; not read in the hole.
      holes: [B, H, W] bool.
      options: settings; None = the defaults.
    """
    options = options or Options()
    completed = np.array(images, np.float32)
    completed[holes] = 0
    batched = options.batched
    if batched is None:
        batched = jax.default_backend() != "cpu"
    groups: dict[tuple[int, ...], list[tuple[int, Plan]]] = {}
    for index, (colour, hole) in enumerate(zip(completed, holes, strict=True)):
        if not hole.any():
            continue
        plan = plan_picture(colour, hole, options)
        if plan is None:
            completed[index] = pyramid.smooth_fill(colour, hole)
            continue
        company = (plan.patch, len(plan.scales)) if batched else (index,)
        groups.setdefault(company, []).append((index, plan))
    for members in groups.values():
        fitted = dataclasses.replace(options, patch=members[0][1].patch)
        colours = _complete_group(key, [plan for _, plan in members], fitted)
        for (index, _), colour in zip(members, colours, strict=True):
            completed[index][holes[index]] = np.clip(colour, 0, 1)
    completed[~holes] = images[~holes]
    return completed


def plan_picture(colour: np.ndarray, hole: np.ndarray, options: Options) -> Plan | None:
    """Patch side and scales for a picture; None if no 3 x 3 patch is wholly known.

    The patch shrinks 7 -> 5 -> 3 until one fits; the coarsest scales are dropped while
    they have no source or no hole.
    """
    for patch in range(options.patch, 2, -2):
        if len(pyramid.pixel_lists(hole, patch).sources):
            break
    else:
        return None
    levels = options.levels or pyramid.level_count(*hole.shape, patch)
    scales = pyramid.scales(colour, hole, levels=levels, texture_weight=options.texture)
    lists = [pyramid.pixel_lists(scale.hole, patch) for scale in scales]
    kept = 1
    while kept < levels and len(lists[kept].sources) and len(lists[kept].targets):
        kept += 1
    return Plan(patch, scales[:kept], lists[:kept])


def _complete_group(
    key: Key, plans: Sequence[Plan], options: Options
) -> list[np.ndarray]:
    """Colours [Nh, C] of each plan's hole; all plans have the same scales' sizes."""
    count = len(plans[0].scales)
    channels = plans[0].scales[0].features.shape[-1] - 2 * (options.texture > 0)
    matches: Sequence[np.ndarray] | None = None
    for scale in reversed(range(count)):
        stacked = _stack(
            [
                _level(plan, scale, None if matches is None else matches[i], options)
                for i, plan in enumerate(plans)
            ]
        )
        seed = seed_words(jax.random.fold_in(key, scale))
        kind = Kind(
            options.patch,
            options.dims,
            options.jumps,
            channels,
            plans[0].scales[scale].hole.size <= options.exact_pixels,
            options.final if scale == 0 else "none",
        )
        result: Result = run_levels(
            stacked,
            jnp.broadcast_to(seed, (len(plans), 2)),
            _dials(plans, scale, options),
            kind=kind,
        )
        matches = np.asarray(result.match)
    colours = np.asarray(result.colours)
    return [rows[plan.lists[0].hole] for rows, plan in zip(colours, plans, strict=True)]


def _steps(scale: int, count: int, options: Options) -> int:
    """Steps of a scale, geometric from the coarsest to the finest."""
    coarsest, finest = options.steps
    share = scale / (count - 1) if count > 1 else 1.0
    return round(finest * (coarsest / finest) ** share)


def _dials(plans: Sequence[Plan], scale: int, options: Options) -> Dials:
    chunk = chunk_size(bucket(plans[0].scales[scale].hole.size))

    def chunks(name: str) -> np.int32:
        longest = max(len(getattr(plan.lists[scale], name)) for plan in plans)
        return np.int32(-(-longest // chunk))

    return Dials(
        chunks("targets"),
        chunks("hole"),
        chunks("columns"),
        np.int32(_steps(scale, len(plans[0].scales), options)),
        np.int32(options.passes),
        np.int32(options.random),
        np.float32(options.spread),
        np.float32(options.screen),
    )


def _level(plan: Plan, scale: int, match: np.ndarray | None, options: Options) -> Level:
    """One scale of a plan as unpadded arrays; `match` is the coarser scale's field."""
    (features, hole), lists = plan.scales[scale], plan.lists[scale]
    height, width = hole.shape
    valid = np.zeros(hole.size, bool)
    valid[lists.sources] = True
    if match is None:
        start = lists.targets  # no source: a random one is drawn
    else:
        coarse = plan.scales[scale + 1].hole.shape
        start = pyramid.upsample_matches(
            match, coarse, hole.shape, lists.targets, plan.patch
        )
    depth = -np.log(options.confidence) * pyramid.hole_depth(hole)
    return Level(
        features=features.reshape(hole.size, -1),
        valid=valid,
        confidence=depth.reshape(-1).astype(np.float32),
        targets=lists.targets,
        hole=lists.hole,
        columns=lists.columns,
        sources=lists.sources,
        sample=pyramid.sample_of(lists.sources),
        start=start,
        source_count=np.int32(len(lists.sources)),
        height=np.int32(height),
        width=np.int32(width),
    )


def _stack(levels: Sequence[Level]) -> Level:
    """Levels of several pictures of one size, padded and stacked."""
    pixels = bucket(len(levels[0].valid))
    padding = {"features": 0, "valid": False, "confidence": 0}

    def pad(field: str) -> np.ndarray:
        arrays = [np.asarray(getattr(level, field)) for level in levels]
        if arrays[0].ndim == 0 or field == "sample":
            return np.stack(arrays)
        size = pixels if field in padding else capacity(pixels)
        shape = (len(arrays), size, *arrays[0].shape[1:])
        # Index lists end in an index past the table: reads clip it, writes drop it.
        full = np.full(shape, padding.get(field, pixels), arrays[0].dtype)
        for row, array in zip(full, arrays, strict=True):
            row[: len(array)] = array
        return full

    return Level(*(pad(field) for field in Level._fields))


_USUAL = Options()


def build(
    *,
    patch: int = _USUAL.patch,
    levels: int | None = _USUAL.levels,
    passes: int = _USUAL.passes,
    jumps: Sequence[int] = _USUAL.jumps,
    random: int = _USUAL.random,
    steps: Sequence[int] = _USUAL.steps,
    texture: float = _USUAL.texture,
    dims: int = _USUAL.dims,
    confidence: float = _USUAL.confidence,
    spread: float = _USUAL.spread,
    screen: float = _USUAL.screen,
    exact_pixels: int = _USUAL.exact_pixels,
    final: str = _USUAL.final,
    batched: bool | None = _USUAL.batched,
    compute_dtype: str = "float32",
) -> Method:
    """PatchMatch completion; arguments as in `Options`, `compute_dtype` has no effect.

    Raises:
      ValueError: for a setting out of range.
    """
    del compute_dtype
    options = Options(
        patch=patch,
        levels=levels,
        passes=passes,
        jumps=tuple(jumps),
        random=random,
        steps=tuple(steps),
        texture=texture,
        dims=dims,
        confidence=confidence,
        spread=spread,
        screen=screen,
        exact_pixels=exact_pixels,
        final=final,
        batched=batched,
    )

    def predict(variables, key, image, mask, guide=None):
        del variables, guide
        image = np.asarray(image, np.float32)
        hole = np.asarray(mask)[..., 0] > 0.5
        completed = complete(key, (image + 1) / 2, hole, options) * 2 - 1
        return {"completed": jnp.asarray(np.where(hole[..., None], completed, image))}

    return Method(name="patchmatch", predict=predict, traceable=False)
