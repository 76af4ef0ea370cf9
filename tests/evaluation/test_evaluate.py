"""A small evaluation from end to end, and everything it refuses."""

import csv
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from inpainting_jax.evaluation import build_set, comparison, evaluate_inpainters
from inpainting_jax.evaluation.scores import (
    choose_metrics,
    evaluate_method,
    score,
    to_bytes,
)

COUNT, SIDE = 24, 32
PIXEL = ("psnr", "l1", "l2", "tv")  # compile in no time


class Counting:
    """Telea's method, or its mirror image, that counts how often it is called."""

    def __init__(self, weights=0):
        self.calls = 0
        self.method = type("Method", (), {"name": "telea"})
        self.variables = {"network": {"w": np.full(3, weights, np.float32)}}
        self.card = {}

    def __call__(self, image, mask, *, seed, strategy, blend):
        assert not image[np.broadcast_to(mask, image.shape) > 0].any(), "truth leaked"
        self.calls += len(image)
        return np.stack(
            [
                cv2.inpaint(i, m, 3, cv2.INPAINT_TELEA)
                for i, m in zip(image, mask, strict=True)
            ]
        )


def pictures(count=COUNT, side=SIDE):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 5, 5, 3), np.uint8)
    return [
        (f"picture{i}", cv2.resize(s, (side, side), interpolation=cv2.INTER_CUBIC))
        for i, s in enumerate(small)
    ]


@pytest.fixture(scope="module")
def chosen():
    return build_set(pictures(), "boxes", seed=3, data="pictures")


def run(chosen, output, inpainters=None, **options):
    options = {"metrics": PIXEL, "progress": False} | options
    return evaluate_inpainters(
        inpainters or {"telea": Counting()}, chosen, output, **options
    )


def rows_of(output):
    return list(csv.DictReader((output / "per_image.csv").open()))


