"""SSIM and MS-SSIM: a naive loop, corners, invariances, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import metrics

C1, C2 = 0.01**2, 0.03**2


@pytest.fixture
def pair():
    """A smooth image [1, 24, 20, 3] and a noisy copy."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :20] / 24
    a = np.stack([x, y, (x + y) / 2], -1)[None]
    b = np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1)
    return a.astype(np.float32), b.astype(np.float32)


def naive_ssim(a, b, weights):
    """Mean SSIM of one channel by a loop over windows, in float64."""
    size, values = len(weights), []
    for i in range(a.shape[0] - size + 1):
        for j in range(a.shape[1] - size + 1):
            x, y = a[i : i + size, j : j + size], b[i : i + size, j : j + size]
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx = (weights * x * x).sum() - mx * mx
            vy = (weights * y * y).sum() - my * my
            cov = (weights * x * y).sum() - mx * my
            values.append(
                ((2 * mx * my + C1) * (2 * cov + C2))
                / ((mx * mx + my * my + C1) * (vx + vy + C2))
            )
    return np.mean(values)


def test_ssim_is_the_mean_over_whole_windows(pair):
    a, b = pair
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(taps, taps) / taps.sum() ** 2
    exact = np.mean(
        [
            naive_ssim(*(im[0, ..., c].astype(np.float64) for im in (a, b)), weights)
            for c in range(3)
        ]
    )
    with jax.numpy_dtype_promotion("strict"):
        assert metrics.ssim(a, b) == pytest.approx(exact, abs=2e-6)


def test_two_constant_images_have_a_closed_form():
    a, b = (np.full((1, 16, 16, 3), v, np.float32) for v in (0.25, 0.75))
    wanted = (2 * 0.25 * 0.75 + C1) / (0.25**2 + 0.75**2 + C1)
    assert metrics.ssim(a, b) == pytest.approx(wanted, abs=1e-6)
    black, white = np.zeros_like(a), np.ones_like(a)
    assert metrics.ssim(black, white) == pytest.approx(1e-4 / 1.0001, rel=1e-3)


@pytest.mark.parametrize("preset", sorted(metrics.SSIM_PRESETS))
def test_identical_images_have_one_by_every_rule(preset):
    image = np.random.default_rng(0).uniform(0, 1, (1, 52, 60, 3)).astype(np.float32)
    options = metrics.SSIM_PRESETS[preset]
    with jax.numpy_dtype_promotion("strict"):
        assert metrics.ssim(image, image, **options) == pytest.approx(1, abs=1e-6)


def test_ssim_is_symmetric_and_blind_to_flips(pair):
    a, b = pair
    value = metrics.ssim(a, b)
    np.testing.assert_allclose(metrics.ssim(b, a), value, rtol=1e-6)
    np.testing.assert_allclose(
        metrics.ssim(a[:, ::-1, ::-1], b[:, ::-1, ::-1]), value, rtol=1e-6
    )


def test_the_hole_value_is_the_mean_of_the_map_there(pair):
    a, b = pair
    mask = np.zeros((1, 24, 20, 1), np.float32)
    mask[0, :9, 4:11] = 1
    maps = np.asarray(metrics.ssim_map(a, b))
    assert maps.shape == (1, 24, 20)
    wanted = maps[mask[..., 0] > 0].mean()
    assert metrics.ssim(a, b, mask) == pytest.approx(wanted, abs=1e-6)
    assert np.isnan(metrics.ssim(a, b, 0 * mask)[0])
    # away from the border the map is that of whole windows
    inner = maps[:, 5:-5, 5:-5].mean()
    assert metrics.ssim(a, b) == pytest.approx(inner, abs=1e-6)


def test_zero_padding_lowers_nothing_but_the_border(pair):
    a, b = pair
    padded = [np.pad(x, ((0, 0), (5, 5), (5, 5), (0, 0))) for x in (a, b)]
    np.testing.assert_allclose(
        metrics.ssim(a, b, padding="SAME_ZERO"), metrics.ssim(*padded), atol=1e-6
    )


def test_gradients_are_finite_on_flat_and_on_identical_images():
    flat = jnp.full((1, 22, 22, 3), 0.5)
    other = flat.at[0, 3, 3].set(0.75)
    for metric in (metrics.ssim, lambda x, y: metrics.ms_ssim(x, y, scales=2)):
        slope = jax.jit(jax.grad(lambda x, y, m=metric: m(x, y).sum()))
        for x, y in ((flat, flat), (flat, other), (flat, 1 - flat), (other, flat)):
            assert np.isfinite(slope(x, y)).all()


def test_opposite_contrast_has_ms_ssim_zero_not_nan():
    noise = np.random.default_rng(0).uniform(0, 1, (1, 22, 22, 3)).astype(np.float32)
    both = jax.jit(
        jax.value_and_grad(lambda x: metrics.ms_ssim(x, 1 - noise, scales=2).sum())
    )
    value, slope = both(noise)
    assert float(value) == 0
    assert np.isfinite(slope).all()


def test_one_scale_of_ms_ssim_is_ssim(pair):
    a, b = pair
    np.testing.assert_allclose(
        metrics.ms_ssim(a, b, scales=1), metrics.ssim(a, b), rtol=1e-5
    )


def test_ms_ssim_reads_odd_sizes_and_holes():
    ms_ssim = jax.jit(metrics.ms_ssim, static_argnames="scales")
    rng = np.random.default_rng(3)
    a = rng.uniform(0, 1, (2, 43, 45, 3)).astype(np.float32)
    b = np.clip(a + rng.normal(0, 0.05, a.shape), 0, 1).astype(np.float32)
    mask = np.zeros((2, 43, 45, 1), np.float32)
    mask[0, 20:30, 10:20] = 1
    whole = ms_ssim(a, b, scales=3)
    assert np.all((whole > 0.9) & (whole < 1))
    hole = ms_ssim(a, b, mask, scales=3)
    assert 0.9 < hole[0] < 1
    assert np.isnan(hole[1])
    everything = ms_ssim(a, b, np.ones_like(mask), scales=3)
    np.testing.assert_allclose(everything, whole, atol=5e-3)  # only the border differs
    composite = np.where(mask > 0, b, a)
    better = ms_ssim(composite, a, mask, scales=3)[0]
    assert better < ms_ssim(composite, a, scales=3)[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: metrics.ssim(x[:, :8], x[:, :8]), "at least 11 pixels, got 8x64"),
        (lambda x: metrics.ms_ssim(x, x), r"161 pixels, got 64x64.*at most 3 here"),
        (lambda x: metrics.ms_ssim(x, x, scales=6), "1 to 5"),
        (lambda x: metrics.ssim(x, x, window="box"), "'gaussian' or 'uniform'"),
        (lambda x: metrics.ssim(x, x, size=10), "odd"),
        (lambda x: metrics.ssim(x, x, padding="SAME"), "VALID, SAME_ZERO"),
        (lambda x: metrics.ssim(x[..., :1], x[..., :1], grey=True), "3 colours"),
    ],
)
def test_what_cannot_be_computed_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((1, 64, 64, 3), np.float32))
