"""A folder of images: reported, resumable, robust against single files."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.evaluation import folder_report, folders
from inpainting_jax.methods import METHODS, Method

RNG = np.random.default_rng(0)
HOLE = np.zeros((24, 32), bool)
HOLE[8:16, 10:20] = True


@pytest.fixture
def folder(tmp_path):
    """`images` with a PNG, a JPEG and a 16-bit TIFF; one `mask.png`."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.jpg"):
        picture = Image.fromarray(RNG.integers(0, 256, (24, 32, 3), np.uint8))
        picture.save(tmp_path / "images" / name)
    deep = RNG.integers(0, 65536, (24, 32)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "images" / "c.tif")
    Image.fromarray(HOLE).save(tmp_path / "mask.png")
    return tmp_path


def run(folder, method="telea", **options):
    """Rows and the lines told."""
    lines = []
    paths = {"images": "images", "masks": "mask.png", "outputs": "out"}
    paths = {flag: folder / name for flag, name in paths.items()}
    rows = folders.inpaint_files(method, **(paths | options), tell=lines.append)
    return {row.file: row for row in rows}, lines


def pixels(path):
    """The array of an image file."""
    return np.asarray(Image.open(path))


def test_a_folder_is_completed_and_reported(folder):
    rows, lines = run(folder)
    for name, written in {"a.png": "a.png", "b.jpg": "b.png", "c.tif": "c.tif"}.items():
        source, result = (
            pixels(folder / "images" / name),
            pixels(folder / "out" / written),
        )
        assert result.dtype == source.dtype and result.shape == source.shape
        np.testing.assert_array_equal(result[~HOLE], source[~HOLE])
        assert (result[HOLE] != source[HOLE]).mean() > 0.9
        row = rows[name]
        assert (row.status, row.height, row.width) == ("done", 24, 32)
        assert float(row.hole_ratio) == pytest.approx(HOLE.mean(), abs=1e-4)
        assert row.strategy == "full" and float(row.seconds) >= 0
    stored = folder_report.read_report(folder / "out" / "report.csv")
    assert [row.status for row in stored.values()] == ["done"] * 3
    assert sum("--format=jpeg" in line for line in lines) == 1
    assert lines[-1].startswith("3 done; see")
    assert {p.name for p in (folder / "out").iterdir()} == {
        "a.png",
        "b.png",
        "c.tif",
        "report.csv",
    }


def test_a_half_done_folder_is_taken_up(folder):
    run(folder)
    (folder / "out" / "b.png").unlink()
    before = (folder / "out" / "a.png").stat().st_mtime_ns
    rows, _ = run(folder)
    status = {name: row.status for name, row in rows.items()}
    assert status == {"a.png": "skipped", "b.jpg": "done", "c.tif": "skipped"}
    assert (folder / "out" / "a.png").stat().st_mtime_ns == before
    assert rows["a.png"].strategy == "full"  # kept from the first report
    rows, _ = run(folder, dilate=1)
    assert "made with telea; see --overwrite" in rows["a.png"].message
    rows, _ = run(folder, dilate=1, overwrite=True)
    assert {row.status for row in rows.values()} == {"done"}
    assert rows["a.png"].settings == "telea dilate=1"


def test_one_bad_file_does_not_stop_the_others(folder):
    image = folder / "images" / "bad.png"
    image.write_bytes((folder / "images" / "a.png").read_bytes()[:200])
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "images" / "small.png")
    rows, lines = run(folder)
    assert rows["bad.png"].status == rows["small.png"].status == "failed"
    assert "bad.png cannot be read" in rows["bad.png"].message
    assert "9x9" in rows["small.png"].message and "24x32" in rows["small.png"].message
    assert "--resize_mask" in rows["small.png"].message
    assert [rows[n].status for n in ("a.png", "b.jpg", "c.tif")] == ["done"] * 3
    assert lines[-1].startswith("3 done, 2 failed") or "2 failed" in lines[-1]
    assert not (folder / "out" / "bad.png").exists()
    rows, _ = run(folder, resize_mask=True)
    assert rows["small.png"].status == "done"