def test_the_report_says_what_was_measured_on_what(chosen, tmp_path):
    run(chosen, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["data"]["n"] == COUNT
    assert report["data"]["images_sha256"] == chosen.images_sha256
    assert report["masks"]["sha256"] == chosen.masks_sha256
    assert report["masks"]["seed"] == 3
    assert len(report["methods"]["telea"]["weights_sha256"]) == 64
    row = report["metrics"]["telea"]["all"]["psnr_hole"]
    assert row["n"] == COUNT
    assert row["lo"] < row["mean"] < row["hi"]
    squares = [10 ** (-float(r["psnr_hole"]) / 10) for r in rows_of(tmp_path)[:COUNT]]
    assert row["of_mean_l2"] == pytest.approx(-10 * np.log10(np.mean(squares)), 1e-5)
    truth = report["metrics"]["ground_truth"]["all"]["psnr_image"]
    assert truth["n_capped"] == COUNT
    assert report["metrics"]["ground_truth"]["all"]["l1_image"]["mean"] == 0
    sheet = np.asarray(Image.open(tmp_path / "samples.png"))
    assert sheet.shape[1] > 4 * 128
    text = (tmp_path / "table.md").read_text()
    assert "| telea |" in text
    assert "psnr_hole dB ↑ by hole ratio" in text


def test_every_table_follows_from_the_values_per_image(chosen, tmp_path):
    run(chosen, tmp_path)
    rows = [row for row in rows_of(tmp_path) if row["method"] == "telea"]
    report = json.loads((tmp_path / "report.json").read_text())["metrics"]["telea"]
    assert "0.1-0.2" in report
    for group in (g for g in report if g != "all"):
        bucket, _, side = group.partition("/")
        side = side or (bucket if bucket in ("border", "inner") else "")
        inside = [
            row
            for row in rows
            if (bucket in ("border", "inner") or row["bucket"] == bucket)
            and (not side or (row["border"] == "True") == (side == "border"))
        ]
        mean = np.mean([float(row["l1_hole"]) for row in inside])
        assert report[group]["l1_hole"]["n"] == len(inside)
        assert report[group]["l1_hole"]["mean"] == pytest.approx(mean, rel=1e-5)


def test_two_runs_write_the_same_bytes_but_for_the_time(chosen, tmp_path):
    for name in ("a", "b"):
        run(chosen, tmp_path / name)
    for name in ("table.md", "table.csv", "per_image.csv", "samples.png"):
        first, second = (tmp_path / d / name for d in ("a", "b"))
        assert first.read_bytes() == second.read_bytes(), name
    first, second = (
        json.loads((tmp_path / d / "report.json").read_text()) for d in ("a", "b")
    )
    for report in (first, second):
        del report["created"], report["seconds_per_image"]
    assert first == second


def test_a_method_added_later_is_the_only_one_computed(chosen, tmp_path):
    first, second = Counting(), Counting(weights=1)
    run(chosen, tmp_path, {"first": first})
    before = rows_of(tmp_path)
    run(chosen, tmp_path, {"first": first, "second": second})
    assert first.calls == second.calls == COUNT
    after = rows_of(tmp_path)
    assert [r for r in after if r["method"] == "first"] == [
        r for r in before if r["method"] == "first"
    ]
    third = run(chosen, tmp_path, {"third": Counting()})
    assert list(third.results)[:3] == ["third", "first", "second"]
    changed = Counting(weights=2)
    run(chosen, tmp_path, {"first": changed})
    assert changed.calls == COUNT
    run(chosen, tmp_path, {"first": changed}, seed=1)
    assert changed.calls == 2 * COUNT


def test_numbers_on_other_images_cannot_stand_beside(chosen, tmp_path):
    run(chosen, tmp_path)
    other = build_set(pictures(), "boxes", seed=4)
    with pytest.raises(ValueError, match=r"other masks.*--output, or --overwrite"):
        run(other, tmp_path)
    with pytest.raises(ValueError, match="other metrics"):
        run(chosen, tmp_path, metrics=("l1",))
    run(other, tmp_path, overwrite=True)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be continued"):
        run(other, tmp_path)


def test_a_method_that_changes_known_pixels_is_found_out(chosen, tmp_path):
    with pytest.raises(RuntimeError, match="known values in images 0 to"):
        run(chosen, tmp_path, {"inverted": lambda image, mask, **_: 255 - image})


def test_a_method_never_sees_the_truth_in_the_hole(chosen, tmp_path):
    report = run(chosen, tmp_path, {"cheat": lambda image, mask, **_: image})
    values = report.results["cheat"].values
    assert values["l1_hole"].mean() > 0.1


def test_empty_holes_are_left_out_and_counted(tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in range(4):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:4, :4] = 255 * (index > 0)
        Image.fromarray(mask).save(folder / f"picture{index}.png")
    small = build_set(pictures(4), f"paired:{folder}")
    report = run(small, tmp_path / "report").summary()["telea"]["all"]
    assert report["l1_hole"]["n_empty"] == 1
    assert report["l1_hole"]["n"] == 3
    assert report["l1_image"]["n"] == 4
    assert report["psnr_image"]["n_capped"] == 1


def test_means_in_training_are_those_of_the_report(chosen, tmp_path):
    def predict(image, mask, guide):
        assert guide is None
        levels = to_bytes(image)
        levels[np.broadcast_to(mask, image.shape) > 0] = 0
        filled = Counting()(
            levels, mask.astype(np.uint8), seed=0, strategy="", blend=""
        )
        return filled.astype(np.float32) / 127.5 - 1

    everything = range(COUNT)
    truth, holes = chosen.images(everything), chosen.holes(everything)
    means = evaluate_method(predict, truth, holes, metrics=PIXEL, size=7)
    report = run(chosen, tmp_path).summary()["telea"]["all"]
    assert set(means) == set(report)
    for name, mean in means.items():
        assert mean == pytest.approx(report[name]["mean"], rel=1e-5), name


def test_each_image_comes_with_its_own_guide(chosen):
    truth = chosen.images(range(COUNT)).astype(np.float32) / 127.5 - 1

    def predict(image, mask, guide):
        return np.where(mask > 0, guide, image)

    images, holes = chosen.images(range(COUNT)), chosen.holes(range(COUNT))
    means = evaluate_method(
        predict, images, holes, guides=truth, metrics=("l1",), size=3
    )
    assert means["l1_hole"] < 1e-6


def test_the_default_metrics_fit_the_size():
    assert "ms_ssim" in choose_metrics(256, 256)
    assert "ms_ssim4" in choose_metrics(128, 128)
    assert "ms_ssim3" in choose_metrics(64, 64)
    assert not any(name.startswith("ms_ssim") for name in choose_metrics(32, 32))
    with pytest.raises(ValueError, match=r"ssim needs sides of at least 11.*psnr,l1"):
        choose_metrics(8, 8)
    with pytest.raises(ValueError, match="unknown metric 'fid'"):
        choose_metrics(64, 64, ("fid",))


def test_eight_bits_round_half_up_and_clip():
    values = np.array([-2, -1, 0, 1, 3, 2 * (100.5 / 255) - 1], np.float32)
    np.testing.assert_array_equal(to_bytes(values), [0, 0, 128, 255, 255, 101])


def test_scores_do_not_depend_on_the_batch(chosen, monkeypatch):
    images, holes = chosen.images(range(5)), chosen.holes(range(5))
    other = images[::-1]
    whole = score(other, images, holes, ("l1",))
    monkeypatch.setattr(
        "inpainting_jax.evaluation.scores.BATCH_PIXELS", 2 * SIDE * SIDE
    )
    parts = score(other, images, holes, ("l1",))
    np.testing.assert_allclose(parts["l1_hole"], whole["l1_hole"], rtol=1e-6)


@pytest.mark.parametrize(
    ("images", "spec", "message"),
    [
        ([], "boxes", "no images to evaluate"),
        (pictures(1) + pictures(1, 40), "boxes", "one size"),
        (pictures(2), "center(size=1)", "leave nothing known"),
    ],
)
def test_a_set_that_makes_no_sense_is_refused(images, spec, message):
    with pytest.raises(ValueError, match=message):
        build_set(images, spec)


def test_rows_may_be_labelled_but_not_twice():
    rows = comparison.parse_methods(["telea", "old=telea"])
    assert rows == {"telea": "telea", "old": "telea"}
    with pytest.raises(ValueError, match="exists already"):
        comparison.parse_methods(["telea", "telea"])
    with pytest.raises(ValueError, match=r"Known: .*telea"):
        comparison.parse_methods(["teleaa"])
    with pytest.raises(ValueError, match="no methods named"):
        comparison.parse_methods([""])
    with pytest.raises(ValueError, match="must read LABEL=WEIGHTS"):
        comparison.compare(["telea"], "photos", "boxes", "", weights=["x.safetensors"])


def test_the_command_measures_and_exits_as_promised(tmp_path):
    command = [sys.executable, "-m", "launch.evaluate", "--data=procedural"]
    command += ["--masks=boxes", "--image_size=32", "--count=3", "--metrics=l1"]
    command += [f"--output={tmp_path}", "--compilation_cache=off", "--noprogress"]
    done = subprocess.run([*command, "--methods=telea"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("table.md")
    assert (tmp_path / "samples.png").is_file()
    wrong = subprocess.run([*command, "--methods=tele"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "Did you mean 'telea'" in wrong.stderr
