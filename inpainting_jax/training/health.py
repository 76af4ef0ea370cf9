"""Is the training well? Numbers that show a collapse early, and warnings with advice.

Two sources: what every step logs anyway (`*/real_logits`, `*/fake_logits`,
`*/update_ratio`), and statistics of the fills of the fixed validation set. The limits
are starting values, not laws: a warning never stops a run. A young network and one
trained by L1 alone do fill smoothly: that is what the warning says.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

_CROP = 16  # side at which hole crops are compared for diversity, pixels
_TINY = 1e-8


@dataclasses.dataclass(frozen=True)
class Rule:
    """One alarm: a number outside its limits for a while.

    Attributes:
      name: of the alarm.
      low: alarm below it.
      high: alarm above it.
      steps: for how many steps in a row; 0 = at once.
      advice: what it means and what to try.
    """

    name: str
    low: float
    high: float
    steps: int
    advice: str


RULES = (
    Rule(
        "discriminator_wins",
        -np.inf,
        4.0,
        1000,
        "the discriminator tells every fake: lower its learning rate or its order's"
        " count, raise the adversarial weight late, or add r1",
    ),
    Rule(
        "discriminator_dead",
        0.02,
        np.inf,
        1000,
        "real and fake get the same logits: raise its learning rate, or look whether"
        " its input and loss weights are what you think",
    ),
    Rule(
        "update_ratio",
        1e-5,
        1e-1,
        1000,
        "updates are far too small or too large for the parameters: change this"
        " network's learning rate",
    ),
    Rule(
        "fill_std_ratio",
        0.5,
        1.5,
        0,
        "fills vary less (blur, one colour) or more (noise) than the originals: train"
        " longer, or raise (noise: lower) the adversarial weight",
    ),
    Rule(
        "fill_hf_ratio",
        0.3,
        np.inf,
        0,
        "fills have no fine texture: train on, with an adversarial or feature loss",
    ),
    Rule(
        "fill_diversity",
        0.3,
        np.inf,
        0,
        "different images get the same fill, a collapse: go back to a checkpoint before"
        " it, lower the generator's learning rate",
    ),
    Rule(
        "seam",
        0.7,
        1.3,
        0,
        "the edge of the hole shows (above 1.3) or is blurred over (below 0.7): judge"
        " the composite, look at blend='poisson'",
    ),
    Rule(
        "attention_entropy",
        0.02,
        0.95,
        0,
        "attention copies one patch everywhere (below 0.02) or mixes all alike (above"
        " 0.95): look at the masks it gets, at softmax_scale and the learning rate",
    ),
    Rule(
        "coarse_refined_gap",
        0.0,
        np.inf,
        5000,
        "the second stage is no better than the first: raise its L1 weight, or check"
        " that it gets gradients",
    ),
)
_BY_NAME = {rule.name: rule for rule in RULES}


class Monitor:
    """Turns the logged numbers of a run into warnings, each told once until it ends."""

    def __init__(self):
        self._since: dict[tuple[str, str], int] = {}
        self._told: set[tuple[str, str]] = set()

    def look(self, step: int, values: Mapping[str, float]) -> list[str]:
        """New warnings after `step`, given the numbers logged there by name."""
        return [
            warning
            for rule, where, value in _signals(values)
            if (warning := self._judge(step, rule, where, value))
        ]

    def _judge(self, step: int, rule: Rule, where: str, value: float) -> str:
        known = (rule.name, where)
        if not np.isfinite(value) or rule.low <= value <= rule.high:
            self._since.pop(known, None)
            self._told.discard(known)
            return ""
        first = self._since.setdefault(known, step)
        if step - first < rule.steps or known in self._told:
            return ""
        self._told.add(known)
        limit = f"below {rule.low:g}" if value < rule.low else f"above {rule.high:g}"
        lasting = f" since step {first}" if rule.steps else ""
        name = f"{where}: {rule.name}" if where else rule.name
        return f"step {step}: {name} {value:.3g}, {limit}{lasting}: {rule.advice}"


def _signals(values: Mapping[str, float]) -> list[tuple[Rule, str, float]]:
    """(rule, network, value) of every number that a rule is about."""
    signals = []
    for name, value in values.items():
        where, _, last = name.rpartition("/")
        if name.endswith("real_logits"):
            fake = values.get(f"{name.removesuffix('real_logits')}fake_logits")
            if fake is not None:
                network = name.removesuffix("real_logits").rstrip("_/")
                margin = float(value) - float(fake)
                signals.append((_BY_NAME["discriminator_wins"], network, margin))
                # A dead one says 0 to both; a margin of 0 alone may be a fair game.
                level = max(abs(float(value)), abs(float(fake)))
                signals.append((_BY_NAME["discriminator_dead"], network, level))
        elif last == "update_ratio":
            signals.append((_BY_NAME[last], where, float(value)))
        elif where == "health" and last in _BY_NAME:
            signals.append((_BY_NAME[last], "", float(value)))
    return signals


def fill_statistics(
    completed: np.ndarray, truth: np.ndarray, holes: np.ndarray
) -> dict[str, float]:
    """How the fills of a set compare with what was there; medians over images.

    `fill_std_ratio`: standard deviation inside the hole, over that of the original.
    `fill_hf_ratio`: energy of the Laplacian inside the hole, likewise.
    `fill_diversity`: mean distance between the hole crops of different images, over
    that of the originals (at 16 x 16 pixels; NaN for one image).

    Args:
      completed: [N, H, W, 3] in [-1, 1].
      truth: the same, the originals.
      holes: [N, H, W], 1 = hole; images without one are left out.
    """
    kept = np.flatnonzero(holes.any((1, 2)))
    ratios: dict[str, list[float]] = {"fill_std_ratio": [], "fill_hf_ratio": []}
    crops: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for index in kept:
        hole = holes[index] > 0
        pair = completed[index], truth[index]
        ours, theirs = (float(image[hole].std(0).mean()) for image in pair)
        ratios["fill_std_ratio"].append(ours / max(theirs, _TINY))
        ours, theirs = (_fine_energy(image, hole) for image in pair)
        ratios["fill_hf_ratio"].append(ours / max(theirs, _TINY))
        for own, image in zip(crops, pair, strict=True):
            own.append(_crop(image, hole))
    found = {k: float(np.median(v)) if v else float("nan") for k, v in ratios.items()}
    distances = [_mean_distance(own) for own in crops]
    found["fill_diversity"] = distances[0] / max(distances[1], _TINY)
    return found


def _fine_energy(image: np.ndarray, hole: np.ndarray) -> float:
    """Mean square of the Laplacian [H, W, 3] inside the hole."""
    fine = cv2.Laplacian(np.ascontiguousarray(image, np.float32), cv2.CV_32F)
    return float((fine[hole] ** 2).mean())


def _crop(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole's bounding box at a common small size."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    small = np.ascontiguousarray(box, np.float32)
    return cv2.resize(small, (_CROP, _CROP), interpolation=cv2.INTER_AREA)


def _mean_distance(crops: Sequence[np.ndarray]) -> float:
    """Mean root mean square difference over all pairs; NaN for fewer than two."""
    if len(crops) < 2:
        return float("nan")
    flat = np.stack(crops).reshape(len(crops), -1).astype(np.float64)
    square = ((flat[:, None] - flat[None]) ** 2).mean(-1)
    return float(np.sqrt(square[np.triu_indices(len(crops), 1)]).mean())
