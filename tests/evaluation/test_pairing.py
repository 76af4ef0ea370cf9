"""Which mask, guide and output belong to an image."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.evaluation.pairing import WrongUseError, pair


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A function that makes small image files below an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            path = pathlib.Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)

    return make


def as_text(tasks):
    """(image, mask, output, format) of each task."""
    return [
        (
            task.name,
            task.mask.as_posix() if task.mask else None,
            task.output.as_posix(),
            task.format,
        )
        for task in tasks
    ]


def test_masks_are_found_by_name_in_every_spelling(tree):
    tree("i/a.png", "i/B.PNG", "i/c.webp", "i/d.bmp", "i/s/e.tif", "i/f.png")
    tree("m/a.bmp", "m/b.png", "m/c_mask.png", "m/mask_d.png", "m/s/e-mask.png")
    assert as_text(pair("i", "m", "o")) == [
        ("B.PNG", "m/b.png", "o/B.PNG", "png"),
        ("a.png", "m/a.bmp", "o/a.png", "png"),
        ("c.webp", "m/c_mask.png", "o/c.webp", "webp"),
        ("d.bmp", "m/mask_d.png", "o/d.bmp", "bmp"),
        ("f.png", None, "o/f.png", "png"),
        ("s/e.tif", "m/s/e-mask.png", "o/s/e.tif", "tiff"),
    ]


def test_one_mask_serves_all_and_formats_follow(tree):
    tree("i/a.jpg", "i/b.tiff", "m.png")
    found = as_text(pair("i", "m.png", "o"))
    assert found[0] == ("a.jpg", "m.png", "o/a.png", "png")  # JPEG is not lossless
    assert found[1] == ("b.tiff", "m.png", "o/b.tiff", "tiff")
    found = as_text(pair("i", "m.png", "o", format="jpeg", suffix="_done"))
    assert [row[2] for row in found] == ["o/a_done.jpg", "o/b_done.jpg"]
    found = as_text(pair("i/a.jpg", "m.png", "o.tif"))
    assert found == [("a.jpg", "m.png", "o.tif", "tiff")]
    found = as_text(pair("i/a.jpg", "m.png", "o"))
    assert found == [("a.jpg", "m.png", "o/a.png", "png")]


def test_outputs_never_meet(tree):
    tree("i/a.jpg", "i/a.png", "m.png")
    outputs = [row[2] for row in as_text(pair("i", "m.png", "o"))]
    assert outputs == ["o/a_jpg.png", "o/a_png.png"]


def test_masks_may_lie_among_the_images(tree):
    tree("i/a.png", "i/a_mask.png", "i/b.png", "i/b_mask.png", "i/out/a.png")
    found = as_text(pair("i", "i", "i/out"))
    assert [row[:2] for row in found] == [
        ("a.png", "i/a_mask.png"),
        ("b.png", "i/b_mask.png"),
    ]


def test_an_image_may_be_its_own_mask_by_alpha_only(tree):
    tree("i/a.png")
    assert as_text(pair("i", "i", "o", in_alpha=True))[0][1] == "i/a.png"
    with pytest.raises(WrongUseError, match=r"no mask for any of the 1 image"):
        pair("i", "i", "o")


def test_guides_are_optional_for_each_image(tree):
    tree("i/a.png", "i/b.png", "m.png", "g/b.png")
    guides = [task.guide for task in pair("i", "m.png", "o", guides="g")]
    assert guides == [None, pathlib.Path("g/b.png")]


@pytest.mark.parametrize(
    ("images", "masks", "outputs", "options", "message"),
    [
        ("gone", "m.png", "o", {}, "--images=gone does not exist"),
        ("i", "gone.png", "o", {}, "--masks=gone.png does not exist"),
        ("i", "m.png", "o", {"guides": "gone"}, "--guides=gone does not exist"),
        ("empty", "m.png", "o", {}, "--images=empty is a folder without images"),
        ("i", "empty", "o", {}, "--masks=empty is a folder without images"),
        ("i", "m", "o", {}, "a mask is named like its image, e.g. a.png"),
        ("i", "m.png", "m.png", {}, "--outputs=m.png is a file"),
        ("i", "m.png", "i", {}, "would replace an image.*--suffix"),
        ("i/a.png", "m.png", "m.png", {}, "would replace"),
        ("i/a.png", "m.png", "o.png", {"format": "tiff"}, "not named as --format=tiff"),
    ],
)
def test_wrong_use_is_told_before_work_begins(
    tree, images, masks, outputs, options, message
):
    tree("i/a.png", "m.png", "m/other.png")
    pathlib.Path("empty").mkdir()
    with pytest.raises(WrongUseError, match=message):
        pair(images, masks, outputs, **options)
