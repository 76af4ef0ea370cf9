"""What `python -m launch.study` does: prepare, serve, analyse, delete, sample_size."""

import inspect
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inpainting_jax.study import (
    analysis,
    answers,
    estimates,
    folder,
    report,
    store,
)
from inpainting_jax.study.design import Design
from inpainting_jax.study.stimuli import Pictures

COMMANDS = ("prepare", "serve", "analyse", "delete", "sample_size")


def run(words: Sequence[str], options: Mapping[str, Any]) -> str:
    """Does what the command line says; returns what to print.

    Args:
      words: the name of one command.
      options: values of its parameters, by name; what is not there has its default.

    Raises:
      ValueError: no such command, an option that it does not have or that it lacks, or
        an error of the command itself.
    """
    if len(words) != 1 or words[0] not in COMMANDS:
        raise ValueError(
            f"give one command of {', '.join(COMMANDS)},"
            f" got {' '.join(words) or 'none'}."
        )
    command = globals()[words[0]]
    parameters = dict(inspect.signature(command).parameters)
    if parameters.pop("design", None):  # fields of a Design; its methods are `results`
        fields = inspect.signature(Design).parameters
        parameters = fields | parameters
        parameters.pop("methods")
    for name in options:
        if name not in parameters:
            raise ValueError(f"{words[0]} has no option --{name}.")
    for name, parameter in parameters.items():
        needed = parameter.default is parameter.empty
        if needed and not options.get(name):
            raise ValueError(f"{words[0]} needs --{name}.")
    return command(**options)


def prepare(
    study: str | os.PathLike,
    originals: str | os.PathLike,
    results: Sequence[str],
    *,
    masks: str | os.PathLike | None = None,
    mode: str = "pair_preference",
    exposures: Sequence[int | str] = (),
    title: str = "Looking at pictures",
    question: str = "",
    contact: str = "",
    **design,
) -> str:
    """Plans a study from folders of images and writes it to the folder `study`.

    Args:
      study: the folder to make.
      originals: folder of the originals.
      results: LABEL=FOLDER of completed images, one a method.
      masks: folder of masks, or None.
      mode: one of `design.MODES`.
      exposures: ms; () = 50, 100, 250, 500, 1000, 2000 if timed, else unlimited.
      title, question, contact: see `folder.prepare`.
      **design: the other fields of `design.Design`.

    Returns:
      What was made and how to go on.

    Raises:
      ValueError: anything is missing or makes no sense; nothing is written then.
    """
    folders = _labelled(results)
    timed = mode == "timed_real_fake"
    default = (50, 100, 250, 500, 1000, 2000) if timed else (0,)
    try:
        chosen = tuple(int(exposure) for exposure in exposures) or default
    except ValueError as error:
        raise ValueError(f"--exposures are whole ms with commas: {error}.") from error
    made = folder.prepare(
        Pictures(originals, folders, masks),
        Design(mode, tuple(folders), chosen, **design),
        study,
        title=title,
        question=question,
        contact=contact,
    )
    trials = [trial.kind for trial in made.sessions[0].trials]
    counts = ", ".join(f"{trials.count(k)} {k}" for k in ("practice", "main", "catch"))
    return (
        f"{study}: {len(made.sessions)} sessions of {counts} trials;"
        f" python -m launch.study serve --study={study}"
    )


def serve(
    study: str | os.PathLike,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    tell: Callable[[str], None] = print,
) -> str:
    """Serves a study until interrupted.

    Raises:
      ValueError: no study there, its answers are damaged, another server runs, or the
        extra packages are missing.
    """
    try:
        import uvicorn

        from inpainting_jax.study import server
    except ModuleNotFoundError as error:
        raise ValueError(
            f"serving needs an extra package ({error}): pip install"
            " 'inpainting_jax[study]'."
        ) from error
    loaded = folder.load(study)
    with store.Store(loaded) as opened:
        tell(f"http://{host}:{port}/  (Ctrl+C ends; all answers are on disk)")
        app = server.build(loaded, opened)
        # No access log: it would tie addresses of people to times.
        uvicorn.run(
            app,
            host=host,
            port=port,
            access_log=False,
            log_level="warning",
            server_header=False,
        )
    return f"{pathlib.Path(study) / store.FILE}"


def analyse(
    study: str | os.PathLike,
    output: str | os.PathLike,
    *,
    files: Sequence[str | os.PathLike] = (),
    seed: int = 0,
    overwrite: bool = False,
    resamples: int = estimates.RESAMPLES,
) -> str:
    """Writes the report of a study; returns its path.

    Args:
      study: its folder.
      output: folder of the report.
      files: of answers; () = the one in the study's folder.
      seed: of the bootstrap.
      overwrite: whether to replace an earlier report.
      resamples: of the bootstrap.

    Raises:
      ValueError: see `answers.collect`, `analysis.analyse` and `report.write`.
    """
    loaded = folder.load(study)
    collected = answers.collect(loaded, files or [loaded.path / store.FILE])
    result = analysis.analyse(loaded, collected, seed=seed, resamples=resamples)
    report.write(result, output, overwrite=overwrite)
    return f"{pathlib.Path(output) / 'report.md'}"


def delete(study: str | os.PathLike, code: str) -> str:
    """Leaves out an observer who asked for it by their code."""
    store.delete(folder.load(study), code)
    return f"{code} is left out from now on"


def sample_size(*, per_person: int = 40, correlation: float = 0.05) -> str:
    """How many answers what needs (alpha .05, power .8), as a Markdown table.

    Args:
      per_person: main answers of one observer.
      correlation: of the answers of one observer.
    """
    effect = estimates.design_effect(per_person, correlation)
    rows = [
        (f"a preference of {share:.0%} told from 50 %, per pair", needed)
        for share in (0.55, 0.6, 0.65, 0.7)
        for needed in [estimates.answers_for_preference(share)]
    ]
    for first, second in ((0.2, 0.25), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5)):
        needed = estimates.answers_for_two_rates(first, second)
        rows.append((f"{first:.0%} fooled told from {second:.0%}, per method", needed))
    for half in (0.05, 0.1):
        needed = estimates.answers_for_half_width(half)
        rows.append((f"a share known to +- {half:.0%}", needed))
    lines = [
        f"Answers one person gives are alike: each of {per_person} is worth"
        f" 1/{effect:.2f} (correlation {correlation}).",
        "",
        "| to see | independent answers | from such persons |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {what} | {n} | {-(-n * effect // 1):.0f} |" for what, n in rows]
    return "\n".join(lines)


def _labelled(results: Sequence[str]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for item in results:
        label, equals, path = item.partition("=")
        if not (label and equals and path) or label in folders:
            raise ValueError(
                f"--results={item!r}: give LABEL=FOLDER, every label once, with commas"
                " between."
            )
        folders[label] = path
    return folders
