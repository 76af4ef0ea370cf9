"""A folder becomes a data set; bad files are reported; nothing is half done."""

import csv
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from inpainting_jax import label_maps
from inpainting_jax.data import inspection, open_source, prepare

RNG = np.random.default_rng(0)


def noise(height=40, width=48, channels=3):
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8).squeeze()


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


@pytest.fixture
def images(tmp_path):
    """Eight plain images in sub-folders."""
    for i in range(8):
        suffix = "jpg" if i % 2 else "png"
        save(tmp_path / "images" / f"class_{i % 2}" / f"{i}.{suffix}", noise())
    return tmp_path / "images"


@pytest.fixture
def mixed(images):
    """The same, with one file of each kind that the report names."""
    (images / "cut.png").write_bytes((images / "class_0" / "0.png").read_bytes()[:500])
    (images / "text.jpg").write_text("not an image")
    (images / "twin.png").write_bytes((images / "class_0" / "2.png").read_bytes())
    save(images / "tiny.png", noise(40, 9))
    save(images / "grey.png", noise(channels=1))
    save(images / "alpha.png", noise(channels=4))
    save(images / "deep.png", noise(channels=1).astype(np.uint16) * 257)
    Image.fromarray(noise()).convert("CMYK").save(images / "print.jpg")
    Image.fromarray(noise()).convert("P").save(images / "palette.png")
    return images


def report(output):
    with (output / "report.csv").open() as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_every_bad_and_odd_file_is_reported(mixed, tmp_path):
    prepared = prepare.prepare_dataset(mixed, tmp_path / "out")
    rows = report(tmp_path / "out")
    status = {name: (r["status"], r["problems"]) for name, r in rows.items()}
    assert status == {
        "cut.png": ("left out", "unreadable"),
        "text.jpg": ("left out", "unreadable"),
        "twin.png": ("left out", "duplicate"),
        "tiny.png": ("left out", "tiny"),
        "grey.png": ("kept", "grey"),
        "alpha.png": ("kept", "alpha"),
        "deep.png": ("kept", "grey 16-bit"),
        "print.jpg": ("kept", "CMYK"),
        "palette.png": ("kept", "palette"),
    }
    assert "class_0/2.png" in rows["twin.png"]["detail"]
    text = (tmp_path / "out" / "report.txt").read_text()
    assert "17 image files" in text and "2 unreadable, 1 tiny, 1 duplicate" in text
    assert f"tfds_dir:{tmp_path / 'out'}" in str(prepared)
    assert sum(prepared.splits.values()) == 13
    with Image.open(tmp_path / "out" / "samples.png") as sheet:
        assert sheet.size == (8 * 96, 2 * 96)


def test_the_records_are_what_the_folder_source_reads(mixed, tmp_path):
    prepared = prepare.prepare_dataset(mixed, tmp_path / "out", val_fraction=0.3)
    folder = open_source(f"folder:{mixed}")
    for split, count in prepared.splits.items():
        source = open_source(f"tfds_dir:{tmp_path / 'out'}", split)
        assert len(source) == count
        for i in range(count):
            sample = source[i]
            expected = folder[folder.names.index(sample["name"])]
            np.testing.assert_array_equal(sample["image"], expected["image"])


