"""Answers survive kills, torn lines, duplicates and two observers at once."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from inpainting_jax.study import answers as joined
from inpainting_jax.study import store
from inpainting_jax.study.store import Store

FIELDS = {"choice": "left", "response_ms": 700.0}


def lines(study):
    return (study.path / store.FILE).read_text().splitlines()


def test_answers_are_there_after_reopening(make_study):
    study = make_study()
    with Store(study) as opened:
        code = opened.start({"size": "phone"}).code
        assert opened.answer(code, 0, FIELDS)
    with Store(study) as opened:
        observer = opened.observer(code)
        assert observer.screen == {"size": "phone"}
        assert observer.answers[0]["choice"] == "left"
        assert opened.pending(code) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_the_first_answer_stands_and_a_second_is_kept_as_duplicate(make_study):
    study = make_study()
    with Store(study) as opened:
        code = opened.start({}).code
        assert opened.answer(code, 3, FIELDS)
        assert not opened.answer(code, 3, FIELDS | {"choice": "right"})
        assert opened.observer(code).answers[3]["choice"] == "left"
    observer = store.read(study.path / store.FILE, study)[code]
    assert observer.answers[3]["choice"] == "left"
    events = [json.loads(line)["event"] for line in lines(study)]
    assert events == ["start", "answer", "duplicate"]


def test_a_torn_last_line_is_dropped_and_the_next_stands_alone(make_study):
    study = make_study()
    with Store(study) as opened:
        code = opened.start({}).code
        opened.answer(code, 0, FIELDS)
    with open(study.path / store.FILE, "a") as file:
        file.write('{"event": "answer", "code": "' + code)
    assert set(store.read(study.path / store.FILE, study)[code].answers) == {0}
    with Store(study) as opened:
        opened.answer(code, 1, FIELDS)
    assert set(store.read(study.path / store.FILE, study)[code].answers) == {0, 1}


def test_a_write_that_fails_leaves_no_part_of_a_line(make_study, monkeypatch):
    study = make_study()
    write = os.write
    with Store(study) as opened:
        code = opened.start({}).code
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:9]))
        with pytest.raises(OSError, match="only a part"):
            opened.answer(code, 0, FIELDS)
        monkeypatch.undo()
        assert opened.pending(code)[0] == 0
        opened.answer(code, 1, FIELDS)
    assert set(store.read(study.path / store.FILE, study)[code].answers) == {1}


def test_every_acknowledged_answer_survives_a_kill(make_study):
    study = make_study(trials=20)
    code = """
import sys
from inpainting_jax.study import folder, store
opened = store.Store(folder.load(sys.argv[1]))
observer = opened.start({}, "kept")
print("started", flush=True)
for trial in range(24):
    opened.answer("kept", trial, {"choice": "left", "response_ms": 1.0})
    print(trial, flush=True)
"""
    command = [sys.executable, "-c", code, str(study.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = []
    for line in process.stdout:
        told.append(line.strip())
        if line.strip() == "7":
            os.kill(process.pid, signal.SIGKILL)
    process.wait()
    acknowledged = {int(word) for word in told[1:]}
    with Store(study) as opened:
        kept = set(opened.observer("kept").answers)
        assert acknowledged <= kept and len(acknowledged) >= 8
        assert sorted(kept) + opened.pending("kept") == list(range(24))


def test_two_observers_at_once_do_not_disturb_each_other(make_study):
    study = make_study(trials=20)
    with Store(study) as opened:
        codes = [opened.start({}).code for _ in range(4)]

        def work(code):
            for trial in range(24):
                opened.answer(code, trial, FIELDS | {"choice": code})

        threads = [threading.Thread(target=work, args=(code,)) for code in codes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = store.read(study.path / store.FILE, study)
    assert {o.session for o in found.values()} == {0, 1, 2}
    for code in codes:
        assert [a["choice"] for a in found[code].answers.values()] == [code] * 24
    assert len(lines(study)) == 4 * 25


def test_an_interrupted_timed_trial_comes_last_of_its_part(make_study):
    study = make_study("timed_real_fake")
    with Store(study) as opened:
        code = opened.start({}).code
        opened.shown(code, 0)
        opened.shown(code, 3)
        assert opened.pending(code) == [1, 0, 2, 4, 5, 6, 7, 8, 9, 3]
    with Store(study) as opened:
        assert opened.pending(code) == [1, 0, 2, 4, 5, 6, 7, 8, 9, 3]


def test_a_second_server_is_refused_and_a_later_one_is_not(make_study):
    study = make_study()
    with Store(study), pytest.raises(ValueError, match="another server writes"):
        Store(study)
    Store(study).close()


def test_a_deleted_observer_is_in_nothing(make_study):
    study = make_study()
    with Store(study) as opened:
        kept, gone = (opened.start({}).code for _ in range(2))
        for code in (kept, gone):
            opened.answer(code, 0, FIELDS)
    store.delete(study, gone)
    assert set(store.read(study.path / store.FILE, study)) == {kept}
    with pytest.raises(ValueError, match="nobody"):
        store.delete(study, gone)
    with Store(study) as opened:
        assert opened.observer(gone) is None


def test_damage_and_foreign_answers_are_errors_that_name_the_line(make_study, tmp_path):
    study = make_study()
    file = tmp_path / "other.jsonl"
    start = {"event": "start", "code": "a", "session": 0, "screen": {}}
    start |= {"design_sha256": study.design_sha256}
    for wrong, message in [
        ([start, start], "line 2: the observer 'a' starts twice"),
        ([start | {"design_sha256": "0"}], "line 1: answers to another study"),
        ([start | {"session": 3}], "line 1"),
        ([start, {"event": "answer", "code": "a", "trial": 99}], "line 2"),
        ([start, {"event": "answer", "code": "b", "trial": 0}], "line 2"),
        ([start, {"event": "guess", "code": "a"}], "unknown event 'guess'"),
        ([["no", "object"]], "line 1"),
    ]:
        file.write_text("".join(json.dumps(line) + "\n" for line in wrong))
        with pytest.raises(ValueError, match=message):
            store.read(file, study)
    with pytest.raises(ValueError, match="cannot be read"):
        store.read(tmp_path / "missing.jsonl", study)


def test_an_observer_in_two_files_is_an_error(make_study, tmp_path):
    study = make_study()
    with Store(study) as opened:
        code = opened.start({}).code
        opened.answer(code, 0, FIELDS)
    file = study.path / store.FILE
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(file.read_bytes())
    assert len(joined.collect(study, [file])) == 1
    with pytest.raises(ValueError, match=f"{code}.*copy.jsonl"):
        joined.collect(study, [file, copy])


def test_late_and_repeated_exposures_are_marked(make_study):
    study = make_study("timed_real_fake")
    session = study.sessions[0]
    fields = {"choice": "real", "response_ms": 500.0, "frame_ms": 16.7}
    with Store(study) as opened:
        code = opened.start({}).code
        for trial in (2, 3, 4):
            asked = session.trials[trial].exposure_ms
            opened.shown(code, trial)
            extra = {2: 0, 3: 16.7, 4: 33.4}[trial]
            opened.answer(code, trial, fields | {"shown_ms": asked + extra})
        for _ in range(2):
            opened.shown(code, 5)
        asked = session.trials[5].exposure_ms
        opened.answer(code, 5, fields | {"shown_ms": asked})
    found = joined.collect(study, [study.path / store.FILE])
    assert [a.late for a in found] == [False, False, True, False]
    assert [a.showings for a in found] == [1, 1, 1, 2]
    assert [a.counts for a in found] == [True, True, False, False]
