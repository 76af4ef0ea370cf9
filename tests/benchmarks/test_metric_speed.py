"""The suite's table, and that memory does not grow with the number of images."""

import pytest

from inpainting_jax.benchmarks import SUITES, metric_speed, timing


def test_the_table_gives_images_per_second():
    time = timing.Timing(9.0, 2.0, 4.0)._asdict()
    text = metric_speed.table(
        {
            "machine": {**timing.machine(), "load": 0.0},
            "images": {"lpips_alex": time},
            "sets": {"fd_efflite0": time},
            "evaluations": {12: {"seconds": 3.0, "peak_mib": 500.0}},
        }
    )
    assert "| lpips_alex | 4.0 | 0.500 | 9.0 |" in text
    assert "| fd_efflite0 | 2.0 |" in text
    assert "| 12 | 3 | 500 |" in text
    assert SUITES["metrics"] is metric_speed.run


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images():
    """1000 images more are 188 MiB; two equal runs differ by up to 70."""
    found = metric_speed.evaluations((64, 1064), ("l1",))
    assert found[1064]["peak_mib"] - found[64]["peak_mib"] < 100
