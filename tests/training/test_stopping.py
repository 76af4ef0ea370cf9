"""When a run is asked to end."""

import os
import signal

import jax
import pytest
from jax.experimental import multihost_utils

from inpainting_jax.training.stopping import StopRequest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_told_after_the_step_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.after_step()
        os.kill(os.getpid(), number)
        assert stop.after_step() and stop.signal == number.name
    assert signal.getsignal(number) is before


def test_several_processes_count_the_steps_from_their_own_start(monkeypatch):
    """A signal during the first compilation is answered at count 1, not at a step."""
    asked = []

    def reached(count):
        asked.append(count)
        return count == 3

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", reached)
    with StopRequest() as stop:
        assert [stop.after_step() for _ in range(3)] == [False, False, True]
    assert asked == [1, 2, 3]
    assert stop.signal == "SIGTERM"
