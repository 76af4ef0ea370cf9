"""Data SPECs open lazy, picklable, disjoint sources; wrong ones say what to do."""

import pickle

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.data import decode, open_source
from inpainting_jax.data.sources import PHOTOS, list_images, split_by_name


@pytest.fixture
def folder(tmp_path):
    """24 small images in two levels of folders, and files to be passed over."""
    rng = np.random.default_rng(0)
    for i in range(24):
        path = (
            tmp_path / f"class_{i % 3}" / f"image_{i:02d}.{'PNG' if i % 2 else 'jpg'}"
        )
        path.parent.mkdir(exist_ok=True)
        image = rng.integers(0, 256, (10 + i, 20, 3), dtype=np.uint8)
        Image.fromarray(image).save(path)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / ".hidden" / "thumbnail.png")
    return tmp_path


def names(source):
    return [source[i]["name"] for i in range(len(source))]


def test_a_folder_is_read_whole_in_the_order_of_names(folder):
    source = open_source(f"folder:{folder}")
    assert len(source) == 24
    assert names(source) == sorted(names(source))
    assert source[0]["name"] == "class_0/image_00.jpg"
    assert source[0]["image"].shape == (10, 20, 3)
    assert source[0]["image"].dtype == np.uint8


def test_the_shares_of_a_folder_are_disjoint_and_complete(folder):
    spec = f"folder:{folder}"
    train = open_source(spec, "train", val_fraction=0.25)
    validation = open_source(spec, "validation", val_fraction=0.25)
    assert 1 <= len(validation) < len(train)
    assert not set(names(train)) & set(names(validation))
    assert sorted(names(train) + names(validation)) == list(list_images(folder))
    assert names(open_source(f"{spec}:train", val_fraction=0.25)) == names(train)


def test_adding_files_moves_no_file_to_the_other_share():
    few = [f"{i}.jpg" for i in range(400)]
    many = few + [f"new_{i}.jpg" for i in range(400)]
    before, after = split_by_name(few, 0.1), split_by_name(many, 0.1)
    assert set(before["train"]) <= set(after["train"])
    assert set(before["validation"]) <= set(after["validation"])
    assert 20 < len(before["validation"]) < 60


@pytest.mark.parametrize("count", [2, 3, 10])
def test_each_share_of_a_few_files_has_one(count):
    shares = split_by_name([f"{i}.png" for i in range(count)], 0.01)
    assert len(shares["validation"]) >= 1 and len(shares["train"]) >= 1
    shares = split_by_name([f"{i}.png" for i in range(count)], 0.99)
    assert len(shares["validation"]) >= 1 and len(shares["train"]) >= 1


def test_a_single_image_is_for_training(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    assert len(open_source(f"folder:{tmp_path}", "train")) == 1
    with pytest.raises(ValueError, match=r"held out.*folder:.*:all"):
        open_source(f"folder:{tmp_path}", "validation")


def test_a_folder_that_is_missing_or_empty_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no folder .*nowhere"):
        open_source(f"folder:{tmp_path}/nowhere")
    with pytest.raises(ValueError, match=f"no image in the folder .*{tmp_path.name}"):
        open_source(f"folder:{tmp_path}")


def test_a_corrupt_file_is_named_when_it_is_read(folder):
    (folder / "class_1" / "image_01.PNG").write_bytes(b"\x89PNG cut short")
    source = open_source(f"folder:{folder}")
    index = source.names.index("class_1/image_01.PNG")
    with pytest.raises(decode.BadImageError, match=r"image_01\.PNG.*launch\.prepare"):
        source[index]


def test_photos_are_crops_of_disjoint_photographs():
    train, validation = open_source("photos", "train"), open_source("photos")
    assert not set(PHOTOS["train"]) & set(PHOTOS["validation"])
    stems = {s: {f.partition(".")[0] for f in PHOTOS[s]} for s in PHOTOS}
    for source, split in ((train, "train"), (validation, "validation")):
        found = names(source)
        assert len(set(found)) == len(found) >= 20
        assert {name.rsplit("_", 2)[0] for name in found} == stems[split]
        assert all(
            source[i]["image"].shape == (256, 256, 3) for i in range(len(source))
        )
    assert len(open_source("photos:all")) == len(train) + len(validation)


def test_procedural_pictures_follow_from_their_number():
    train, validation = open_source("procedural", "train"), open_source("procedural")
    first = train[3]
    np.testing.assert_array_equal(first["image"], train[3]["image"])
    assert first["image"].shape == (128, 128, 3) and first["image"].dtype == np.uint8
    assert first["image"].std() > 5
    assert not np.array_equal(first["image"], train[4]["image"])
    assert not np.array_equal(train[0]["image"], validation[0]["image"])
    with pytest.raises(IndexError):
        validation[len(validation)]


def test_procedural_pictures_know_their_textures():
    """Five kinds; a step from one to another is a step of the picture more often."""
    kinds, steps, others = set(), [], []
    for index in range(12):
        sample = open_source("procedural", "train")[index]
        labels = sample["label_map"]
        assert labels.shape == (128, 128) and labels.dtype == np.uint8
        kinds |= set(np.unique(labels))
        change = np.abs(np.diff(sample["image"].astype(int), axis=1)).mean(axis=-1)
        edge = np.diff(labels.astype(int), axis=1) != 0
        steps.append(change[edge].mean() if edge.any() else np.nan)
        others.append(change[~edge].mean())
    assert kinds == set(range(5))
    assert np.nanmean(steps) > 2 * np.mean(others)


@pytest.mark.parametrize("spec", ["photos", "procedural", "folder"])
def test_sources_travel_to_other_processes(spec, folder):
    source = open_source(f"folder:{folder}" if spec == "folder" else spec)
    copy = pickle.loads(pickle.dumps(source))
    assert len(copy) == len(source)
    np.testing.assert_array_equal(copy[1]["image"], source[1]["image"])


def test_unknown_kinds_and_splits_list_the_known():
    with pytest.raises(ValueError, match=r"unknown data source 'imagenet'.*tfds_dir"):
        open_source("imagenet")
    with pytest.raises(ValueError, match=r"unknown split 'test'.*validation"):
        open_source("photos:test")
    with pytest.raises(ValueError, match=r"folder:WHAT"):
        open_source("folder:")


def test_validation_images_are_not_guessed_for_a_named_split(folder):
    with pytest.raises(ValueError, match=r"config\.evaluation\.source"):
        open_source(f"folder:{folder}:all", "validation")
    assert len(open_source(f"folder:{folder}:all", "train")) == 24


def test_a_colon_in_a_path_stays_in_the_path(folder):
    place = folder / "day:one"
    place.mkdir()
    Image.new("RGB", (8, 8)).save(place / "a.png")
    assert names(open_source(f"folder:{place}")) == ["a.png"]
