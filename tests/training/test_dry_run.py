"""What a run costs, told before it is begun."""

import pytest
import tiny_gan

from inpainting_jax.training import dry_run


@pytest.fixture
def device_bytes(monkeypatch):
    """Sets the memory that the estimate believes a device to have."""

    def limit(count):
        monkeypatch.setattr(dry_run, "device_memory", lambda device: count)

    return limit


@pytest.mark.slow
def test_the_largest_batch_fits_and_a_larger_one_does_not(config, device_bytes):
    device_bytes(2_000_000)
    config.schedule = ("joint", "again")
    config.phases.again = config.phases.joint
    found = dry_run.estimate(config, tiny_gan.build())
    (phase,) = found.phases  # both run the same step
    assert phase.names == ("joint", "again")
    largest, images = phase.largest_batch, config.batch_size
    assert largest > images and largest % 2 == 0  # two devices
    # Two networks with Adam: parameters and two moments each.
    assert found.parameters["generator"] == 9 * 4 * 8 + 8 + 9 * 8 * 3 + 3
    assert found.state_bytes >= 3 * 4 * sum(found.parameters.values())
    assert found.state_bytes < phase.peak_bytes < 0.9 * 2_000_000
    assert f"joint, again: {phase.flops / 1e9:,.1f} GFLOP" in str(found)

    config.batch_size = largest + 4
    (beyond,) = dry_run.estimate(config, tiny_gan.build()).phases
    assert beyond.peak_bytes > 0.9 * 2_000_000
    # Work grows with the batch; a little of it does not.
    ratio = beyond.flops / phase.flops * images / (largest + 4)
    assert 0.9 < ratio < 1.01


def test_a_device_too_small_for_any_batch_is_told(config, device_bytes):
    device_bytes(1000)
    found = dry_run.estimate(config, tiny_gan.build())
    (phase,) = found.phases
    assert phase.largest_batch == 0
    assert found.state_bytes < phase.peak_bytes
    assert phase.flops > 8 * 2 * 3 * 16 * 16 * (9 * 4 * 8 + 9 * 8 * 3)
    assert "no batch fits" in str(found)
