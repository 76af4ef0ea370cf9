"""`python -m launch.prepare` from the outside."""

import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]


def prepare(*flags):
    command = [sys.executable, "-m", "launch.prepare", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_folder_is_prepared_and_a_second_run_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(4):
        image = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
        image.save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "images" / "bad.png").write_bytes(b"broken")
    flags = [f"--images={tmp_path}/images", f"--output={tmp_path}/out"]
    done = prepare(*flags, "--val_fraction=0.3")
    assert done.returncode == 0, done.stderr
    assert "1 unreadable" in done.stdout
    assert f"tfds_dir:{tmp_path}/out" in done.stdout
    assert (tmp_path / "out" / "report.csv").read_text().count("bad.png") == 2
    again = prepare(*flags)
    assert again.returncode == 2
    assert again.stderr.strip().endswith("or --overwrite it.")
    assert "Traceback" not in again.stderr
