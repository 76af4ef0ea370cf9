"""Study folders: opaque, repeatable, complete, and never replaced."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.study import folder
from inpainting_jax.study.design import Design
from inpainting_jax.study.stimuli import Pictures, read_rgb

METHODS = ("quixotic", "zephyrine")
DESIGN = Design("pair_preference", METHODS, sessions=3, trials=4, practice=2, catch=2)


@pytest.fixture
def sources(tmp_path):
    """Originals, masks and two methods' results of ten images of 20x24."""
    rng = np.random.default_rng(0)
    for name in ("originals", "masks", *METHODS):
        (tmp_path / name).mkdir()
    for i in range(10):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "originals" / f"{i}.png")
        mask = np.zeros((20, 24), np.uint8)
        mask[5:12, 6:14] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
        for method in METHODS:
            changed = rng.integers(0, 256, pixels.shape, dtype=np.uint8)
            image = Image.fromarray(changed)
            exif = Image.Exif()
            exif[0x010E] = method  # the description
            image.save(tmp_path / method / f"{i}.webp", lossless=True, exif=exif)
    return tmp_path


def pictures_of(sources, masks=True):
    results = {method: sources / method for method in METHODS}
    chosen = sources / "masks" if masks else None
    return Pictures(sources / "originals", results, chosen)


def test_what_is_written_can_be_read_back(sources):
    made = folder.prepare(
        pictures_of(sources), DESIGN, sources / "study", contact="us@example.org"
    )
    assert made == folder.load(sources / "study")
    assert made.design == DESIGN
    assert made.choices == ("left", "right")
    assert made.texts["contact"] == "us@example.org"
    assert [len(page) for page in made.pages] == [8, 8, 8]
    for page in made.pages:
        for trial in page:
            for name in trial["images"]:
                assert (sources / "study" / "images" / name).is_file()


def test_pages_and_pictures_tell_no_method(sources):
    made = folder.prepare(pictures_of(sources), DESIGN, sources / "study")
    key = json.loads((sources / "study" / "key.json").read_text())
    secrets = [*METHODS, "original", "damaged", "catch", "main"]
    for number in range(3):
        text = (sources / "study" / "sessions" / f"{number:03}.json").read_text()
        assert not any(secret in text for secret in secrets)
    files = sorted((sources / "study" / "images").iterdir())
    assert {file.name for file in files} == set(key["pictures"])
    for file in files:
        assert len(file.stem) == 16 and set(file.stem) <= set("0123456789abcdef")
        assert file.stat().st_mtime == 0
        assert not any(word.encode() in file.read_bytes() for word in secrets)
        with Image.open(file) as image:
            assert (image.mode, image.info) == ("RGB", {})
    assert made.design.mode not in (sources / "study/sessions/000.json").read_text()


def test_a_picture_is_the_completion_in_the_hole_and_the_original_elsewhere(sources):
    pictures = pictures_of(sources)
    original = read_rgb(sources / "originals" / "3.png")
    filled = read_rgb(sources / "quixotic" / "3.webp")
    hole = np.zeros((20, 24), bool)
    hole[5:12, 6:14] = True
    shown = pictures.pixels("3", "quixotic")
    np.testing.assert_array_equal(shown[~hole], original[~hole])
    np.testing.assert_array_equal(shown[hole], filled[hole])
    masked, damaged = (pictures.pixels("3", role) for role in ("masked", "damaged"))
    assert (masked[hole] == 128).all() and (damaged[hole] != original[hole]).any()
    np.testing.assert_array_equal(damaged[~hole], original[~hole])
    (sources / "masks" / "3.png").rename(sources / "masks" / "3_mask.png")
    again = pictures_of(sources).pixels("3", "quixotic")
    np.testing.assert_array_equal(again, shown)
    unmasked = pictures_of(sources, masks=False)
    np.testing.assert_array_equal(unmasked.pixels("3", "quixotic"), filled)
    grey = (unmasked.pixels("3", "masked") == 128).all(-1)
    assert grey[5:15, 6:18].all() and grey.sum() <= 10 * 12 + 3


def test_the_same_seed_gives_the_same_bytes_and_pixels_change_the_names(sources):
    def made(name):
        folder.prepare(pictures_of(sources), DESIGN, sources / name)
        files = sorted((sources / name).rglob("*.*"))
        return {f.relative_to(sources / name): f.read_bytes() for f in files}

    first, again = made("a"), made("b")
    assert first == again and len(first) > 20
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(sources / "originals/3.png")
    other = made("c")
    assert not {n for n in first if n.suffix == ".png"} & set(other)


