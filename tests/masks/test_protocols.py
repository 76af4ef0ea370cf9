"""Named mask protocols: the same bits for ever, balanced classes, clear refusals."""

import hashlib

import jax
import numpy as np
import pytest
from PIL import Image

from inpainting_jax import masks
from inpainting_jax.masks import protocols

# SHA-256 of four masks at 64x64, seed 0, first 16 digits. Published tables rest on
# these masks: whoever changes one gives the protocol a new version.
HASHES = {
    "box128": "224836e446c9567a",
    "freeform": "15d3a3948305debc",
    "lama-thin": "212050a7fc75fea3",
    "lama-medium": "6eb234aeccdc2cf5",
    "lama-wide": "cb453f1c821f2bdd",
    "half": "9230156049936eb0",
    "expand": "e29769550780912d",
    "grid": "65b3b2ed57ce05f3",
}


@pytest.mark.parametrize("name", HASHES)
def test_four_masks_of_every_protocol_are_what_they_were(name):
    drawn, digest = masks.fixed_set(f"protocol:{name}", 0, 4, 64, 64)
    assert drawn.shape == (4, 64, 64)
    assert digest[:16] == HASHES[name]
    pinned = f"protocol:{name}@{masks.PROTOCOLS[name].version}"
    assert masks.fixed_set(pinned, 0, 4, 64, 64)[1] == digest


def test_every_protocol_is_held_by_a_hash_or_takes_files():
    drawn = {name for name, p in masks.PROTOCOLS.items() if not p.needs_files}
    assert drawn == set(HASHES)


def test_the_holes_of_fixed_protocols_are_what_their_names_say():
    half, _ = masks.fixed_set("protocol:half", 0, 1, 8, 8)
    np.testing.assert_array_equal(half[0, 0], [0, 0, 0, 0, 1, 1, 1, 1])
    box, _ = masks.fixed_set("protocol:box128", 0, 3, 32, 32)
    assert (box.sum((1, 2)) == 16 * 16).all()
    expand, _ = masks.fixed_set("protocol:expand", 0, 1, 16, 16)
    assert expand.sum() == 16 * 16 - 4 * 4
    grid, _ = masks.fixed_set("protocol:grid", 0, 1, 8, 8)
    assert grid.mean() == 0.75


@pytest.mark.parametrize(
    ("kind", "mean", "tolerance"),
    [("thin", 0.297, 0.04), ("medium", 0.246, 0.04), ("wide", 0.404, 0.07)],
)
def test_lama_masks_cover_what_the_original_code_covers(kind, mean, tolerance):
    """Published code, 1000 draws at 256; ours scale, so 64 px do; 3 standard errors."""
    draw = jax.jit(jax.vmap(lambda k: masks.lama(k, 64, 64, kind=kind).mean()))
    ratios = np.asarray(draw(jax.random.split(jax.random.key(0), 100)))
    assert abs(ratios.mean() - mean) < tolerance
    kept, _ = masks.fixed_set(f"protocol:lama-{kind}", 0, 8, 64, 64)
    assert kept.mean((1, 2)).max() <= 0.5


def files_of_all_classes(folder, side=64, each=2):
    """Mask files: for each range of ratios, `each` inner and `each` border ones."""
    for b in range(6):
        ratio = 0.05 + 0.1 * b
        for k in range(each):
            inner = np.zeros((side, side), np.uint8)
            room = side - 14
            rows = int(np.ceil(ratio * side * side / room))
            inner[7 : 7 + min(rows, room), 7 : 7 + room - k] = 255
            border = np.zeros((side, side), np.uint8)
            border[: int(ratio * side) - k] = 255
            Image.fromarray(inner).save(folder / f"{b}_inner{k}.png")
            Image.fromarray(border).save(folder / f"{b}_border{k}.png")


def test_any_twelve_masks_of_the_files_hold_every_class_once(tmp_path):
    files_of_all_classes(tmp_path)
    spec = f"protocol:irregular-6x2:{tmp_path}"
    drawn, digest = masks.fixed_set(spec, 0, 36, 64, 64)
    for part in np.split(drawn, 3):
        classes = {(masks.hole_bucket(m), masks.touches_border(m)) for m in part}
        assert len(classes) == 12
    once = {m.tobytes() for m in drawn[:24]}
    assert len(once) == 24  # two files a class, none twice before all came
    assert masks.fixed_set(spec, 0, 36, 64, 64)[1] == digest
    assert masks.fixed_set(spec, 1, 36, 64, 64)[1] != digest
    short, _ = masks.fixed_set(spec, 0, 5, 64, 64)
    np.testing.assert_array_equal(short, drawn[:5])


def test_a_folder_that_lacks_a_class_is_refused_by_its_name(tmp_path):
    files_of_all_classes(tmp_path, each=1)
    (tmp_path / "3_border0.png").unlink()
    with pytest.raises(ValueError, match=r"classes 0\.3-0\.4 border among its 11"):
        masks.fixed_set(f"protocol:irregular-6x2:{tmp_path}", 0, 2, 64, 64)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("protocol:lama-wid", "Did you mean 'lama-wide'"),
        ("protocol:half@7", "version 1, not 7"),
        ("protocol:half:folder", "draws its masks"),
        ("protocol:irregular-6x2", "protocol:irregular-6x2:FOLDER"),
        ("protocol:irregular-6x2:/nowhere", "no mask file or folder"),
    ],
)
def test_what_makes_no_sense_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        masks.fixed_set(spec, 0, 1, 32, 32)


def test_a_report_can_say_what_a_protocol_is():
    assert protocols.describe("box") is None
    told = protocols.describe("protocol:lama-wide")
    assert told["name"] == "lama-wide"
    assert told["version"] == 1
    assert "0-0.5" in told["spec"]


def test_masks_that_come_one_at_a_time_have_the_hash_of_all_together():
    drawn = np.random.default_rng(0).integers(0, 2, (5, 7, 3), np.uint8)
    found = masks.MaskHash()
    for mask in drawn:
        found.update(mask)
    whole = hashlib.sha256(np.packbits(drawn).tobytes()).hexdigest()
    assert found.hexdigest() == whole == masks.mask_hash(drawn)
