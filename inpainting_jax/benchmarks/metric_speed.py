"""How fast the metrics are, and whether memory grows with the number of images.

Every metric alone on one batch of 256 x 256 photographs; then whole evaluations with
the standard metrics, each in a process of its own, whose peak memory is compared.
"""

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

from inpainting_jax import metrics
from inpainting_jax.benchmarks import pictures, timing
from inpainting_jax.evaluation.scores import choose_metrics, score
from inpainting_jax.features import MissingWeightsError, pooled_network

SIDE, BATCH = 256, 8

_EVALUATION = """
import json, resource, sys, time
import numpy as np
from inpainting_jax.evaluation import build_set, evaluate_inpainters
class Noise:
    def __len__(self): return int(sys.argv[2])
    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        return str(i), rng.integers(0, 256, (256, 256, 3), np.uint8)
from collections.abc import Sequence
Sequence.register(Noise)
chosen = build_set(Noise(), "center")
def grey(image, mask, **_): return np.where(mask > 0, 128, image).astype(np.uint8)
start = time.perf_counter()
evaluate_inpainters({"grey": grey}, chosen, sys.argv[1],
    metrics=sys.argv[3].split(","), progress=False)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak_mib": peak}))
"""


def calls(named: Sequence[tuple[str, np.ndarray]]) -> dict[str, Callable[[], Any]]:
    """One call per metric, on `BATCH` images; those without weights are left out."""
    crops = [image for _, image in named]
    truth = np.stack([crops[i % len(crops)] for i in range(BATCH)])
    holes = np.zeros((BATCH, SIDE, SIDE), np.uint8)
    holes[:, SIDE // 4 : 3 * SIDE // 4, SIDE // 4 : 3 * SIDE // 4] = 1
    completed = np.where(holes[..., None] > 0, 128, truth).astype(np.uint8)
    found: dict[str, Callable[[], Any]] = {}

    def each(*names):
        return lambda: score(completed, truth, holes, names)

    for name in (*choose_metrics(SIDE, SIDE), "lpips_alex", "lpips_vgg"):
        found[name] = each(name)
    usual = (*choose_metrics(SIDE, SIDE), "lpips_alex")
    found["all standard metrics per image"] = each(*usual)
    network = pooled_network("efflite0")
    found["features of EfficientNet-Lite0"] = lambda: network(completed)
    return found


def distances(repeats: int, count: int = 1000) -> dict[str, timing.Timing]:
    """Times of set metrics on features of `count` pairs."""
    rng = np.random.default_rng(0)
    real = np.maximum(rng.normal(size=(count, 1280)), 0)
    fake = real + 0.2 * rng.normal(size=real.shape)
    found = {
        name: lambda metric=metric: metric(real, fake)
        for name, metric in metrics.SET_METRICS.items()
        if metric.network == "efflite0"
    }
    return timing.alternate(found, repeats=repeats)


def evaluations(counts: Sequence[int], names: Sequence[str]) -> dict[int, dict]:
    """Seconds and peak MiB of evaluations of noise, by number of images."""
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", _EVALUATION, folder, str(count)]
            done = subprocess.run(
                [*command, ",".join(names)],
                env={**os.environ},
                check=True,
                capture_output=True,
                text=True,
            )
        found[count] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    where = report["machine"]
    lines = [
        "# Speed of the metrics",
        "",
        f"{where['processor']}, {where['cores']} cores, {where['device']}, load "
        f"{where['load']:.1f}; {BATCH} photographs of {SIDE} x {SIDE} at a time.",
        "",
        "| metric | images/s | processor s an image | first call s |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, time in report["images"].items():
        lines.append(
            f"| {name} | {BATCH / time['wall']:.1f} | {time['processor'] / BATCH:.3f} "
            f"| {time['first']:.1f} |"
        )
    lines += ["", "| metric of 1000 pairs, 1280 features | s |", "| --- | ---: |"]
    for name, time in report["sets"].items():
        lines.append(f"| {name} | {time['wall']:.1f} |")
    lines += ["", "| images in an evaluation | s | peak MiB |", "| --- | ---: | ---: |"]
    for count, found in report["evaluations"].items():
        lines.append(f"| {count} | {found['seconds']:.0f} | {found['peak_mib']:.0f} |")
    return "\n".join(lines) + "\n"


def run(*, output: str, data: Sequence[str], count: int, repeats: int) -> None:
    """Runs the suite and writes `report.json` and `table.md`.

    Args:
      output: folder to write to.
      data: not used: photographs that are installed serve.
      count: images of the smaller evaluation; the larger has four times as many.
      repeats: timed rounds.

    Raises:
      ValueError: the weights of the features are not installed.
    """
    del data
    try:
        named = calls(pictures.photographs(SIDE))
    except MissingWeightsError as error:
        raise ValueError(str(error)) from error
    report = {
        "machine": timing.machine(),
        "images": {
            name: time._asdict()
            for name, time in timing.alternate(named, repeats=repeats).items()
        },
        "sets": {name: t._asdict() for name, t in distances(1).items()},
        "evaluations": evaluations((count, 4 * count), ("psnr", "l1", "lpips_alex")),
        "jax": jax.__version__,
    }
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1, sort_keys=True))
    (folder / "table.md").write_text(table(report))
