"""The PyTorch yardstick computes what ours computes, from the same weights."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from inpainting_jax.benchmarks import (  # noqa: E402
    forward,
    gan_step,
    torch_attention,
    torch_deepfill_v2,
)
from inpainting_jax.layers import contextual_attention  # noqa: E402
from inpainting_jax.methods import METHODS  # noqa: E402


@pytest.fixture(scope="module")
def method():
    return METHODS["deepfill_v2"](width=4, discriminator_width=4)


@pytest.fixture(scope="module")
def variables(method):
    return forward.fresh_variables(method, 64)


@pytest.mark.parametrize("form", torch_attention.FORMS)
def test_both_forms_of_the_attention_equal_ours(form):
    """To 1e-4 of the deviation: sums in another order, magnified by the softmax."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 2, 16, 16, 5)).astype(np.float32)
    mask = np.zeros((2, 8, 8, 1), np.float32)
    mask[0, 2:5, 1:4] = mask[1, :2, 5:] = 1
    ours, _ = contextual_attention(first, second, mask)
    planes = [torch_deepfill_v2.to_planes(x) for x in (first, second, mask)]
    theirs = torch_attention.contextual_attention(*planes, form)
    theirs = torch_deepfill_v2.to_images(theirs)
    assert np.abs(theirs - ours).max() < 1e-4 * np.std(ours)


def test_the_generator_equals_ours(method, variables):
    """To 1e-4 of the deviation."""
    data = forward.pictures(2, 64)
    data["mask"][1] = np.roll(data["mask"][1], 7, axis=0)  # a hole of its own
    generator = torch_deepfill_v2.Generator(4)
    torch_deepfill_v2.load(generator, variables["generator"])
    planes = [torch_deepfill_v2.to_planes(data[name]) for name in ("image", "mask")]
    with torch.no_grad():
        coarse, refined = generator(*planes)
    stages = jax.jit(method.predict)(variables, jax.random.key(0), **data)
    for name, theirs in (("coarse", coarse), ("refined", refined)):
        error = np.abs(torch_deepfill_v2.to_images(theirs) - stages[name]).max()
        assert error < 1e-4 * np.std(stages[name]), name


@pytest.mark.slow
def test_the_discriminator_and_its_power_iteration_equal_ours(method, variables):
    """To 1e-4 of the deviation; u to 1e-5."""
    judged = np.random.default_rng(0).normal(size=(2, 64, 64, 4)).astype(np.float32)
    network = torch_deepfill_v2.Discriminator(4)
    torch_deepfill_v2.load(network, variables["discriminator"])
    theirs = network(torch_deepfill_v2.to_planes(judged), True).detach().numpy()
    ours, stats = method.networks["discriminator"].apply(
        variables["discriminator"], judged, update_stats=True, mutable="spectral_stats"
    )
    assert np.abs(theirs - ours).max() < 1e-4 * np.std(ours)
    u = stats["spectral_stats"]["conv2"]["u"]
    assert np.abs(network.u2.numpy() - u).max() < 1e-5


def test_weights_of_another_network_are_refused(variables):
    network = torch_deepfill_v2.Generator(4)
    with pytest.raises(KeyError, match="layers differ"):
        torch_deepfill_v2.load(network, variables["discriminator"])


@pytest.mark.slow
def test_three_training_steps_equal_ours(method, variables):
    """Losses to 1e-4: Adam magnifies rounding from the second step on."""
    batch = forward.pictures(2, 64)
    ours, _, _ = gan_step.our_step(method, variables, batch)
    theirs = gan_step.torch_step(variables, batch, width=4, discriminator_width=4)
    for _ in range(3):
        assert np.allclose(ours(), theirs(), atol=1e-4)
