"""PatchMatch against its peer and the smooth fills: quality, time, memory, pictures.

The peer is the package `pypatchmatch` (C++, optional); its patch number is a half width
(3 is a 7 x 7 patch). Every result is composited before it is scored.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from PIL import Image

from inpainting_jax import masks, metrics
from inpainting_jax.benchmarks import patchmatch_report, pictures, timing
from inpainting_jax.images import to_signed, to_unit
from inpainting_jax.methods import METHODS

KINDS = {"strokes": "strokes(max_strokes=6,scale=true)@0.2-0.3", "square": "center"}
"""Mask SPECs of about a quarter of the picture."""

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ours(name: str, **overrides: Any) -> Fill:
    """A registered method on one uint8 picture [H, W, 3] and its hole [H, W]."""
    method, key = METHODS[name](**overrides), jax.random.key(0)

    def fill(image, hole):
        mask = hole[None, :, :, None].astype(np.float32)
        completed = method.inpaint({}, key, to_signed(image)[None], mask)
        return np.clip(to_unit(np.asarray(completed[0])), 0, 1)

    return fill


def peer(patch: int) -> Fill | None:
    """pypatchmatch with patches of `patch` pixels; None if it is not installed."""
    if importlib.util.find_spec("patchmatch") is None:
        return None
    import patchmatch

    def fill(image, hole):
        patchmatch.set_random_seed(0)
        mask = hole.astype(np.uint8) * 255
        result = patchmatch.inpaint(image, mask, patch_size=patch // 2)
        return result.astype(np.float32) / 255

    return fill


def fills() -> dict[str, Fill]:
    """What is compared, by the name in the tables."""
    result = {
        "telea": ours("telea"),
        "navier_stokes": ours("navier_stokes"),
        "biharmonic": ours("biharmonic"),
        "pypatchmatch 7": peer(7),
        "ours, average": ours("patchmatch", final="average"),
        "ours": ours("patchmatch"),
    }
    return {name: fill for name, fill in result.items() if fill}


def score(image: np.ndarray, completed: np.ndarray, hole: np.ndarray) -> list[float]:
    """PSNR and SSIM inside the hole, LPIPS (AlexNet) of the composite."""
    truth = to_unit(image)
    composite = np.where(hole[..., None], completed, truth).astype(np.float32)
    mask = hole[None, :, :, None].astype(np.float32)
    similarity = np.asarray(metrics.ssim_map(truth[None], composite[None]))[0]
    return [
        float(metrics.psnr(truth[None], composite[None], mask)[0]),
        float(similarity[hole].mean()),
        float(metrics.lpips(truth[None], composite[None])[0]),
    ]


def quality(
    named: Sequence[tuple[str, np.ndarray]], methods: Mapping[str, Fill], seed: int
) -> tuple[dict[str, dict[str, list]], dict[str, list]]:
    """Scores `{kind: {method: [[psnr, ssim, lpips] per picture]}}` and sheet rows."""
    scores: dict[str, dict[str, list]] = {}
    rows: dict[str, list] = {}
    for kind, spec in KINDS.items():
        scores[kind] = {name: [] for name in methods}
        for index, (name, image) in enumerate(named):
            drawn, _ = masks.fixed_set(spec, seed + index, 1, *image.shape[:2])
            hole = drawn[0] > 0
            row = [np.where(hole[..., None], 128, image).astype(np.uint8)]
            for method, fill in methods.items():
                completed = fill(image, hole)
                scores[kind][method].append(score(image, completed, hole))
                shown = np.where(hole[..., None], np.rint(completed * 255), image)
                row.append(shown.astype(np.uint8))
            rows[f"{kind} {name}"] = [*row, image]
    return scores, rows


def speed(repeats: int) -> dict[str, dict[str, Any]]:
    """Times of ours and the peer, alternating, on the first photograph."""
    result = {}
    for size in (256, 512):
        image = pictures.photographs(size)[0][1]
        for kind, spec in KINDS.items():
            hole = masks.fixed_set(spec, 0, 1, *image.shape[:2])[0][0] > 0
            for patch in (7, 11) if size == 512 else (7,):
                pair = {"ours": ours("patchmatch", patch=patch), "peer": peer(patch)}
                calls = {
                    name: lambda fill=fill, image=image, hole=hole: fill(image, hole)
                    for name, fill in pair.items()
                    if fill
                }
                timed = timing.alternate(calls, repeats=repeats)
                case = f"{size} {kind}, {patch} x {patch}"
                result[case] = {name: time._asdict() for name, time in timed.items()}
    return result


_FIRST = """
import json, resource, sys, time
import numpy as np
from inpainting_jax.benchmarks import patchmatch
image = np.load(sys.argv[1])
hole = np.zeros(image.shape[:2], bool)
n = len(image)
hole[n // 4 : 3 * n // 4, n // 4 : 3 * n // 4] = True
fill, seconds = patchmatch.ours("patchmatch"), []
for _ in range(3):
    start = time.perf_counter()
    fill(image, hole)
    seconds.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"first": seconds[0], "warm": min(seconds[1:]), "peak_mib": peak}))
"""


def first_calls() -> dict[str, dict[str, float]]:
    """First and later calls, and peak memory, each in a process of its own.

    At 512 without and with a filled compilation cache, then at 1024 (enlarged).
    """
    photograph = Image.fromarray(pictures.photographs(512)[0][1])
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        for case, size in (("512 cold", 512), ("512 cached", 512), ("1024 cold", 1024)):
            file = pathlib.Path(folder) / "image.npy"
            np.save(file, np.asarray(photograph.resize((size, size))))
            command = [sys.executable, "-c", _FIRST, str(file)]
            done = subprocess.run(
                command, env=environment, check=True, capture_output=True, text=True
            )
            result[case] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(*, output: str, data: Sequence[str], count: int, repeats: int) -> None:
    """Runs the suite and writes `report.json`, `table.md` and `samples.png`.

    Args:
      output: folder to write to.
      data: SPECs of pictures nobody chose a setting on, each compared in pairs.
      count: pictures of each.
      repeats: timed rounds.
    """
    methods = fills()
    report: dict[str, Any] = {"machine": timing.machine(), "masks": KINDS}
    report["first"] = first_calls()
    report["speed"] = speed(repeats)
    report["quality"], sheet = {}, {}
    for size in (256, 512):
        named = pictures.photographs(size)
        scores, rows = quality(named, methods, seed=100)
        report["quality"][f"photographs {size}"] = scores
        sheet = sheet or rows
    for spec in data:
        named = pictures.folder_crops(spec, count)
        label = f"{spec.rstrip('/').split('/')[-1]} ({len(named)} pictures)"
        report["quality"][label] = quality(named, methods, seed=500)[0]
    patchmatch_report.write(pathlib.Path(output), report, sheet, list(methods))
