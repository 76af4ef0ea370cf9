"""A study on disk: written once by `prepare`, then served and analysed.

    study.json            format, version, design, texts, hashes: for the server
    key.json              what each picture and each trial is: never leaves the server
    sessions/000.json     what a browser may know of each trial
    images/HASH.png       the pictures
    answers.jsonl         appended by `store`, see there

Equal inputs and an equal seed give equal bytes.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from inpainting_jax.study import design as designs
from inpainting_jax.study.design import Design, Session, Trial
from inpainting_jax.study.stimuli import Pictures, encode_png, opaque_name

FORMAT = "inpainting_jax.study"
VERSION = 1

QUESTIONS = {
    "timed_real_fake": "Was this an untouched photograph?",
    "pair_real_fake": "Which of the two is the untouched photograph?",
    "pair_preference": "Which of the two looks better?",
}
_WITH_REFERENCE = {
    "none": QUESTIONS["pair_preference"],
    "original": "Which of the two is a better restoration of the picture above?",
    "masked": "Which of the two completes the picture above better?",
}


@dataclasses.dataclass(frozen=True)
class Study:
    """A study read from its folder.

    Attributes:
      path: the folder.
      design: what was planned.
      sessions: what each trial is; for the server and the analysis.
      pages: per session, the trials as a browser may see them.
      texts: `title`, `question`, `contact`.
      design_sha256: over sessions and pictures; answers carry it.
    """

    path: pathlib.Path
    design: Design
    sessions: tuple[Session, ...]
    pages: tuple[tuple[dict[str, Any], ...], ...]
    texts: dict[str, str]
    design_sha256: str

    @property
    def choices(self) -> tuple[str, str]:
        """What an observer can answer."""
        timed = self.design.mode == "timed_real_fake"
        return ("real", "generated") if timed else ("left", "right")


def prepare(
    pictures: Pictures,
    design: Design,
    output: str | os.PathLike,
    *,
    title: str = "Looking at pictures",
    question: str = "",
    contact: str = "",
) -> Study:
    """Plans a study and writes its folder, in full or not at all.

    Args:
      pictures: what there is to show.
      design: what to plan.
      output: the folder to make.
      title: of the page.
      question: asked at every trial; "" takes the mode's own.
      contact: who asks, for the consent page.

    Raises:
      ValueError: the folder exists, or the design or a picture is wrong.
    """
    output = pathlib.Path(output)
    sessions = designs.plan_sessions(pictures.names, design)
    texts = {
        "title": title,
        "question": question or _own_question(design),
        "contact": contact,
    }
    with _new_folder(output) as folder:
        names, sha256 = _write_pictures(folder, pictures, sessions, design)
        pages = [_page(session, design, names) for session in sessions]
        (folder / "sessions").mkdir()
        for number, page in enumerate(pages):
            _write(folder / "sessions" / f"{number:03}.json", page)
        key = {
            "pictures": {file: list(what) for what, file in names.items()},
            "sessions": [dataclasses.asdict(session) for session in sessions],
        }
        _write(folder / "key.json", key)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "design": dataclasses.asdict(design),
            "texts": texts,
            "pictures_sha256": sha256,
            "design_sha256": _sha256(folder / "key.json"),
        }
        _write(folder / "study.json", header)
    return load(output)


def load(path: str | os.PathLike) -> Study:
    """The study in a folder.

    Raises:
      ValueError: it is no study, one of another version, or was changed by hand.
    """
    path = pathlib.Path(path)
    try:
        header = json.loads((path / "study.json").read_text())
    except OSError as error:
        raise ValueError(
            f"{path} holds no study (study.json is missing); make one with"
            " `python -m launch.study prepare`."
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}/study.json is damaged: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"{path}/study.json is not of an {FORMAT}.")
    if header.get("version") != VERSION:
        raise ValueError(
            f"{path} is a study of version {header.get('version')!r}, this code reads"
            f" version {VERSION}; use the code that made it, or prepare it anew."
        )
    try:
        if _sha256(path / "key.json") != header["design_sha256"]:
            raise ValueError("key.json was changed")
        return _read(path, header)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"the study in {path} is damaged ({error}); restore the folder from a copy."
        ) from error


def _read(path: pathlib.Path, header: dict[str, Any]) -> Study:
    key = json.loads((path / "key.json").read_text())
    sessions = tuple(
        Session(
            tuple(Trial(**t | {"shown": tuple(t["shown"])}) for t in session["trials"]),
            session["swapped"],
        )
        for session in key["sessions"]
    )
    design = header["design"]
    tuples = {name: tuple(design[name]) for name in ("methods", "exposures")}
    files = [path / "sessions" / f"{n:03}.json" for n in range(len(sessions))]
    return Study(
        path=path,
        design=Design(**design | tuples),
        sessions=sessions,
        pages=tuple(tuple(json.loads(file.read_text())) for file in files),
        texts=header["texts"],
        design_sha256=header["design_sha256"],
    )


def _own_question(design: Design) -> str:
    if design.mode == "pair_preference":
        return _WITH_REFERENCE[design.reference]
    return QUESTIONS[design.mode]


def _write_pictures(folder, pictures: Pictures, sessions, design: Design):
    """Writes what the sessions show; returns file names by (image, role), and hashes.

    The key of the names comes from the seed and all pixels: who does not have them
    cannot compute it, and equal inputs give equal names.
    """
    (folder / "images").mkdir()
    beside = () if design.reference == "none" else (design.reference,)
    needed = sorted(
        {
            (trial.image, role)
            for session in sessions
            for trial in session.trials
            for role in trial.shown + beside
        }
    )
    secret = hashlib.sha256(str(design.seed).encode())
    hashes = {}
    for what in needed:
        data = encode_png(pictures.pixels(*what))
        secret.update(hashlib.sha256(data).digest())
        # under its number until all pixels are known, and with them the key
        (folder / "images" / str(len(hashes))).write_bytes(data)
        hashes[what] = hashlib.sha256(data).hexdigest()
    names = {what: opaque_name(secret.digest(), *what) for what in needed}
    for number, what in enumerate(needed):
        file = folder / "images" / names[what]
        os.rename(folder / "images" / str(number), file)
        os.utime(file, (0, 0))
    return names, {names[what]: hashes[what] for what in needed}


def _page(session: Session, design: Design, names: Mapping) -> list[dict[str, Any]]:
    """What a browser may know: catch trials look like main ones."""
    beside = design.reference
    return [
        {
            "practice": trial.kind == "practice",
            "images": [names[trial.image, role] for role in trial.shown],
            "reference": None if beside == "none" else names[trial.image, beside],
            "exposure_ms": trial.exposure_ms,
        }
        for trial in session.trials
    ]


@contextlib.contextmanager
def _new_folder(output: pathlib.Path) -> Iterator[pathlib.Path]:
    """A hidden neighbour of `output` to fill; it takes the name on success."""
    if output.exists():
        raise ValueError(f"{output} exists; a study is never replaced: name another.")
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.rename(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(path: pathlib.Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def _sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
