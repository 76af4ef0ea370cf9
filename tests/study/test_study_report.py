"""From answers on disk to a report; and the command line's words and complaints."""

import csv
import io
import pathlib
import subprocess
import sys

import pytest
from PIL import Image

from inpainting_jax.study import commands, store
from inpainting_jax.study.simulation import SimulatedObserver, simulate

ROOT = pathlib.Path(__file__).parents[2]
REALISM = {"quixotic": 1.5, "zephyrine": 0.0, "umbrageous": -1.5}


def answered(study, observers=12):
    """Writes the answers of simulated observers to the study's folder."""
    people = [SimulatedObserver()] * (observers - 1) + [SimulatedObserver(lapse=1.0)]
    with store.Store(study) as opened:
        for answer in simulate(study.sessions, people, REALISM, 0):
            if opened.observer(answer.observer) is None:
                opened.start({"size": "desktop"}, answer.observer)
            fields = {"choice": answer.choice, "response_ms": answer.response_ms}
            if answer.exposure_ms:
                fields |= {"shown_ms": answer.shown_ms, "frame_ms": 16.7}
            opened.answer(answer.observer, answer.trial, fields)


def analyse(*arguments, **options):
    return commands.analyse(*arguments, resamples=300, **options)


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_a_preference_study_is_reported_with_ranking_pairs_and_a_plot(
    make_study, tmp_path
):
    study = make_study(trials=18, catch=5)
    answered(study)
    told = analyse(study.path, tmp_path / "report")
    assert told == str(tmp_path / "report" / "report.md")
    text = (tmp_path / "report" / "report.md").read_text()
    for part in ("## Ranking", "## Pairs", "## Checks", "## Left out"):
        assert part in text
    ranking = table(tmp_path / "report" / "ranking.csv")
    assert [row["method"] for row in ranking] == list(REALISM)
    assert all(
        float(r["low"]) < float(r["strength"]) < float(r["high"]) for r in ranking
    )
    pairs = table(tmp_path / "report" / "pairs.csv")
    assert len(pairs) == 3
    answers = table(tmp_path / "report" / "answers.csv")
    assert len(answers) == 12 * (2 + 18 + 5)
    out = {row["observer"] for row in answers if row["excluded"]}
    assert out == {"simulated0011"} and "- `simulated0011`: " in text
    kept = [r for r in answers if r["kind"] == "main" and not r["excluded"]]
    assert sum(int(row["n"]) for row in pairs) == len(kept)
    with Image.open(tmp_path / "report" / "ranking.png") as plot:
        assert plot.size == (840, 480)


@pytest.mark.parametrize("mode", ["timed_real_fake", "pair_real_fake"])
def test_a_fooling_study_is_reported_with_rates_and_a_plot(make_study, tmp_path, mode):
    study = make_study(mode, trials=18, catch=5)
    answered(study)
    analyse(study.path, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "passed for photographs" in text and "with everyone %" in text
    rates = table(tmp_path / "report" / "rates.csv")
    timed = mode == "timed_real_fake"
    rows = [r["method"] for r in rates if not r["exposure_ms"]]
    assert rows == [*study.design.methods, *(["original"] if timed else [])]
    if timed:
        assert "- 50 ms asked for: 50.0 ms shown" in text
        assert {r["exposure_ms"] for r in rates} == {"", "50", "100"}
    for row in rates:
        assert 0 <= float(row["low"]) <= float(row["rate"]) <= float(row["high"]) <= 1
    assert (tmp_path / "report" / "rates.png").stat().st_size > 1000


def test_two_analyses_write_the_same_tables_and_no_report_is_replaced(
    make_study, tmp_path
):
    study = make_study(trials=18)
    answered(study)
    written = []
    for name in ("a", "b"):
        analyse(study.path, tmp_path / name)
        files = sorted((tmp_path / name).iterdir())
        written.append({file.name: file.read_bytes() for file in files})
    assert written[0] == written[1] and len(written[0]) == 5
    with pytest.raises(ValueError, match="holds a report"):
        analyse(study.path, tmp_path / "a")
    analyse(study.path, tmp_path / "a", overwrite=True)


def test_a_deleted_observer_is_not_in_the_report(make_study, tmp_path):
    study = make_study(trials=18)
    answered(study)
    commands.delete(study.path, "simulated0003")
    analyse(study.path, tmp_path / "report")
    for file in (tmp_path / "report").glob("*.[cm][sd]*"):
        assert "simulated0003" not in file.read_text()


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([], {}, "give one command of prepare, serve"),
        (["bake"], {}, "got bake"),
        (["prepare"], {}, "needs --study"),
        (["prepare"], {"study": "x", "originals": "y"}, "needs --results"),
        (["analyse"], {"study": "x", "code": "y"}, "no option --code"),
        (["serve"], {"study": "/nowhere"}, "holds no study"),
        (
            ["prepare"],
            {"study": "x", "originals": "y", "results": ["telea"]},
            "LABEL=FOLDER",
        ),
        (
            ["prepare"],
            {"study": "x", "originals": "y", "results": ["a=b"], "exposures": ["s"]},
            "whole ms",
        ),
    ],
)
def test_wrong_use_is_an_error_that_says_what_to_give(words, options, message):
    with pytest.raises(ValueError, match=message):
        commands.run(words, options)


def test_sample_sizes_are_printed():
    text = commands.run(["sample_size"], {"per_person": 1})
    assert "| a preference of 60% told from 50 %, per pair | 194 | 194 |" in text


def test_a_study_is_prepared_and_refused_from_the_command_line(tmp_path):
    for name in ("originals", "alpha", "beta"):
        (tmp_path / name).mkdir()
        for i in range(12):
            image = Image.new("RGB", (16, 16), (20 * i, len(name) * 20, 0))
            image.save(tmp_path / name / f"{i}.png")
    command = [sys.executable, "-m", "launch.study", "prepare"]
    command += [f"--study={tmp_path}/study", f"--originals={tmp_path}/originals"]
    command += [f"--results=alpha={tmp_path}/alpha,beta={tmp_path}/beta"]
    command += ["--practice=2", "--catch=2", "--sessions=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 sessions of 2 practice, 8 main, 2 catch trials" in done.stdout
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 2 and "never replaced" in again.stderr
    assert "Traceback" not in again.stderr
