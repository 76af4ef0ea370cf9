"""Who sees what: balanced, seeded trials of a study with human observers.

Vocabulary: an observer works through one session, a list of trials. A trial shows one
picture, or two side by side, of one image: the completion by a method, the original,
or a damaged original that nobody can mistake. Practice trials tell the right answer,
catch trials have an obvious one and find those who do not look, main trials count.

Three modes. "timed_real_fake" shows one picture for some milliseconds (LAPGAN, Denton
et al. 2015); "pair_real_fake" asks which of two is the photograph (Zhang et al. 2016);
"pair_preference" which of two methods looks better.
"""

import collections
import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from inpainting_jax.study.sides import balanced_sides

ORIGINAL, DAMAGED, MASKED = "original", "damaged", "masked"
ROLES = (ORIGINAL, DAMAGED, MASKED)
"""What a picture can be, other than the completion by a method."""

MODES = ("timed_real_fake", "pair_real_fake", "pair_preference")
LONGEST_RUN = 4
"""The same answer is right at most so often in a row."""

_SHUFFLES = 2000


@dataclasses.dataclass(frozen=True)
class Trial:
    """One question.

    Attributes:
      kind: "practice", "main" or "catch".
      image: name of the image.
      shown: what the pictures are, left to right: a method or one of `ROLES`.
      exposure_ms: for how long they are shown; 0 until the answer.
    """

    kind: str
    image: str
    shown: tuple[str, ...]
    exposure_ms: int

    @property
    def answer(self) -> str | None:
        """The right choice: real, generated, left or right; None if there is none."""
        if len(self.shown) == 1:
            return "real" if self.shown[0] == ORIGINAL else "generated"
        if ORIGINAL not in self.shown:
            return None
        return ("left", "right")[self.shown.index(ORIGINAL)]


@dataclasses.dataclass(frozen=True)
class Session:
    """The trials of one observer, and whether the two buttons change places."""

    trials: tuple[Trial, ...]
    swapped: bool


@dataclasses.dataclass(frozen=True)
class Design:
    """What a study consists of.

    Attributes:
      mode: one of `MODES`.
      methods: their labels.
      exposures: milliseconds, each used equally often per method; 0 until the answer.
      sessions: number of different sessions to plan.
      trials: main trials of a session; None = 40, or as many as there are images.
      practice: practice trials of a session.
      catch: catch trials of a session; None = a tenth of the main ones, at least 4.
      reference: "none", "original" or "masked": shown beside the two pictures of
        pair_preference.
      seed: of everything random.
    """

    mode: str
    methods: tuple[str, ...]
    exposures: tuple[int, ...] = (0,)
    sessions: int = 20
    trials: int | None = None
    practice: int = 10
    catch: int | None = None
    reference: str = "none"
    seed: int = 0


def check(design: Design) -> None:
    """Raises ValueError if a design makes no sense; says what to change."""
    pairs = design.mode != MODES[0]
    if design.mode not in MODES:
        raise ValueError(f"unknown mode {design.mode!r}; known: {', '.join(MODES)}.")
    needed = 2 if design.mode == "pair_preference" else 1
    if len(design.methods) < needed:
        raise ValueError(
            f"{design.mode} needs {needed} method(s), got {len(design.methods)}; give"
            " more --results=LABEL=DIR."
        )
    for label, count in collections.Counter(design.methods).items():
        if count > 1 or label in ROLES or not label:
            raise ValueError(
                f"the method label {label!r} is used twice, empty, or one of"
                f" {', '.join(ROLES)}; give each folder a label of its own."
            )
    if not design.exposures or any(not 0 <= e <= 60_000 for e in design.exposures):
        raise ValueError(
            f"exposures are 0 to 60000 ms, at least one, got {list(design.exposures)}."
        )
    if not pairs and 0 in design.exposures:
        raise ValueError(f"{design.mode} needs exposures above 0 ms, as --exposures=50")
    if len(set(design.exposures)) < len(design.exposures):
        raise ValueError(f"an exposure is given twice: {list(design.exposures)}.")
    if design.reference not in ("none", ORIGINAL, MASKED):
        raise ValueError(
            f"unknown reference {design.reference!r}; known: none, original, masked."
        )
    if design.reference != "none" and design.mode != "pair_preference":
        raise ValueError("only pair_preference shows a reference beside the pictures.")
    counts = (design.sessions, 4 if design.trials is None else design.trials)
    if min(counts) < 1 or min(design.practice, design.catch or 0) < 0:
        raise ValueError("a study has at least one session and one main trial.")


