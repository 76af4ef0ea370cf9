"""Metrics of whole sets inside an evaluation: counts, intervals, continuation."""

import dataclasses
import json
import weakref
from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from inpainting_jax.evaluation import build_set, cases, evaluate_inpainters, set_scores
from inpainting_jax.features import PooledNetwork
from inpainting_jax.metrics import SET_METRICS

COUNT, SIDE = 210, 16
CALLS = []


def small_network(name, file=None):
    """Eight pixels' worth of features in place of a trained network."""
    if name != "efflite0" and not file:
        raise ValueError("give the file (--inception=FILE)")

    def prepare(images):
        CALLS.append(len(images))
        return np.stack([cv2.resize(i, (2, 2)) for i in images]).astype(np.float32)

    return PooledNetwork(
        name, 12, "0" * 64, "to 2x2", prepare, lambda x: x.reshape(len(x), -1) / 255
    )


def fill(colour):
    def inpaint(image, mask, **_):
        return np.where(mask > 0, colour, image).astype(np.uint8)

    inpaint.__name__ = f"fill{colour}"  # what identifies a plain function
    return inpaint


@pytest.fixture(scope="module")
def chosen():
    rng = np.random.default_rng(0)
    named = [
        (str(i), rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)) for i in range(COUNT)
    ]
    return build_set(named, "center", data="noise")


@pytest.fixture(autouse=True)
def network(monkeypatch):
    monkeypatch.setattr(
        "inpainting_jax.evaluation.evaluate.pooled_network", small_network
    )
    CALLS.clear()


def run(chosen, output, inpainters, **options):
    options = {"metrics": ("l1", "fd_efflite0", "ids_efflite0")} | options
    return evaluate_inpainters(inpainters, chosen, output, progress=False, **options)


def test_set_metrics_stand_in_the_report_with_their_number_and_reference(
    chosen, tmp_path
):
    run(chosen, tmp_path, {"grey": fill(128), "white": fill(255)})
    report = json.loads((tmp_path / "report.json").read_text())
    row = report["sets"]["grey"]["all"]["fd_efflite0"]
    assert row["n"] == COUNT
    assert row["lo"] < row["value"] < row["hi"]
    assert len(row["replicates"]) == set_scores.PARTS
    assert report["sets"]["ground_truth"]["all"]["fd_efflite0"]["value"] < 1e-6
    assert report["sets"]["white"]["all"]["fd_efflite0"]["value"] > row["value"]
    assert "null" in report["sets"]["grey"]["all"]["u_ids_efflite0"]
    assert report["features"]["efflite0"]["resize"] == "to 2x2"
    assert report["metric_versions"]["fd_efflite0"] == 1
    assert report["data"]["n"] == COUNT
    pair = next(p for p in report["pairs"] if p["metric"] == "fd_efflite0")
    assert pair["hi"] < 0  # grey is nearer
    assert pair["p_holm"] < 0.01
    text = (tmp_path / "table.md").read_text()
    assert f"## Whole sets (n={COUNT})" in text
    assert "do not compare" in text


def test_an_earlier_method_keeps_its_set_values_without_being_computed(
    chosen, tmp_path
):
    run(chosen, tmp_path / "a", {"grey": fill(128)})
    CALLS.clear()
    run(chosen, tmp_path / "a", {"grey": fill(128), "white": fill(255)})
    assert sum(CALLS) == 2 * COUNT  # the originals and the new method
    run(chosen, tmp_path / "b", {"grey": fill(128), "white": fill(255)})
    for name in ("table.md", "table.csv", "per_image.csv", "samples.png"):
        first, second = (tmp_path / d / name for d in ("a", "b"))
        assert first.read_bytes() == second.read_bytes(), name
    first, second = (
        json.loads((tmp_path / d / "report.json").read_text()) for d in ("a", "b")
    )
    for report in (first, second):
        del report["created"], report["seconds_per_image"]
    assert first == second


def test_other_feature_weights_are_not_continued(chosen, tmp_path, monkeypatch):
    run(chosen, tmp_path, {"grey": fill(128)})
    monkeypatch.setattr(
        "inpainting_jax.evaluation.evaluate.pooled_network",
        lambda *a: dataclasses.replace(small_network(*a), file_sha256="1" * 64),
    )
    with pytest.raises(ValueError, match="other feature weights"):
        run(chosen, tmp_path, {"grey": fill(128)})


