"""Answers joined with what was shown, and who is left out of the analysis."""

import collections
import csv
import dataclasses
import io
import os
from collections.abc import Sequence

import numpy as np

from inpainting_jax.study import store
from inpainting_jax.study.design import DAMAGED, ORIGINAL
from inpainting_jax.study.folder import Study

MIN_CATCH = 0.8
"""Observers below this share of right catch trials are left out; so are those ..."""
MIN_RESPONSE_MS = 300
"""... whose median response is quicker,"""
MAX_LATE = 0.2
"""... whose pictures were late more often,"""
MIN_COMPLETE = 0.5
"""... who gave a smaller share of the main answers,"""
MAX_ONE_BUTTON = 0.95
"""... or who pressed one button more often."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One answer with all that is known of its trial.

    Attributes:
      observer: code.
      session: number of the session.
      trial: number within the session.
      kind, image, shown, exposure_ms: as in `design.Trial`.
      choice: real or generated; left or right.
      response_ms: from the end of the exposure, or its start if it is unlimited.
      shown_ms: measured exposure; None if unlimited.
      late: shown for longer or shorter than asked for by more than a frame.
      showings: how often it went up; more than 1 after an interruption.
    """

    observer: str
    session: int
    trial: int
    kind: str
    image: str
    shown: tuple[str, ...]
    exposure_ms: int
    choice: str
    response_ms: float
    shown_ms: float | None = None
    late: bool = False
    showings: int = 1

    @property
    def method(self) -> str | None:
        """The one method among what was shown; None if there is none, or two."""
        methods = [role for role in self.shown if role not in (ORIGINAL, DAMAGED)]
        return methods[0] if len(methods) == 1 else None

    @property
    def says_real(self) -> str | bool:
        """Whether one picture was called real; of two, which role was chosen."""
        if len(self.shown) == 1:
            return self.choice == "real"
        return self.shown[("left", "right").index(self.choice)]

    @property
    def right(self) -> bool | None:
        """Whether the choice is the right one; None if there is none."""
        if len(self.shown) == 1:
            return self.says_real == (self.shown[0] == ORIGINAL)
        return self.says_real == ORIGINAL if ORIGINAL in self.shown else None

    @property
    def counts(self) -> bool:
        """Whether its exposure was as asked for: seen once, and not late."""
        return self.exposure_ms == 0 or (not self.late and self.showings <= 1)


def collect(study: Study, files: Sequence[str | os.PathLike]) -> list[Answer]:
    """The answers to a study in one file or several.

    Raises:
      ValueError: a file is damaged or of another study, or one observer is in two.
    """
    answers, seen = [], {}
    for file in files:
        for code, observer in store.read(file, study).items():
            if code in seen:
                raise ValueError(
                    f"the observer {code!r} is in {seen[code]} and in {file}; give"
                    " each file of answers once."
                )
            seen[code] = file
            answers.extend(_joined(study, observer))
    return answers


def _joined(study: Study, observer: store.Observer) -> list[Answer]:
    trials = study.sessions[observer.session].trials
    answers = []
    for number, fields in sorted(observer.answers.items()):
        trial, shown_ms = trials[number], fields.get("shown_ms")
        late = False
        if trial.exposure_ms:
            # one frame, and the rounding of the browser's clock
            tolerance = fields["frame_ms"] + 1
            late = abs(shown_ms - trial.exposure_ms) > tolerance
        answers.append(
            Answer(
                observer=observer.code,
                session=observer.session,
                trial=number,
                **{f.name: getattr(trial, f.name) for f in dataclasses.fields(trial)},
                choice=fields["choice"],
                response_ms=fields["response_ms"],
                shown_ms=shown_ms,
                late=late,
                showings=max(1, observer.shown[number]),
            )
        )
    return answers


def exclusions(answers: Sequence[Answer], study: Study) -> dict[str, list[str]]:
    """Why each observer is left out; the list is empty for those who count.

    The rules are fixed before any answer is seen: the constants of this module.
    """
    by_observer = collections.defaultdict(list)
    for answer in answers:
        by_observer[answer.observer].append(answer)
    return {
        observer: _reasons(own, study) for observer, own in sorted(by_observer.items())
    }


def _reasons(answers: list[Answer], study: Study) -> list[str]:
    reasons = []
    catch = [a.right for a in answers if a.kind == "catch"]
    if catch and np.mean(catch) < MIN_CATCH:
        reasons.append(f"{sum(catch)} of {len(catch)} catch trials right")
    main = [a for a in answers if a.kind == "main"]
    trials = study.sessions[answers[0].session].trials
    planned = sum(trial.kind == "main" for trial in trials)
    if len(main) < MIN_COMPLETE * planned:
        reasons.append(f"{len(main)} of {planned} main trials answered")
    if not main:
        return reasons
    median = np.median([a.response_ms for a in main])
    if median < MIN_RESPONSE_MS:
        reasons.append(f"median response {median:.0f} ms")
    late = np.mean([a.late for a in main])
    if late > MAX_LATE:
        reasons.append(f"{late:.0%} of the pictures late")
    choice, most = collections.Counter(a.choice for a in main).most_common(1)[0]
    # right answers and sides are balanced: nobody who looks says one thing all the time
    if len(main) >= 10 and most > MAX_ONE_BUTTON * len(main):
        reasons.append(f"{choice} in {most} of {len(main)} answers")
    return reasons


def to_csv(answers: Sequence[Answer], reasons: dict[str, list[str]]) -> str:
    """All answers as a table, one a row; `excluded` tells why an observer is out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in dataclasses.fields(Answer)]
    writer.writerow([*names, "right", "excluded"])
    for answer in answers:
        values = {name: getattr(answer, name) for name in names}
        values["shown"] = "|".join(answer.shown)
        right = "" if answer.right is None else int(answer.right)
        excluded = "; ".join(reasons.get(answer.observer, []))
        cells = [int(v) if isinstance(v, bool) else v for v in values.values()]
        writer.writerow([*cells, right, excluded])
    return text.getvalue()
