"""The loss of cascaded refinement: by loops, by hand, and what it reduces to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import losses

CLOSE = 1e-5  # relative: sums of some hundred float32


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def layer():
    """Features of 3 pictures of 2 images, the truth's, and labels twice as large."""
    rng = np.random.default_rng(0)
    ours = rng.normal(size=(2, 3, 4, 6, 5)).astype(np.float32)
    truth = rng.normal(size=(2, 4, 6, 5)).astype(np.float32)
    labels = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (2, 8, 12))]
    return ours, truth, labels


def test_distances_equal_a_loop(layer):
    ours, truth, labels = layer
    distances = losses.class_distances(*map(jnp.asarray, layer))
    expected = np.zeros((2, 3, 4))
    for b, k, row, column in np.ndindex(2, 3, 4, 6):
        difference = np.abs(ours[b, k, row, column] - truth[b, row, column]).mean()
        block = labels[b, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        expected[b, k] += difference * block.mean(axis=(0, 1)) / 24
    np.testing.assert_allclose(distances, expected, rtol=CLOSE)


def test_diversity_takes_the_best_picture_of_each_class():
    distances = jnp.asarray([[[1.0, 8.0], [3.0, 2.0]]])  # two pictures, two classes
    np.testing.assert_allclose(
        losses.diversity_loss(distances), [0.999 * 3 + 0.001 * 7], rtol=CLOSE
    )


def test_one_picture_reduces_to_the_plain_mean(layer):
    """And labels that cover every pixel once add nothing to it."""
    ours, truth, labels = map(jnp.asarray, layer)
    distances = losses.class_distances(ours[:, :1], truth, labels)
    plain = losses.perceptual_loss([ours[:, 0]], [truth])
    np.testing.assert_allclose(losses.diversity_loss(distances), plain, rtol=CLOSE)


def test_only_the_best_picture_gets_the_full_gradient(layer):
    ours, truth, labels = map(jnp.asarray, layer)

    def total(ours, truth):
        distances = losses.class_distances(ours, truth, labels[..., :1])
        return losses.diversity_loss(distances).sum()

    gradient, to_truth = jax.jit(jax.grad(total, argnums=(0, 1)))(ours, truth)
    assert (to_truth == 0).all()
    size = jnp.abs(gradient).sum(axis=(2, 3, 4))
    distances = losses.class_distances(ours, truth, labels[..., :1])[..., 0]
    best = jnp.argmin(distances, axis=1)
    for b in range(2):
        ratio = size[b] / size[b, best[b]]
        others = jnp.delete(ratio, best[b])
        # 0.001 / 3 of the mean against 0.999 more.
        np.testing.assert_allclose(others, 1 / 2998, rtol=1e-3)


def test_balancing_makes_the_terms_equal():
    """The means of two updates, 2 and 5, need a factor of 2 / 5; none seen needs 1."""
    statistics = losses.start_balance(["input", "conv1_2", "unseen"])
    for pixels, features in ((1.0, 4.0), (3.0, 6.0)):
        terms = {"input": jnp.asarray(pixels), "conv1_2": jnp.asarray(features)}
        statistics = losses.record_terms(statistics, terms)
    factors = losses.balancing_factors(statistics, "input")
    expected = {"input": 1.0, "conv1_2": 0.4, "unseen": 1.0}
    assert {n: round(float(f), 6) for n, f in factors.items()} == expected
    contributions = [factors[n] * statistics[n] for n in ("input", "conv1_2")]
    np.testing.assert_allclose(*contributions, rtol=CLOSE)
    with pytest.raises(ValueError, match=r"'pixels'.*input"):
        losses.balancing_factors(statistics, "pixels")


def test_the_running_mean_forgets_beyond_its_window():
    statistics = losses.start_balance(["input"])
    for value in (8.0, 8.0, 2.0):
        statistics = losses.record_terms(
            statistics, {"input": jnp.asarray(value)}, window=2
        )
    assert float(statistics["input"]) == 5.0  # halfway from 8 to 2, not a third


def test_layers_that_do_not_correspond_are_refused(layer):
    ours, truth, labels = map(jnp.asarray, layer)
    with pytest.raises(ValueError, match=r"need a target \(2, 4, 6, 5\)"):
        losses.class_distances(ours, truth[:, :3], labels)
