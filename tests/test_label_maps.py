"""Label maps in files and in colours."""

import numpy as np
import pytest
from PIL import Image

from inpainting_jax import label_maps
from inpainting_jax.types import UNKNOWN_LABEL


def test_a_written_map_is_read_back_and_shows_its_classes_apart(tmp_path):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    labels[0, 0] = UNKNOWN_LABEL
    label_maps.write_label_map(tmp_path / "map.png", labels)
    np.testing.assert_array_equal(
        label_maps.read_label_map(tmp_path / "map.png"), labels
    )
    with Image.open(tmp_path / "map.png") as image:
        colours = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(colours, label_maps.paint_labels(labels))
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 12


def test_a_jpeg_or_a_colour_image_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "colour.png")
    with pytest.raises(ValueError, match="holds RGB colours"):
        label_maps.read_label_map(tmp_path / "colour.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match="cannot be read"):
        label_maps.read_label_map(tmp_path / "text.png")