def test_plain_files_keep_their_bytes(images, tmp_path):
    prepare.prepare_dataset(images, tmp_path / "out", val_fraction=0)
    records = tfds.builder_from_directory(tmp_path / "out").as_data_source(
        "train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    for record in records:
        name = record["name"].decode()
        assert record["image"] == (images / name).read_bytes()


def test_label_maps_go_with_their_images(images, tmp_path):
    maps = {}
    for path in images.rglob("*.*"):
        name = path.relative_to(images)
        maps[str(name)] = RNG.integers(0, 12, (40, 48), dtype=np.uint8)
        save(tmp_path / "labels" / name.with_suffix(".png"), maps[str(name)])
    prepare.prepare_dataset(
        images,
        tmp_path / "out",
        labels=tmp_path / "labels",
        val_fraction=0,
        num_shards=2,
    )
    source = open_source(f"tfds_dir:{tmp_path / 'out'}", "train")
    for i in range(len(source)):
        sample = source[i]
        np.testing.assert_array_equal(sample["label_map"], maps[sample["name"]])
    assert len(list((tmp_path / "out").glob("*train*-of-00002"))) == 2


def test_palette_label_maps_count_by_index(tmp_path):
    classes = RNG.integers(0, 4, (8, 8), dtype=np.uint8)
    image = Image.fromarray(classes)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.save(tmp_path / "map.png")
    np.testing.assert_array_equal(
        label_maps.read_label_map(tmp_path / "map.png"), classes
    )
    save(tmp_path / "colours.png", noise())
    with pytest.raises(ValueError, match=r"colours\.png holds RGB colours"):
        label_maps.read_label_map(tmp_path / "colours.png")


def test_label_maps_that_lack_or_do_not_fit_are_named(images, tmp_path):
    for path in list(images.rglob("*.*"))[1:]:
        name = path.relative_to(images).with_suffix(".png")
        save(tmp_path / "labels" / name, np.zeros((40, 48), np.uint8))
    save(tmp_path / "labels" / "class_1" / "3.png", np.zeros((40, 40), np.uint8))
    with pytest.raises(ValueError, match=r"2 images .*has none.*40x48, its map 40x40"):
        prepare.prepare_dataset(images, tmp_path / "out", labels=tmp_path / "labels")
    assert not (tmp_path / "out").exists()


def test_an_existing_output_is_kept_unless_told_otherwise(images, tmp_path):
    prepare.prepare_dataset(images, tmp_path / "out")
    with pytest.raises(ValueError, match="--overwrite"):
        prepare.prepare_dataset(images, tmp_path / "out")
    (images / "class_0" / "0.png").unlink()
    prepared = prepare.prepare_dataset(images, tmp_path / "out", overwrite=True)
    assert sum(prepared.splits.values()) == 7


def test_a_folder_that_is_no_data_set_is_never_overwritten(images, tmp_path):
    save(tmp_path / "mine" / "keep.png", noise())
    with pytest.raises(ValueError, match=r"mine exists and is no data set"):
        prepare.prepare_dataset(images, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "keep.png").exists()


def test_a_failed_run_leaves_nothing_behind(images, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(inspection, "write_sheet", full)
    with pytest.raises(OSError, match="No space"):
        prepare.prepare_dataset(images, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


def test_folders_without_usable_images_are_named(images, tmp_path):
    with pytest.raises(ValueError, match=r"no folder .*nowhere"):
        prepare.prepare_dataset(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ValueError, match=r"no image of .*images.*tiny"):
        prepare.prepare_dataset(images, tmp_path / "out", min_size=64)


def test_wrong_options_are_refused(images, tmp_path):
    for wrong, words in [
        ({"val_fraction": 1.0}, r"val_fraction must lie in \[0, 1\)"),
        ({"name": "My Data"}, "'My Data' must be lower case"),
        ({"num_shards": 0}, "num_shards"),
        ({"num_shards": 9}, "num_shards=9 is more than the images of a split"),
        ({"min_size": 0}, "min_size"),
    ]:
        with pytest.raises(ValueError, match=words):
            prepare.prepare_dataset(images, tmp_path / "out", **wrong)


def test_a_beam_pipeline_writes_the_same_records(images, tmp_path):
    pytest.importorskip("apache_beam")
    labels = tmp_path / "labels"
    for path in sorted(images.rglob("*.*")):
        save(labels / path.relative_to(images).with_suffix(".png"), noise(channels=1))
    options = {"labels": labels, "val_fraction": 0.5, "num_shards": 2}
    prepare.prepare_dataset(images, tmp_path / "one", **options)
    prepare.prepare_dataset(
        images, tmp_path / "many", beam=["--runner=DirectRunner"], **options
    )
    for split in ("train", "validation"):
        records = []
        for output in ("one", "many"):
            builder = tfds.builder_from_directory(tmp_path / output)
            source = builder.as_data_source(split)
            found = {r["name"]: (r["image"], r["label_map"]) for r in source}
            assert len(found) == len(source) > 0
            records.append(found)
        assert records[0].keys() == records[1].keys()
        for name, arrays in records[0].items():
            for array, other in zip(arrays, records[1][name], strict=True):
                np.testing.assert_array_equal(array, other)


def test_beam_that_is_not_installed_is_named(images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[beam\]'"):
        prepare.prepare_dataset(images, tmp_path / "out", beam=[])
    assert not (tmp_path / "out").exists()