def plan_sessions(images: Sequence[str], design: Design) -> list[Session]:
    """The sessions of a study; equal arguments give equal sessions.

    Nobody sees an image twice. Over all sessions each (image, method), or each (image,
    pair of methods), comes equally often, to within one; so does each exposure of a
    method. Within a session each method is on both sides equally often, to within one;
    in timed_real_fake about half of the main pictures are originals.

    Args:
      images: names of the images.
      design: see `Design`.

    Raises:
      ValueError: a wrong design, or fewer images than a session needs.
    """
    check(design)
    rng = np.random.default_rng([design.seed, 0])
    order = [images[i] for i in rng.permutation(len(images))]
    trials, catch = _counts(design, len(order))
    ends = (design.practice, design.practice + catch)
    practice, caught, main = order[: ends[0]], order[slice(*ends)], order[ends[1] :]
    conditions = _conditions(design, rng)
    deal = _Dealer(design.exposures, rng)
    sessions = []
    for session in range(design.sessions):
        own = np.random.default_rng([design.seed, 1, session])
        chosen = []
        for turn in range(session * trials, (session + 1) * trials):
            cycle, place = divmod(turn, len(main))
            # moves on by one each time an image comes round: hence the balance
            condition = conditions[(place + cycle) % len(conditions)]
            chosen.append((main[place], condition))
        sides = balanced_sides([condition for _, condition in chosen], own)
        body = [
            Trial("main", image, shown, deal(condition))
            for (image, condition), shown in zip(chosen, sides, strict=True)
        ]
        body += _catch_trials(caught, design, own)
        first = _practice_trials(practice, design, own)
        swapped = bool((session + design.seed) % 2)
        sessions.append(Session((*first, *_shuffled(body, own)), swapped))
    return sessions


def _counts(design: Design, available: int) -> tuple[int, int]:
    """Main and catch trials of a session."""
    catch, trials = design.catch, design.trials
    if catch is None:
        catch = max(4, round((trials or 40) / 10))
    left = available - design.practice - catch
    trials = min(40, left) if trials is None else trials
    if trials > left or trials < 1:
        raise ValueError(
            f"{available} images are too few: nobody sees one twice, and a session has"
            f" {design.practice} practice, {catch} catch and"
            f" {max(trials, 1)} main trials; give more images, or lower --trials,"
            " --practice or --catch."
        )
    return trials, catch


def _conditions(design: Design, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """What a main trial can show, in the order in which images go through it."""
    methods = [design.methods[i] for i in rng.permutation(len(design.methods))]
    if design.mode == "timed_real_fake":
        return [shown for m in methods for shown in ((ORIGINAL,), (m,))]
    if design.mode == "pair_real_fake":
        return [(ORIGINAL, method) for method in methods]
    pairs = list(itertools.combinations(methods, 2))
    return [pairs[i] for i in rng.permutation(len(pairs))]


class _Dealer:
    """Hands out exposures: shuffled, each once before any comes again."""

    def __init__(self, exposures: tuple[int, ...], rng: np.random.Generator):
        self._exposures, self._rng = exposures, rng
        self._hands: dict = collections.defaultdict(list)

    def __call__(self, condition: tuple[str, ...]) -> int:
        hand = self._hands[condition]
        if not hand:
            hand.extend(int(e) for e in self._rng.permutation(self._exposures))
        return hand.pop()


def _catch_trials(images, design: Design, rng: np.random.Generator) -> list[Trial]:
    longest = 0 if 0 in design.exposures else max(design.exposures)
    if design.mode == "timed_real_fake":
        return [Trial("catch", image, (DAMAGED,), longest) for image in images]
    pairs = balanced_sides([(ORIGINAL, DAMAGED)] * len(images), rng)
    return [
        Trial("catch", image, pair, longest)
        for image, pair in zip(images, pairs, strict=True)
    ]


def _practice_trials(images, design: Design, rng: np.random.Generator) -> list[Trial]:
    """From slow to fast, obvious ones first; every second one is an original."""
    slow_first = sorted(design.exposures, key=lambda e: (e > 0, -e))
    per_exposure = -(-len(images) // len(slow_first))
    exposures = [e for e in slow_first for _ in range(per_exposure)]
    # No feedback on completions where taste is asked for: it would teach a taste.
    taste = design.mode == "pair_preference"
    others = [DAMAGED] if taste else [DAMAGED, *design.methods]
    shown = []
    for n in range(len(images)):
        if design.mode == "timed_real_fake":
            other = others[n // 2 % len(others)]
            shown.append((other,) if n % 2 == 0 else (ORIGINAL,))
        else:
            shown.append((ORIGINAL, others[n % len(others)]))
    shown = [pair[:: int(rng.choice((-1, 1)))] for pair in shown]
    rows = zip(images, shown, exposures, strict=False)
    return [Trial("practice", *row) for row in rows]


def _shuffled(trials: list[Trial], rng: np.random.Generator) -> list[Trial]:
    """In random order: no catch trial first, no long runs of one right answer."""
    best, fewest = trials, len(trials) + 1
    for _ in range(_SHUFFLES):
        order = [trials[i] for i in rng.permutation(len(trials))]
        if order[0].kind == "catch" and len({t.kind for t in trials}) > 1:
            continue
        groups = itertools.groupby(t.answer for t in order)
        longest = max(
            (len(list(group)) for answer, group in groups if answer), default=0
        )
        if longest < fewest:
            best, fewest = order, longest
        if fewest <= LONGEST_RUN:
            break
    return best
