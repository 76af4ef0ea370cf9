"""Merged reports are what one run would have been; what does not compare is refused."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.evaluation import (
    build_set,
    evaluate_inpainters,
    merging,
    plots,
    statistics,
)
from inpainting_jax.evaluation import report_files as files

COUNT, SIDE = 40, 24
METRICS = ("psnr", "l1")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 300)
    monkeypatch.setattr(
        statistics.bootstrap_means, "__kwdefaults__", {"resamples": 300}
    )
    monkeypatch.setattr(statistics.sign_flip_test, "__kwdefaults__", {"flips": 300})


def fill(colour):
    def inpaint(image, mask, **_):
        return np.where(mask > 0, colour, image).astype(np.uint8)

    inpaint.__name__ = f"fill{colour}"
    return inpaint


def pictures():
    rng = np.random.default_rng(0)
    return [
        (f"p{i}", rng.integers(0, 200, (SIDE, SIDE, 3), np.uint8)) for i in range(COUNT)
    ]


@pytest.fixture(scope="module")
def chosen():
    return build_set(pictures(), "boxes@0.05-0.4", seed=3, data="noise")


def run(chosen, output, metrics=METRICS, **colours):
    inpainters = {name: fill(colour) for name, colour in colours.items()}
    evaluate_inpainters(inpainters, chosen, output, metrics=metrics, progress=False)
    return str(output)


def without_times(folder):
    report = json.loads((pathlib.Path(folder) / "report.json").read_text())
    del report["created"], report["seconds_per_image"]
    return report


def test_two_runs_merged_are_the_one_run_of_both(chosen, tmp_path):
    grey = run(chosen, tmp_path / "a", grey=128)
    white = run(chosen, tmp_path / "b", white=255)
    both = run(chosen, tmp_path / "both", grey=128, white=255)
    merging.merge_reports([grey, white], tmp_path / "merged")
    assert without_times(tmp_path / "merged") == without_times(both)
    for name in ("per_image.csv", "table.csv"):
        one, two = (tmp_path / d / name for d in ("merged", "both"))
        assert one.read_bytes() == two.read_bytes()
    table = (tmp_path / "merged" / "table.md").read_text()
    assert "## Pairs" in table
    assert "![by_ratio.png](by_ratio.png)" in table


def test_a_report_comes_back_from_disk_as_it_was(chosen, tmp_path):
    folder = tmp_path / "a"
    run(chosen, folder, grey=128)
    before = {p.name: p.read_bytes() for p in folder.glob("*.csv")}
    document = without_times(folder)
    files.write(files.read(folder), folder)
    assert {p.name: p.read_bytes() for p in folder.glob("*.csv")} == before
    assert without_times(folder) == document


def test_plots_are_the_same_bytes_twice_and_show_something(chosen, tmp_path):
    folder = tmp_path / "a"
    run(chosen, folder, grey=128, white=255)
    report = files.read(folder)
    for name in ("one", "two"):
        written = plots.write(report, tmp_path / name)
        assert written == ["by_ratio.png", "ranks.png"]
    for name in written:
        one, two = (tmp_path / d / name for d in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        assert len(np.unique(np.asarray(Image.open(one).convert("RGB")))) > 20


@pytest.mark.parametrize(
    ("spec", "count", "metrics", "message"),
    [
        ("center", COUNT, METRICS, r"differ in masks \(`boxes@0\.05-0\.4`"),
        ("boxes@0.05-0.4", COUNT - 1, METRICS, r"differ in images .*; masks"),
        ("boxes@0.05-0.4", COUNT, ("psnr",), r"differ in metrics \(psnr_image,"),
    ],
)
def test_runs_that_do_not_compare_are_refused_by_what_differs(
    chosen, tmp_path, spec, count, metrics, message
):
    grey = run(chosen, tmp_path / "a", grey=128)
    other = build_set(pictures()[:count], spec, seed=3)
    white = run(other, tmp_path / "b", metrics=metrics, white=255)
    with pytest.raises(ValueError, match=message):
        merging.merge_reports([grey, white], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_rows_of_one_name_need_a_label_if_they_differ(chosen, tmp_path):
    one = run(chosen, tmp_path / "a", fill=128)
    two = run(chosen, tmp_path / "b", fill=255)
    with pytest.raises(ValueError, match=f"'fill' of {two}.*LABEL={two}"):
        merging.merge_reports([one, two], tmp_path / "merged")
    merged = merging.merge_reports([one, f"b={two}"], tmp_path / "merged")
    assert list(merged.results) == ["fill", "b.fill", "mean_fill", "ground_truth"]
    with pytest.raises(ValueError, match="another --output"):
        merging.merge_reports([one], tmp_path / "merged")


def test_damaged_reports_are_errors_and_the_command_says_so(chosen, tmp_path):
    run(chosen, tmp_path / "a", grey=128)
    command = [sys.executable, "-m", "launch.report", f"--output={tmp_path / 'm'}"]
    wrong = subprocess.run(
        [*command, f"--runs={tmp_path}"], capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert "holds no report.json" in wrong.stderr
    (tmp_path / "a" / "report.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be continued or merged"):
        files.read(tmp_path / "a")


def test_mean_ranks_follow_the_values_and_share_ties():
    rng = np.random.default_rng(0)
    best = rng.normal(size=100) + 3
    table = np.stack([best, best - 1, best - 1], axis=1)
    mean, low, high = statistics.mean_ranks(table, True, 0)
    np.testing.assert_allclose(mean, [1, 2.5, 2.5])
    assert (low <= mean).all()
    assert (mean <= high).all()
    np.testing.assert_allclose(statistics.mean_ranks(table, False, 0)[0], [3, 1.5, 1.5])
    table[0, 0] = np.nan
    assert np.isfinite(statistics.mean_ranks(table, True, 0)[0]).all()
    assert np.isnan(statistics.mean_ranks(table[:5], True, 0)[1]).all()


def test_the_jackknife_of_a_difference_is_that_of_pairs():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=20)
    rows = {
        name: {"fd": {"value": value, "replicates": list(value + shared)}}
        for name, value in (("a", 5.0), ("b", 4.0))
    }
    (row,) = statistics.compare_sets(rows)
    assert row["difference"] == 1.0
    assert row["hi"] - row["lo"] < 1e-9  # what both share cancels
    assert row["p_holm"] < 1e-6
    rows["b"]["fd"]["replicates"] = []
    assert statistics.compare_sets(rows) == []
