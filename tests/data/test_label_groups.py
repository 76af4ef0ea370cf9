"""Class numbers in groups."""

import json

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.data import open_source, prepare
from inpainting_jax.data.label_groups import group_labels, read_groups


def test_the_groups_of_cityscapes_cover_every_class_once():
    groups = read_groups("cityscapes")
    assert next(iter(groups)) == "road" and len(groups) == 8
    assert sorted(n for numbers in groups.values() for n in numbers) == list(range(34))
    every = group_labels(np.arange(34, dtype=np.uint8), groups)
    assert set(every) == set(range(8))
    assert every[7] == 0 and every[23] == 4 and every[26] == 6 and every[0] == 7
    assert group_labels(np.array([255], np.uint8), groups) == 255


def test_tables_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ValueError, match="class 34, which is in none of the groups"):
        group_labels(np.array([[3, 34]], np.uint8), read_groups("cityscapes"))
    with pytest.raises(ValueError, match=r"no label groups 'camvid'.*cityscapes"):
        read_groups("camvid")
    for text, message in (
        ("{", "no table"),
        ("[1, 2]", "no table"),
        ('{"a": 3}', "no table"),
        ('{"a": [1], "b": [1]}', "each in one group"),
        ('{"a": [255]}', "0 to 254"),
    ):
        path = tmp_path / "groups.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_groups(path)


def test_a_data_set_is_written_in_groups(tmp_path):
    labels = np.zeros((32, 40), np.uint8)
    labels[:16], labels[16:, 20:] = 5, 9
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        image = rng.integers(0, 256, (32, 40, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / "images" / f"{i}.png")
        Image.fromarray(labels).save(tmp_path / "labels" / f"{i}.png")
    table = tmp_path / "groups.json"
    table.write_text(json.dumps({"one": [9], "two": [0, 5]}))
    output = tmp_path / "out"
    prepare.prepare_dataset(
        tmp_path / "images",
        output,
        labels=tmp_path / "labels",
        label_groups=table,
        val_fraction=0.0,
    )
    found = open_source(f"tfds_dir:{output}:train")[0]["label_map"]
    np.testing.assert_array_equal(found, np.where(labels == 9, 0, 1))
