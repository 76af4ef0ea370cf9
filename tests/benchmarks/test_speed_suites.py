"""Speed suites: equal work only, the report, the earlier report, the ceilings."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import layers
from inpainting_jax.benchmarks import (
    SUITES,
    ceilings,
    separate,
    speed_cases,
    speed_report,
    timing,
)
from inpainting_jax.benchmarks.speed_cases import Case, Variant

LIMITS = ceilings.Ceilings(flops=2e12, bytes=1e9, by="hand")


def _constant(value):
    return Variant(lambda: np.full((2, 2), value) + np.eye(2))


def test_a_row_tells_the_share_of_the_ceiling_and_of_ours(monkeypatch):
    times = {
        "ours": timing.Timing(9.0, 2.0, 4.0, (1.0, 2.0, 2.0, 2.0, 3.0)),
        "other": timing.Timing(9.0, 6.0, 6.0, (6.0, 6.0)),
    }
    monkeypatch.setattr(timing, "alternate", lambda calls, *, repeats: times)
    variants = {"ours": _constant(1.0), "other": _constant(1.0)}
    case = Case("work", variants, flops=1e12, bytes=1e9)
    ours, other = speed_cases.measure(case, LIMITS, repeats=5)
    assert ours["gflops"] == 500 and ours["gigabytes"] == 0.5
    # Floor: 0.5 s by FLOPs, 1 s by bytes.
    assert ours["of_ceiling"] == 0.5 and other["of_ceiling"] == pytest.approx(1 / 6)
    assert (ours["low"], ours["high"]) == (2.0, 2.0)
    assert other["over_ours"] == 3.0 and other["processor_over_ours"] == 1.5
    assert (
        "3.00 times as fast as the fastest other"
        in speed_report.fastest([ours, other])[0]
    )


def test_unequal_work_is_not_timed():
    variants = {"ours": _constant(1.0), "other": _constant(1.01)}
    with pytest.raises(ValueError, match="other differs from ours"):
        speed_cases.measure(Case("work", variants), LIMITS, repeats=1)
    nothing = {"ours": _constant(1.0), "other": _constant(np.nan)}
    with pytest.raises(ValueError, match="other differs from ours"):
        speed_cases.measure(Case("work", nothing), LIMITS, repeats=1)


def test_an_earlier_report_is_compared_row_by_row(tmp_path):
    rows = [{"case": "a", "variant": "ours", "seconds": 2.0}]
    speed_report.write(str(tmp_path / "old"), "forward", rows, limits=LIMITS)
    now = [
        {"case": "a", "variant": "ours", "seconds": 1.0},
        {"case": "b", "variant": "ours", "seconds": 1.0},
    ]
    old = str(tmp_path / "old" / "report.json")
    speed_report.write(str(tmp_path / "new"), "forward", now, baseline=old)
    report = json.loads((tmp_path / "new" / "report.json").read_text())
    assert report["rows"][0]["earlier_over_now"] == 2.0
    assert "earlier_over_now" not in report["rows"][1]
    table = (tmp_path / "new" / "table.md").read_text()
    assert "| earlier over now |" in table and "| 2.00 |" in table
    with pytest.raises(ValueError, match="'forward', not 'step'"):
        speed_report.write(str(tmp_path), "step", now, baseline=old)
    with pytest.raises(ValueError, match="no report of a speed suite"):
        speed_report.read_baseline(str(tmp_path / "new" / "table.md"), "forward")


def test_ceilings_are_rates_of_the_work_done():
    found = ceilings.measure(side=64, numbers=2**16, repeats=2)
    assert 1e7 < found.flops < 1e14 and 1e7 < found.bytes < 1e13
    assert found.floor(found.flops, 0.0) == 1.0


def test_work_counts_what_a_product_does():
    call, flops, moved = speed_cases.work(
        lambda a, b: a @ b, np.ones((8, 16), np.float32), np.ones((16, 4), np.float32)
    )
    assert flops == 2 * 8 * 16 * 4 and moved >= 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert np.all(np.asarray(call()) == 16)


def test_products_are_counted_by_a_layers_definition(one_device):
    """Winograd's form makes fewer, and would leave the yardstick looking slower."""
    features, kernel = jnp.ones((1, 34, 34, 96)), jnp.ones((3, 3, 96, 96))
    _, flops, _ = speed_cases.work(
        lambda x, k: layers.convolve(x, k, padding="VALID"), features, kernel
    )
    assert flops == 2 * 32 * 32 * kernel.size


def test_a_process_of_its_own_answers_or_tells_why_not():
    target = "math:fsum"
    with pytest.raises(RuntimeError, match="fsum failed"):
        separate.call(target, wrong=1)


def test_the_speed_suites_take_an_earlier_report():
    import inspect

    for name in ("attention", "forward", "step"):
        assert "baseline" in inspect.signature(SUITES[name]).parameters


def test_what_was_measured_outlasts_a_run_that_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(ceilings, "measure", lambda: LIMITS)

    def cases():
        yield Case("first", {"ours": _constant(1.0)}, flops=1.0, bytes=1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        speed_cases.run("forward", cases(), str(tmp_path), 1, "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["case"] for row in report["rows"]] == ["first"]
