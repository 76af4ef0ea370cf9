"""launch.convert: a public checkpoint, or a run, becomes a file that `load` takes."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import inpainting_jax as ij

ROOT = pathlib.Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "launch.convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture
def checkpoint(tmp_path, golden, recipe_weights):
    file = golden("deepfillv2_generator_nipponjo")
    recipe = json.loads(str(file["meta"]))["recipe"]
    weights = recipe_weights(str(file["small/keys"]), recipe)
    np.savez(tmp_path / "stored.npz", **weights)
    return tmp_path / "stored.npz"


def test_a_converted_file_completes_a_picture(checkpoint, tmp_path):
    output = tmp_path / "small.safetensors"
    done = run(
        "--source=deepfill_v2_nipponjo",
        f"--input={checkpoint}",
        f"--output={output}",
        "--note=licence=unknown",
    )
    assert done.returncode == 0, done.stderr
    card = json.loads(output.with_suffix(".json").read_text())
    assert card["overrides"]["padding"] == "SYMMETRIC"
    assert card["licence"] == "unknown"
    image = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    mask = np.zeros((32, 40), np.uint8)
    mask[8:20, 10:30] = 1
    completed = ij.load("deepfill_v2", weights=output)(image, mask)
    assert (completed[mask == 0] == image[mask == 0]).all()
    assert (completed[mask == 1] != image[mask == 1]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source=nobody"], "unknown checkpoint source 'nobody'"),
        (["--source=deepfill_v2_tf"], "missing 'inpaint_net/"),
        (["--source=run"], "holds no checkpoint"),
        (["--source=deepfill_v2_tf", "--note=x"], "each --note reads NAME=VALUE"),
        (["--source=deepfill_v2_tf", "--channel_order=gbr"], "channel_order"),
        (["--source=deepfill_v2_tf", "--option=colour=1"], "unknown option of source"),
    ],
)
def test_wrong_use_exits_with_2_and_says_why(arguments, message, checkpoint, tmp_path):
    done = run(*arguments, f"--input={checkpoint}", f"--output={tmp_path / 'x'}")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
