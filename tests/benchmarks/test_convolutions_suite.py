"""The suite of three kinds of convolutions: equal sizes, its table, one short run."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.benchmarks import convolutions
from inpainting_jax.methods import METHODS


def _method(kind):
    return METHODS["partial_conv"](**convolutions.config_of(kind, 0, "photos").model)


def test_the_three_networks_are_of_one_size():
    batch = {"image": (1, 64, 64, 3), "mask": (1, 64, 64, 1)}
    batch = {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in batch.items()}
    counts = []
    for kind in convolutions.WIDTHS:
        shapes = jax.eval_shape(_method(kind).init, jax.random.key(0), batch)
        params = shapes["generator"]["params"]
        counts.append(sum(leaf.size for leaf in jax.tree.leaves(params)))
    assert max(counts) / min(counts) < 1.01


@pytest.mark.parametrize("kind", ["gated", "plain"])
def test_the_other_kinds_do_not_read_the_hole_but_see_where_it_is(
    kind, key, fresh_variables
):
    method = METHODS["partial_conv"](depth=2, width=2, convolution=kind)
    image = jax.random.uniform(key, (1, 16, 16, 3), minval=-1)
    mask = jnp.zeros((1, 16, 16, 1)).at[:, 4:11, 3:12].set(1)
    variables = fresh_variables(method, key, {"image": image, "mask": mask})
    predict = jax.jit(method.predict)
    once = predict(variables, key, image, mask)["prediction"]
    other = predict(variables, key, jnp.where(mask > 0, jnp.nan, image), mask)
    np.testing.assert_array_equal(once, other["prediction"])
    # Holes of zeros and zeros that are known look alike but for the mask.
    grey = predict(variables, key, jnp.where(mask > 0, 0, image), 0 * mask)
    assert np.abs(once - grey["prediction"]).max() > 1e-3


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match=r"convolution 'deformable'.*gated, .*plain"):
        METHODS["partial_conv"](convolution="deformable")


def test_the_table_gives_mean_and_range_over_the_seeds():
    runs = {
        str(seed): {"psnr_hole": psnr, "ssim_hole": 0.5, "l1_hole": 0.1}
        | {"parameters": 1234567}
        for seed, psnr in enumerate((18.0, 19.0, 20.5))
    }
    row = convolutions.table({"gated": runs})[-1]
    assert row.startswith("| gated | 1,234,567 | 19.17 (18.00 to 20.50) | 0.5000")


def test_one_specification_of_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--data twice"):
        convolutions.run(output=str(tmp_path), data=["photos"], count=1, repeats=1)


@pytest.mark.slow
def test_a_short_run_writes_report_table_and_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(convolutions, "_INITIAL", 2)
    monkeypatch.setattr(convolutions, "_FINETUNE", 1)
    convolutions.run(output=str(tmp_path), data=[], count=4, repeats=1)
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["results"]) == list(convolutions.WIDTHS)
    assert len(report["images"]) == 4
    assert (tmp_path / "samples.png").stat().st_size > 0
    assert len((tmp_path / "table.md").read_text().splitlines()) == 5
