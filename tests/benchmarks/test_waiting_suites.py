"""Suites about waiting and room: input, start-up, memory."""

import json
import mmap

import pytest

from inpainting_jax.benchmarks import SUITES, memory, reading, separate, startup


def test_jpegs_are_made_prepared_and_read(monkeypatch):
    monkeypatch.setattr(reading, "_MADE", 20)
    with reading.prepared() as (source, files):
        assert len(files) == 20 and len(source) == 19  # the rest is held out
        assert reading.decode((0, files[0])).shape == (375, 500, 3)
        assert reading.decode_and_crop((0, files[0])).shape == (256, 256, 3)
        assert 1e-5 < reading.pipeline(source, 2, 0, 1) < 10


def test_the_limit_is_the_loop_that_does_the_same():
    loop = {"bare loop: decode": [0.1], "bare loop: decode, crop, resize": [0.2]}
    rows = reading.rows_of({**loop, "8 threads": [0.25, 0.25]})
    assert rows[-1]["rate"] == 4 and rows[-1]["of_limit"] == 0.8


def test_every_command_is_asked_for_help():
    assert {"train", "inpaint", "benchmark"} <= set(startup.commands())
    assert "parsing" not in startup.commands()


def test_the_peak_of_memory_is_that_of_the_work():
    """64 MiB more than ever are filled and let go; the rest may grow by a little."""
    separate.reset_peak()
    before = separate.peak_bytes()
    size = before - separate.resident_bytes() + 2**26
    assert 2**26 <= size < before
    # Not on the heap, where a worker that ran other tests has free pages of its own.
    with mmap.mmap(-1, size) as filled:
        for start in range(0, size, mmap.PAGESIZE):
            filled[start] = 1
    assert 2**25 < separate.peak_bytes() - before < 2**27


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path):
    first, second = (
        separate.call(
            "inpainting_jax.benchmarks.startup:first_picture",
            environment={"JAX_COMPILATION_CACHE_DIR": str(tmp_path)},
            cache=str(tmp_path / "cache"),
        )
        for _ in range(2)
    )
    assert first["compiled"] > 0 and second["compiled"] == 0


def test_memory_of_steps_is_reported(tmp_path, monkeypatch):
    def called(target, **arguments):
        return {"peak_mib": 5.0, "state_mib": 1.0} if "step" in target else 7.0

    monkeypatch.setattr(separate, "call", called)
    SUITES["memory"](output=str(tmp_path), data=(), count=1, repeats=1)
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["rows"]) == len(memory.STEPS) + len(memory.PICTURES)
    assert "| 5.0 |" in (tmp_path / "table.md").read_text()
