"""`python -m launch.inpaint`: flags, exit status, messages without a traceback."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]


def inpaint(folder, *arguments):
    """The finished process."""
    command = [sys.executable, "-m", "launch.inpaint", "--compilation_cache=off"]
    paths = [
        f"--images={folder}/in",
        f"--masks={folder}/m.png",
        f"--outputs={folder}/out",
    ]
    return subprocess.run(
        [*command, *paths, *arguments], cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture
def folder(tmp_path):
    """One image and its mask."""
    (tmp_path / "in").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "in" / "a.png")
    Image.fromarray(np.eye(24, 32, dtype=bool)).save(tmp_path / "m.png")
    return tmp_path


def test_success_is_0_and_a_bad_file_1(folder):
    done = inpaint(folder, "--method=telea")
    assert done.returncode == 0, done.stderr
    assert "done a.png" in done.stdout and done.stderr == ""
    before, after = (
        np.asarray(Image.open(folder / name / "a.png")) for name in ("in", "out")
    )
    hole = np.eye(24, 32, dtype=bool)
    np.testing.assert_array_equal(after[~hole], before[~hole])
    assert (after != before).any()
    (folder / "in" / "b.png").write_bytes(b"nothing")
    done = inpaint(folder, "--method=telea")
    assert done.returncode == 1
    assert "skipped a.png" in done.stdout and "failed b.png" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--method=telia", "Did you mean 'telea'"),
        ("--images=/nowhere/at/all", "--images=/nowhere/at/all does not exist"),
        ("--strategy=zoom", "auto|full|resize|crop|tile"),
        ("--bogus=1", "bogus"),
    ],
)
def test_wrong_use_is_2_with_one_line(folder, argument, message):
    done = inpaint(folder, "--method=telea", argument)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "out").exists()
