"""Label maps from the caller to the method and back, through every door."""

import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import image_files, label_maps
from inpainting_jax.evaluation import door, folders, pairing, windows
from inpainting_jax.evaluation.inpainter import Inpainter
from inpainting_jax.methods import Method
from inpainting_jax.types import UNKNOWN_LABEL


def labelled(**traits):
    """A method that paints each class c as the grey c/10, and unknown ones as 0.9."""

    def run(variables, key, image, mask, guide=None):
        del variables, key
        labels = jnp.full_like(mask, UNKNOWN_LABEL) if guide is None else guide
        labels = jnp.where(labels == UNKNOWN_LABEL, 9, labels)
        fill = jnp.broadcast_to(labels / 10 * 2 - 1, image.shape)
        return {"completed": jnp.where(mask > 0, fill, image), "labels": labels}

    traits = {"guide_channels": 1, "guide_kind": "labels", "guide_classes": 8} | traits
    return Inpainter(Method("painter", run, **traits), {})


@pytest.fixture
def scene():
    image = np.full((40, 56, 3), 0.3, np.float32)
    hole = np.zeros((40, 56), bool)
    hole[10:30, 20:44] = True
    labels = np.zeros((40, 56), np.uint8)
    labels[:, 28:] = 7
    return image, hole, labels


def test_the_method_sees_the_classes_and_gives_the_map_back(scene):
    image, hole, labels = scene
    fill = labelled()
    completed = fill(image, hole, labels, strategy="full")
    np.testing.assert_allclose(completed[hole & (labels == 0)], 0.0, atol=1e-6)
    np.testing.assert_allclose(completed[hole & (labels == 7)], 0.7, atol=1e-6)
    np.testing.assert_array_equal(fill.last_labels[0], labels)
    stages = fill.predict(image, hole, labels)
    assert stages["labels"].shape == (40, 56, 1)


def test_unstated_pixels_and_no_map_are_the_methods_own_business(scene):
    image, hole, labels = scene
    edited = np.where(hole, UNKNOWN_LABEL, labels)
    fill = labelled()
    for guide in (edited, None):
        completed = fill(image, hole, guide, strategy="full")
        np.testing.assert_allclose(completed[hole], 0.9, atol=1e-6)
    fill(np.stack([image, image]), np.stack([hole, 0 * hole]), strategy="crop")
    assert [m.shape for m in fill.last_labels] == [(40, 56)] * 2
    assert (fill.last_labels[1] == UNKNOWN_LABEL).all()  # no hole: it did not look


@pytest.mark.parametrize("strategy", ["resize", "crop", "tile"])
def test_no_class_is_invented_by_resampling(scene, strategy):
    image, hole, labels = scene
    fill = labelled()
    fill(image, hole, labels, strategy=strategy, size=24)
    assert set(np.unique(fill.last_labels[0][hole])) == {0, 7}
    window = windows.Window((0, 0, 40, 56), (0, 0, 40, 56), (13, 17))
    assert set(np.unique(windows.cut_labels(labels[..., None], window))) == {0, 7}


def test_wrong_classes_are_named(scene):
    image, hole, labels = scene
    prepared = door.prepare(image, hole)
    for value in (8, 3.5, -1):
        wrong = np.where(hole, value, 0.0)
        with pytest.raises(ValueError, match=f"holds {value:.1f}.*classes 0 to 7"):
            door.prepare_labels(wrong, prepared, 8)
    with pytest.raises(ValueError, match="guide is 5x8 but the image is 40x56"):
        door.prepare_labels(labels[:5, :8], prepared, 8)
    assert door.prepare_labels(None, prepared, 8) is None


def test_the_folder_door_reads_and_writes_label_files(scene, tmp_path, monkeypatch):
    image, hole, labels = scene
    pixels = np.uint8(np.rint(image * 255))
    image_files.write_image(tmp_path / "a.png", image_files.ImageFile(pixels, "png"))
    mask = np.uint8(hole[..., None] * 255)
    image_files.write_image(tmp_path / "m.png", image_files.ImageFile(mask, "png"))
    label_maps.write_label_map(tmp_path / "l.png", labels)
    monkeypatch.setattr(folders, "load", lambda *args, **kwargs: labelled())
    paths = {
        "images": tmp_path / "a.png",
        "masks": tmp_path / "m.png",
        "outputs": tmp_path / "out.png",
    }
    rows = folders.inpaint_files(
        "painter", guides=tmp_path / "l.png", labels=str(tmp_path / "maps"), **paths
    )
    assert [row.status for row in rows] == ["done"], rows
    written = label_maps.read_label_map(tmp_path / "maps" / "a.png")
    np.testing.assert_array_equal(written[hole], labels[hole])
    monkeypatch.setattr(folders, "load", lambda *a, **k: labelled(guide_kind="lines"))
    with pytest.raises(pairing.WrongUseError, match="makes no label maps"):
        folders.inpaint_files("painter", labels="maps", **paths)
