"""The suite of label sources, on a tiny untrained network."""

import json

import jax
import numpy as np
import pytest

from inpainting_jax import checkpoints
from inpainting_jax.benchmarks import SUITES, spg_net
from inpainting_jax.methods import METHODS

SIZES = {
    "classes": 5,
    "width": 2,
    "depth": 2,
    "dilations": (1,),
    "segmenter_width": 2,
    "segmenter_rates": (1,),
    "segmenter_stride": 8,
}


@pytest.fixture
def weights(tmp_path):
    """Files of random weights, with and without guidance."""

    def write(guidance):
        options = {**SIZES, "guidance": guidance}
        method = METHODS["spg_net"](**options)
        batch = {"image": (1, 32, 32, 3), "mask": (1, 32, 32, 1)}
        batch = {k: jax.ShapeDtypeStruct(v, np.float32) for k, v in batch.items()}
        shapes = jax.eval_shape(method.init, jax.random.key(0), batch)
        rng = np.random.default_rng(0)
        variables = jax.tree.map(
            lambda leaf: np.abs(rng.normal(0, 0.3, leaf.shape)).astype(np.float32),
            {name: shapes[name] for name in shapes if "generator" in name}
            | {"segmenter": shapes["segmenter"]},
        )
        card = {"method": "spg_net", "overrides": options, "train_size": 32}
        path = tmp_path / f"guidance_{guidance}.safetensors"
        checkpoints.save_weights(path, variables, card)
        return str(path)

    return write


def test_nearest_labels_fill_the_hole():
    labels = np.array([[1, 1, 9, 9, 2], [1, 9, 9, 2, 255]])
    hole = labels == 9
    expected = [[1, 1, 1, 2, 2], [1, 1, 2, 2, 2]]
    found = spg_net.nearest_labels(labels.astype(np.uint8), hole)
    np.testing.assert_array_equal(found, expected)
    everything = np.ones_like(hole)
    assert (spg_net.nearest_labels(labels, everything) == 255).all()


def test_no_mode_but_the_oracle_sees_labels_of_the_hole():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (2, 8, 8)).astype(np.uint8)
    holes = np.zeros((2, 8, 8), np.uint8)
    holes[:, 2:5, 3:6] = 1
    other = np.where(holes > 0, (labels + 1) % 3, labels).astype(np.uint8)
    before, after = (spg_net.guides_of(x, holes) for x in (labels, other))
    assert set(before) == set(spg_net.MODES)
    for mode in spg_net.MODES:
        same = np.array_equal(before[mode], after[mode])
        assert same == (mode != "oracle"), mode
    assert (before["predicted"] == 255).all()


def test_the_suite_writes_a_table_of_every_run(weights, tmp_path):
    runs = [weights(True), weights(False)]
    SUITES["spg_net"](
        output=tmp_path / "out",
        data=["procedural:validation"],
        count=3,
        repeats=1,
        weights=runs,
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["results"]) == 4  # two kinds of holes each
    for name, modes in report["results"].items():
        guided = runs[0] in name
        assert set(modes) == (set(spg_net.MODES) if guided else {"unguided"})
        for mode, row in modes.items():
            assert len(row["psnr_hole"]) == 3
            assert ("mean_iou" in row) == (mode not in ("oracle", "unguided"))
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.count("| nearest |") == 2 and "0.0" in table


def test_a_suite_without_labels_or_weights_says_what_it_needs(weights, tmp_path):
    options = {"output": tmp_path / "out", "count": 2, "repeats": 1}
    with pytest.raises(ValueError, match=r"--data=.*--weights="):
        SUITES["spg_net"](data=["photos"], **options)
    with pytest.raises(ValueError, match=r"no label map.*--labels"):
        SUITES["spg_net"](data=["photos"], weights=[weights(True)], **options)
