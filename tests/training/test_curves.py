"""The picture of a run, and what is said of logs that cannot be drawn."""

import json

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.training import curves


def write(workdir, rows):
    (workdir / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return workdir


@pytest.fixture
def workdir(tmp_path):
    rows = [
        {"step": step, "l1_hole": 1 / step, "generator/update_ratio": 1e-3}
        | {"generator/grad_norm": float("nan") if step == 2 else 0.5}
        for step in range(1, 130)
    ]
    rows.append({"step": 129, "health/fill_std_ratio": 0.2, "validation/l1_hole": 0.1})
    return write(tmp_path, rows)


def test_numbers_come_back_by_name_and_those_not_finite_are_left_out(workdir):
    series = curves.read_metrics(workdir)
    assert series["l1_hole"][0] == list(range(1, 130))
    assert series["generator/grad_norm"][0] == [1, *range(3, 130)]
    assert series["validation/l1_hole"] == ([129], [0.1])


def test_the_same_log_gives_the_same_picture_with_alarms_in_grey(workdir, tmp_path):
    first = curves.draw(workdir, tmp_path / "new" / "curves.png")
    again = curves.draw(workdir, tmp_path / "again.png")
    assert first.read_bytes() == again.read_bytes()
    pixels = np.asarray(Image.open(first).convert("RGB")).reshape(-1, 3)
    # Four panels have numbers; two have limits, of which 0.2 lies beyond one.
    grey = (np.abs(pixels.astype(int) - 217).max(axis=1) <= 1).mean()
    assert 0.02 < grey < 0.5


def test_what_is_no_log_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--workdir of launch\.train"):
        curves.read_metrics(tmp_path)
    with pytest.raises(ValueError, match=r"line 2 of .* is no metrics line"):
        curves.read_metrics(write(tmp_path, [{"step": 1, "a": 1.0}, {"a": 2.0}]))
    with pytest.raises(ValueError, match="holds no numbers yet"):
        curves.read_metrics(write(tmp_path, [{"step": 1}]))
