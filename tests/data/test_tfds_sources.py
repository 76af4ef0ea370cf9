"""TFDS data sets are read through their builders, without TensorFlow."""

import pickle
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from inpainting_jax.data import decode, open_source, prepare, train_batches
from inpainting_jax.data.tfds_sources import PRESETS, guess_preset


@pytest.fixture
def opened():
    """The splits asked of TFDS builders, in order; the data are mocked."""
    splits = []
    with tfds.testing.mock_data(num_examples=5):
        mocked = tfds.core.DatasetBuilder.as_data_source

        def spy(self, split, **options):
            splits.append(split)
            return mocked(self, split, **options)

        with mock.patch.object(tfds.core.DatasetBuilder, "as_data_source", spy):
            yield splits


SPECS = [*PRESETS, "celeb_a_hq/256"]


@pytest.mark.parametrize("name", SPECS)
def test_presets_read_images_of_disjoint_splits(name, opened):
    train = open_source(f"tfds:{name}", "train")
    open_source(f"tfds:{name}", "validation")
    open_source(f"tfds:{name}")
    preset = PRESETS[name.partition("/")[0]]
    assert opened == [preset.train, preset.validation, preset.validation]
    assert len(train) == 5
    sample = train[2]
    assert sample["image"].dtype == np.uint8 and sample["image"].shape[-1] == 3
    assert isinstance(sample["name"], str) and sample["name"]
    assert "tensorflow" not in sys.modules


def test_presets_without_a_validation_split_cut_one_from_training():
    assert PRESETS["celeb_a_hq"].train == "train[:28000]"
    assert PRESETS["celeb_a_hq"].validation == "train[28000:]"
    assert PRESETS["imagenet2012"].validation == "validation"


def test_a_split_in_the_spec_is_taken(opened):
    open_source("tfds:celeb_a:train[:10%]", "train")
    open_source("tfds:celeb_a:test")
    open_source("tfds:celeb_a_hq/256:train")
    # a whole preset split is named by its role
    assert opened == ["train[:10%]", "test", "train[:28000]"]


def test_mock_data_flow_through_the_pipeline(opened):
    stream = train_batches(
        open_source("tfds:celeb_a", "train"), image_size=16, batch_size=8, seed=0
    )
    assert next(stream)["image"].shape == (8, 16, 16, 3)
    stream.close()


def test_an_unprepared_data_set_says_how_to_prepare_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"file_format='array_record'.*download_and"):
        open_source("tfds:celeb_a", "train")


def test_a_data_set_in_another_format_says_how_to_convert_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    builder = tfds.builder("celeb_a")
    builder.data_path.mkdir(parents=True)
    builder.info.write_to_directory(builder.data_path)
    with pytest.raises(ValueError, match=r"tfrecord.*convert_format"):
        open_source("tfds:celeb_a", "train")


def test_an_unknown_data_set_is_one_line():
    with pytest.raises(ValueError, match="no data set 'celeba_hd'") as caught:
        open_source("tfds:celeba_hd")
    assert "\n" not in str(caught.value)


def test_unknown_data_sets_are_read_by_their_metadata():
    image, text = tfds.features.Image(), tfds.features.Text()
    preset = guess_preset({"photo": image, "filename": text}, {"train": 1, "test": 1})
    assert (preset.image, preset.name) == ("photo", "filename")
    assert (preset.train, preset.validation) == ("train", "test")
    preset = guess_preset({"image": image, "mask": image}, {"train": 1})
    assert (preset.image, preset.name) == ("image", "")
    assert (preset.train, preset.validation) == ("train[:95%]", "train[95%:]")
    with pytest.raises(ValueError, match=r"\['left', 'right'\].*folder:"):
        guess_preset({"left": image, "right": image}, {})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set of 12 flat images that `prepare` wrote."""
    root = tmp_path_factory.mktemp("prepared")
    (root / "images").mkdir()
    for i in range(12):
        image = Image.new("RGB", (40, 36), (i * 20, 0, 0))
        image.save(root / "images" / f"{i:02d}.png")
    prepare.prepare_dataset(
        root / "images", root / "data", val_fraction=0.3, min_size=8
    )
    return root / "data"


def test_prepared_data_are_read_by_split(prepared):
    sources = [open_source(f"tfds_dir:{prepared}", s) for s in ("train", "validation")]
    reds = {s[i]["name"]: s[i]["image"] for s in sources for i in range(len(s))}
    assert sorted(reds) == [f"{i:02d}.png" for i in range(12)]
    for name, image in reds.items():
        assert image.shape == (36, 40, 3)
        assert (image == (int(name[:2]) * 20, 0, 0)).all()
    half = open_source(f"tfds_dir:{prepared}:train[:50%]", "train")
    assert len(half) == round(len(sources[0]) / 2)
    copy = pickle.loads(pickle.dumps(half))
    assert copy[0]["name"] == half[0]["name"]


def test_a_wrong_split_or_folder_of_prepared_data_is_named(prepared, tmp_path):
    with pytest.raises(ValueError, match=r"split 'tests'.*known: train, validation"):
        open_source(f"tfds_dir:{prepared}:tests")
    with pytest.raises(ValueError, match=r"no dataset_info\.json.*launch\.prepare"):
        open_source(f"tfds_dir:{tmp_path}")


def test_a_damaged_record_is_named():
    class Records:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            if index == 1:
                raise RuntimeError("CRC mismatch")
            return {"image": b"broken", "name": b"rose.png"}

    from inpainting_jax.data.tfds_sources import Preset, TfdsSource

    source = TfdsSource(Records(), "flowers:train", Preset(name="name"))
    with pytest.raises(decode.BadImageError, match=r"record 0 of flowers.*rose\.png"):
        source[0]
    with pytest.raises(decode.BadImageError, match=r"record 1 of flowers:train.*CRC"):
        source[1]