def test_too_few_images_for_a_set_metric_are_refused_before_any_work(tmp_path):
    named = [(str(i), np.full((SIDE, SIDE, 3), i, np.uint8)) for i in range(20)]
    few = build_set(named, "center")
    with pytest.raises(ValueError, match=r"fd_efflite0 needs at least 200.*are 20"):
        run(few, tmp_path, {"grey": fill(128)})
    assert not (tmp_path / "report.json").exists()
    many = build_set(named * 10, "center")
    with pytest.raises(ValueError, match="--inception=FILE"):
        run(many, tmp_path, {"grey": fill(128)}, metrics=("fid_torch",))


def test_standard_metrics_fit_the_images_and_their_number():
    each, sets = set_scores.choose((256, 256), 1000, ("standard",))
    assert {"psnr", "ssim", "ms_ssim", "l1", "lpips_alex"} <= set(each)
    assert sets == set_scores.STANDARD_SETS
    each, sets = set_scores.choose((24, 24), 100, ("standard", "seam"))
    assert "lpips_alex" not in each
    assert each[-1] == "seam"
    assert sets == ()
    assert set_scores.choose((64, 64), 300, ("fd_efflite0",))[0]  # defaults beside it
    with pytest.raises(ValueError, match=r"unknown metric 'fid'.*fid_torch"):
        set_scores.choose((64, 64), 300, ("fid",))


def test_jackknife_intervals_hold_the_value_of_fresh_samples():
    """Distance of two normal sets of n = 200: 95 % intervals over 60 draws.

    The mean over many draws is what each estimates; 7 misses or fewer of 60 are what
    chance gives at 95 % (the 99 % point of the binomial).
    """
    metric = SET_METRICS["fd_efflite0"]
    rows = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        real = rng.normal(size=(200, 6))
        fake = real + 0.5 * rng.normal(size=real.shape) + 0.3
        rows.append(set_scores._score(metric, real, fake, 0)["fd_efflite0"])
    mean = np.mean([row["value"] for row in rows])
    missed = sum(not row["lo"] <= mean <= row["hi"] for row in rows)
    assert missed <= 7


def test_images_are_kept_for_a_study_where_asked(chosen, tmp_path):
    named = [(f"a/{i}.jpg", np.full((SIDE, SIDE, 3), i, np.uint8)) for i in range(5)]
    few = build_set(named, "center")
    run(few, tmp_path, {"grey": fill(128)}, metrics=("l1",), keep_images=True)
    for folder in ("grey", "ground_truth", "masks", "mean_fill"):
        files = sorted(p.name for p in (tmp_path / "images" / folder).iterdir())
        assert files == [f"{i:05d}_{i}.png" for i in range(5)]
    run(few, tmp_path, {"grey": fill(128)}, metrics=("l1",), keep_images=True)


def test_cases_are_chosen_by_value():
    values = np.array([0.3, np.nan, 0.1, 0.9, 0.5, 0.7])
    kinds = cases.choose(values, higher_is_better=False)
    assert kinds == {"worst": [3, 5], "median": [4, 0], "best": [2]}
    kinds = cases.choose(values[2:4], higher_is_better=True)
    assert kinds == {"worst": [0, 1], "median": [], "best": []}
    table = {"tv_hole": values, "l1_hole": values, "psnr_image": values}
    assert cases.leading_column(table) == "l1_hole"
    assert cases.leading_column({"tv_hole": values}) is None


def test_images_pass_through_a_batch_at_a_time_and_are_read_anew(monkeypatch, tmp_path):
    class Reader(Sequence):
        def __init__(self):
            self.live, self.most, self.reads = 0, 0, 0

        def __len__(self):
            return 50

        def __getitem__(self, index):
            image = np.full((SIDE, SIDE, 3), index, np.uint8)
            self.live, self.reads = self.live + 1, self.reads + 1
            self.most = max(self.most, self.live)
            weakref.finalize(image, self.gone)
            return str(index), image

        def gone(self):
            self.live -= 1

    reader = Reader()
    lazy = build_set(reader, "center")
    assert reader.reads == 50
    monkeypatch.setattr(
        "inpainting_jax.evaluation.scores.BATCH_PIXELS", 8 * SIDE * SIDE
    )
    run(lazy, tmp_path, {"grey": fill(128)}, metrics=("l1",))
    assert reader.reads > 150
    assert reader.most <= 9  # a batch, and the one being read
