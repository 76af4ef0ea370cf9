"""Feature, style and smoothness losses: by hand, and against naoto0804's values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import layers, losses

CLOSE = 1e-6  # relative: sums of a few thousand float32


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def stored(golden):
    """Arrays of the golden file, images turned to [B, H, W, C]."""
    file = golden("losses_torch")

    def read(name):
        array = file[name]
        return jnp.asarray(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array)

    return read


@pytest.fixture
def extract(golden):
    """The stored extractor: three 3x3 convolutions, a feature after each ReLU."""
    file = golden("losses_torch")
    kernels = [file[f"extractor/k{i}"].transpose(2, 3, 1, 0) for i in (1, 2, 3)]

    def run(image):
        features = []
        for kernel, strides in zip(kernels, (1, 2, 2), strict=True):
            image = layers.convolve(
                image, jnp.asarray(kernel), strides=strides, padding="SYMMETRIC"
            )
            image = jax.nn.relu(image)
            features.append(image)
        return features

    return run


@pytest.mark.parametrize("index", [0, 1, 2])
def test_style_and_features_equal_naoto(stored, index):
    ours, target = stored(f"style/f{index}"), stored(f"style/g{index}")
    gram = losses.gram_matrix(ours)
    np.testing.assert_allclose(gram, stored(f"style/gram_f{index}"), rtol=1e-5)
    value = losses.style_loss([ours], [target])
    assert value.shape == (len(ours),)
    np.testing.assert_allclose(value.mean(), stored(f"style/l1{index}"), rtol=1e-5)
    value = losses.perceptual_loss([ours], [target])
    expected = stored(f"style/perceptual_l1{index}")
    np.testing.assert_allclose(value.mean(), expected, rtol=CLOSE)


def test_total_variation_equals_naoto(stored):
    ours = losses.total_variation_loss(stored("image"))
    np.testing.assert_allclose(ours.mean(), stored("tv_naoto"), rtol=CLOSE)


def test_every_term_of_the_partial_convolution_objective_equals_naoto(stored, extract):
    image, output, valid = (stored(n) for n in ("image", "output", "mask_valid"))
    composite = valid * image + (1 - valid) * output
    truth, raw, mixed = (extract(x) for x in (image, output, composite))
    terms = {
        "hole": losses.weighted_l1_loss(output, image, 1 - valid),
        "valid": losses.weighted_l1_loss(output, image, valid),
        "prc": losses.perceptual_loss(raw, truth)
        + losses.perceptual_loss(mixed, truth),
        "style": losses.style_loss(raw, truth) + losses.style_loss(mixed, truth),
        "tv": losses.total_variation_loss(composite),
    }
    for name, term in terms.items():
        expected = stored(f"pconv_loss/{name}")
        np.testing.assert_allclose(term.mean(), expected, rtol=5e-6, err_msg=name)


def test_gram_by_a_loop_and_its_normalisers(rng):
    features = rng.normal(size=(1, 3, 4, 2)).astype(np.float32)
    expected = np.zeros((2, 2))
    for row in range(3):
        for column in range(4):
            vector = features[0, row, column]
            expected += np.outer(vector, vector)
    for name, size in (("chw", 24), ("hw", 12), ("none", 1)):
        ours = losses.gram_matrix(jnp.asarray(features), normalization=name)
        np.testing.assert_allclose(ours[0], expected / size, rtol=1e-5)
    with pytest.raises(ValueError, match=r"'c'.*chw, hw, none"):
        losses.gram_matrix(jnp.asarray(features), normalization="c")


def test_style_does_not_see_where_features_are(rng):
    features = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
    shuffled = features.reshape(2, 16, 3)[:, rng.permutation(16)].reshape(2, 4, 4, 3)
    ours, moved = [jnp.asarray(features)], [jnp.asarray(shuffled)]
    np.testing.assert_allclose(losses.style_loss(ours, moved), [0, 0], atol=1e-6)
    assert (losses.perceptual_loss(ours, moved) > 0.1).all()


def test_gatys_layer_loss_is_a_quarter_of_the_mean_square(rng):
    ours, theirs = rng.normal(size=(2, 1, 3, 5, 4)).astype(np.float32)
    flat = [x.reshape(15, 4) for x in (ours, theirs)]
    grams = [x.T @ x for x in flat]
    expected = ((grams[0] - grams[1]) ** 2).sum() / (4 * 4**2 * 15**2)
    value = losses.style_loss(
        [jnp.asarray(ours)], [jnp.asarray(theirs)], squared=True, normalization="hw"
    )
    np.testing.assert_allclose(value / 4, [expected], rtol=1e-5)


def test_layer_weights_squares_and_gradients():
    zero, one = jnp.zeros((2, 2, 2, 1)), jnp.full((2, 2, 2, 1), 3.0)
    ours, target = [zero, zero], [one, one]
    value = losses.perceptual_loss(ours, target, squared=True, layer_weights=(1, 0.5))
    np.testing.assert_allclose(value, [13.5, 13.5])
    gradient = jax.grad(lambda t: losses.perceptual_loss(ours, t).sum())(target)
    assert all((g == 0).all() for g in gradient)
    gradient = jax.grad(lambda f: losses.style_loss(f, target).sum())([one, zero])
    assert all(jnp.isfinite(g).all() for g in gradient)


def test_layers_must_correspond():
    feature = jnp.zeros((1, 4, 4, 2))
    with pytest.raises(ValueError, match="2 layers cannot be compared with 1"):
        losses.perceptual_loss([feature, feature], [feature])
    with pytest.raises(ValueError, match="differ in shape"):
        losses.style_loss([feature], [feature[:, :2]])


def test_gram_of_bfloat16_features_is_summed_in_float32():
    features = jnp.full((1, 64, 64, 2), 1.0, jnp.bfloat16)
    gram = losses.gram_matrix(features, normalization="none")
    assert gram.dtype == jnp.float32
    np.testing.assert_allclose(gram, jnp.full((1, 2, 2), 4096.0))


def test_total_variation_counts_pairs_inside_the_dilated_hole_only(rng):
    image = rng.normal(size=(1, 7, 8, 2)).astype(np.float32)
    mask = np.zeros((1, 7, 8, 1), np.float32)
    mask[0, 2:4, 3] = 1
    for dilation in (0, 1):
        rows = range(2 - dilation, 4 + dilation)
        columns = range(3 - dilation, 4 + dilation)
        vertical = [(r, r + 1, c, c) for r in rows[:-1] for c in columns]
        horizontal = [(r, r, c, c + 1) for r in rows for c in columns[:-1]]
        sums = [
            sum(np.abs(image[0, a, c] - image[0, b, d]).sum() for a, b, c, d in pairs)
            for pairs in (vertical, horizontal)
        ]
        options = {"dilation": dilation}
        ours = losses.total_variation_loss(image, jnp.asarray(mask), **options)
        np.testing.assert_allclose(ours, [sums[0] / 96 + sums[1] / 98], rtol=1e-5)
        ours = losses.total_variation_loss(
            image, jnp.asarray(mask), per_region=True, **options
        )
        counts = [max(2 * len(pairs), 1) for pairs in (vertical, horizontal)]
        expected = sums[0] / counts[0] + sums[1] / counts[1]
        np.testing.assert_allclose(ours, [expected], rtol=1e-5)


def test_total_variation_without_a_hole_is_zero_and_its_gradient_finite():
    image, mask = jnp.ones((2, 1, 5, 3)), jnp.zeros((2, 1, 5, 1))
    value, gradient = jax.jit(
        jax.value_and_grad(
            lambda x: losses.total_variation_loss(x, mask, per_region=True).sum()
        )
    )(image)
    assert value == 0
    assert (gradient == 0).all()
    with pytest.raises(ValueError, match="dilation >= 0, got -1"):
        losses.total_variation_loss(image, mask, dilation=-1)
    with pytest.raises(ValueError, match="must be"):
        losses.total_variation_loss(image, mask[:, :, :4])