def test_whatever_a_method_raises_ends_in_its_row(folder, monkeypatch):
    def explode(*arguments):
        raise MemoryError("RESOURCE_EXHAUSTED: 5 GiB")

    monkeypatch.setitem(METHODS._table, "explode", f"{__name__}:no_module")
    monkeypatch.setattr(
        folders,
        "load",
        lambda *_, **__: folders.Inpainter(Method("x", explode, traceable=False), {}),
    )
    rows, _ = run(folder)
    assert {row.status for row in rows.values()} == {"failed"}
    assert "out of memory; try --strategy=crop" in rows["a.png"].message


def test_a_killed_run_leaves_whole_files_and_a_report(folder, monkeypatch):
    real = folders.image_files.write_image

    def stop_at_second(path, image, *, format):
        if path.name != "a.png":
            raise KeyboardInterrupt
        real(path, image, format=format)

    monkeypatch.setattr(folders.image_files, "write_image", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    assert {p.name for p in (folder / "out").iterdir()} == {"a.png", "report.csv"}
    monkeypatch.undo()
    rows, _ = run(folder)
    assert rows["a.png"].status == "skipped" and rows["c.tif"].status == "done"


def test_warnings_and_missing_masks_are_reported(folder):
    masks = folder / "masks"
    masks.mkdir()
    Image.fromarray(np.zeros((24, 32), bool)).save(masks / "a.png")
    Image.fromarray(np.ones((24, 32), bool)).save(masks / "c.png")
    rows, _ = run(folder, masks=masks)
    assert rows["a.png"].status == "done" and "is empty" in rows["a.png"].message
    assert rows["b.jpg"].status == "failed" and "name it b.png" in rows["b.jpg"].message
    assert rows["c.tif"].status == "failed"
    assert "100 %" in rows["c.tif"].message
    assert "--mask_convention=black_hole" in rows["c.tif"].message


def test_every_setting_changes_the_output_or_the_behaviour(folder):
    paths = {"images": folder / "images" / "a.png"}
    plain, _ = run(folder, outputs=folder / "plain.png", **paths)
    plain = pixels(folder / "plain.png")
    options = {
        "strategy": "resize",
        "blend": "feather",
        "dilate": 2,
        "mask_convention": "black_hole",
        "option": ["radius=9"],
    }
    for name, value in options.items():
        extra = {"size": 8} if name == "strategy" else {}
        output = folder / f"{name}.png"
        run(folder, outputs=output, **paths, **{name: value}, **extra)
        assert (pixels(output) != plain).any(), name
    run(folder, outputs=folder / "s.png", strategy="resize", size=12, **paths)
    assert (pixels(folder / "s.png") != pixels(folder / "strategy.png")).any()
    run(folder, outputs=folder / "f", format="webp", suffix="_x", **paths)
    assert Image.open(folder / "f" / "a_x.webp").format == "WEBP"


def test_seed_and_guides_reach_the_method(folder, monkeypatch):
    seen = []

    def record(variables, key, image, mask, guide=None):
        seen.append((key, None if guide is None else np.asarray(guide)))
        return {"completed": np.zeros_like(image)}

    method = Method("x", record, traceable=False, guide_channels=1)
    monkeypatch.setattr(folders, "load", lambda *_, **__: folders.Inpainter(method, {}))
    lines = np.zeros((24, 32), bool)
    lines[10] = True
    Image.fromarray(lines).save(folder / "lines.png")
    Image.fromarray(~lines).save(folder / "black.png")
    paths = {"images": folder / "images" / "a.png", "overwrite": True}
    run(folder, seed=3, guides=folder / "lines.png", **paths)
    run(folder, seed=4, guides=folder / "black.png", black_lines=True, **paths)
    run(folder, guides=folder / "black.png", **paths)
    np.testing.assert_array_equal(seen[0][1][0, ..., 0], lines & HOLE)
    np.testing.assert_array_equal(seen[1][1], seen[0][1])
    assert (seen[2][1] != seen[0][1]).any()
    assert seen[0][0] != seen[1][0]


def test_what_was_transparent_is_seen_once_filled(folder):
    picture = RNG.integers(0, 256, (24, 32, 4), np.uint8)
    picture[..., 3] = np.where(HOLE, 0, 255)
    (folder / "erased").mkdir()
    Image.fromarray(picture).save(folder / "erased" / "a.png")
    paths = {"images": folder / "erased", "masks": folder / "erased"}
    run(folder, mask_convention="alpha", **paths)
    result = pixels(folder / "out" / "a.png")
    assert (result[..., 3] == 255).all()
    np.testing.assert_array_equal(result[~HOLE], picture[~HOLE])


def test_wrong_use_is_told_before_work_begins(folder):
    with pytest.raises(ValueError, match="unknown method 'telia'"):
        run(folder, method="telia")
    with pytest.raises(ValueError, match="telea takes no guide"):
        run(folder, guides=folder / "mask.png")
    with pytest.raises(ValueError, match="NAME=VALUE"):
        run(folder, option=["radius"])
    with pytest.raises(ValueError, match="has no argument 'size_of_brush'"):
        run(folder, option=["size_of_brush=3"])
    with pytest.raises(FileNotFoundError, match=r"no weights ship|neither"):
        run(folder, method="deepfill_v2", weights="nothing")
    assert not (folder / "out").exists()


def test_reports_of_another_kind_are_replaced(folder):
    (folder / "out").mkdir()
    (folder / "out" / "report.csv").write_text("something,else\n1,2\n")
    rows, _ = run(folder)
    assert rows["a.png"].status == "done"
    assert len(folder_report.read_report(folder / "out" / "report.csv")) == 3


@pytest.fixture
def many(folder):
    """The folder with twelve images more."""
    source = folder / "images" / "a.png"
    for number in range(12):
        (folder / "images" / f"{number}.png").write_bytes(source.read_bytes())
    return folder


def check_shards(folder):
    """Every image is in one of two reports, none in both."""
    reports = [
        folder_report.read_report(folder / "out" / f"report-{i}-of-2.csv")
        for i in range(2)
    ]
    assert len(reports[0]) > 2 and len(reports[1]) > 2
    assert not set(reports[0]) & set(reports[1])
    assert len(reports[0] | reports[1]) == 15
    assert len(list((folder / "out").glob("*.[pt][ni][gf]"))) == 15


def test_shards_of_a_folder_do_no_file_twice(many):
    for shard in ("0/2", "1/2"):
        rows, _ = run(many, shard=shard, overwrite=True)
        assert {row.status for row in rows.values()} == {"done"}
    check_shards(many)
    # Another number of processes takes up what is there.
    rows, _ = run(many, shard="2/3")
    assert {row.status for row in rows.values()} == {"skipped"} and len(rows) < 15


@pytest.mark.slow
def test_two_processes_share_a_folder(many):
    command = [sys.executable, "-m", "launch.inpaint", "--method=telea"]
    command += [f"--images={many / 'images'}", f"--masks={many / 'mask.png'}"]
    command += [f"--outputs={many / 'out'}", "--overwrite"]
    root = pathlib.Path(__file__).parents[2]
    both = [subprocess.Popen([*command, f"--shard={i}/2"], cwd=root) for i in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    check_shards(many)


@pytest.mark.parametrize("shard", ["2/2", "1", "a/2", "0/0", "-1/2"])
def test_a_shard_that_does_not_exist_is_refused(folder, shard):
    with pytest.raises(ValueError, match=f"--shard={shard} is not of the form i/n"):
        run(folder, shard=shard)