def test_identical_pictures_get_different_names(sources):
    shutil.rmtree(sources / "zephyrine")
    shutil.copytree(sources / "quixotic", sources / "zephyrine")
    folder.prepare(pictures_of(sources), DESIGN, sources / "study")
    key = json.loads((sources / "study" / "key.json").read_text())["pictures"]
    assert len({tuple(what) for what in key.values()}) == len(key)


def test_a_reference_is_written_and_named(sources):
    design = Design(**vars(DESIGN) | {"reference": "masked"})
    made = folder.prepare(pictures_of(sources), design, sources / "study")
    assert "completes" in made.texts["question"]
    for trial in made.pages[0]:
        shown = read_rgb(sources / "study" / "images" / trial["reference"])
        assert (shown[6, 7] == 128).all()


def test_nothing_is_overwritten_and_nothing_half_done_remains(sources):
    (sources / "study").mkdir()
    with pytest.raises(ValueError, match="exists"):
        folder.prepare(pictures_of(sources), DESIGN, sources / "study")
    Image.new("RGBA", (24, 20)).save(sources / "originals" / "3.png")
    before = sorted(sources.iterdir())
    with pytest.raises(ValueError, match="transparent"):
        folder.prepare(pictures_of(sources), DESIGN, sources / "other")
    assert sorted(sources.iterdir()) == before


def test_missing_and_odd_pictures_are_named(sources):
    (sources / "originals" / "3.png").unlink()
    with pytest.raises(ValueError, match="no originals for 1 images of quixotic: 3;"):
        pictures_of(sources)
    (sources / "quixotic" / "3.webp").unlink()
    (sources / "zephyrine" / "3.webp").unlink()
    (sources / "zephyrine" / "4.webp").unlink()
    with pytest.raises(ValueError, match=r"no completions by zephyrine .*: 4;"):
        pictures_of(sources)
    with pytest.raises(ValueError, match="does not exist"):
        Pictures(sources / "nowhere", {})
    shutil.copy(sources / "originals" / "5.png", sources / "originals" / "5.jpg")
    with pytest.raises(ValueError, match="of one name"):
        pictures_of(sources)


def test_another_size_is_an_error_that_names_both(sources):
    Image.new("RGB", (24, 21)).save(sources / "quixotic" / "3.webp")
    with pytest.raises(ValueError, match="24x21, its original 24x20"):
        pictures_of(sources).pixels("3", "quixotic")
    Image.new("L", (24, 20)).save(sources / "masks" / "4.png")
    with pytest.raises(ValueError, match="marks no hole"):
        pictures_of(sources).pixels("4", "quixotic")


def test_grey_deep_and_opaque_images_are_read_as_colour(tmp_path):
    Image.new("L", (4, 3), 7).save(tmp_path / "grey.png")
    Image.new("I;16", (4, 3), 7 * 257).save(tmp_path / "deep.png")
    Image.new("RGBA", (4, 3), (7, 7, 7, 255)).save(tmp_path / "opaque.png")
    for name in ("grey", "deep", "opaque"):
        assert (read_rgb(tmp_path / f"{name}.png") == np.full((3, 4, 3), 7)).all()


def test_another_version_or_a_changed_key_is_refused(sources):
    folder.prepare(pictures_of(sources), DESIGN, sources / "study")
    header = json.loads((sources / "study" / "study.json").read_text())
    with pytest.raises(ValueError, match="holds no study"):
        folder.load(sources)
    key = (sources / "study" / "key.json").read_text()
    (sources / "study" / "key.json").write_text(key.replace('"main"', '"catch"', 1))
    with pytest.raises(ValueError, match=r"key\.json was changed"):
        folder.load(sources / "study")
    (sources / "study" / "key.json").unlink()
    with pytest.raises(ValueError, match="damaged"):
        folder.load(sources / "study")
    for header["version"] in (2, None):
        (sources / "study" / "study.json").write_text(json.dumps(header))
        with pytest.raises(ValueError, match="this code reads version 1"):
            folder.load(sources / "study")
    (sources / "study" / "study.json").write_text("[]")
    with pytest.raises(ValueError, match="is not of an"):
        folder.load(sources / "study")
