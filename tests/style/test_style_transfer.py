"""Style transfer by pixels and by network: losses by hand, sizes, fixed points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.features import FeatureNetwork
from inpainting_jax.features.vgg import conv_names, normalise
from inpainting_jax.style import (
    Perception,
    TransformerNet,
    fit_transformer,
    gatys,
    johnson,
    style_transfer,
    transformer_loss,
)
from inpainting_jax.style.perception import grams_of
from inpainting_jax.style.transformer import ResidualBlock, from_grey_levels


def narrow_vgg(norm="torch", *, bias=0.1):
    """VGG16 of 6 channels a layer, for its taps and sizes alone."""
    rng = np.random.default_rng(0)
    layers, channels = {}, 3
    for name in conv_names("vgg16"):
        kernel = rng.standard_normal((3, 3, channels, 6)) * np.sqrt(2 / 9 / channels)
        layers[name] = {
            "kernel": kernel.astype(np.float32),
            "bias": np.full(6, bias, np.float32),
        }
        channels = 6
    return FeatureNetwork("vgg16", layers, norm, "narrow", is_random=True)


@pytest.fixture(scope="module", autouse=True)
def _unoptimised():
    """Each program runs once: compiling is what takes time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def network():
    return narrow_vgg()


@pytest.fixture
def images():
    rng = np.random.default_rng(1)
    return jnp.asarray(rng.uniform(-1, 1, (2, 32, 32, 3)), jnp.float32)


def test_both_losses_of_gatys_equal_the_sums_of_the_paper():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 2, 3, 5, 4))
    content = gatys.content_loss(jnp.asarray(ours), jnp.asarray(theirs))
    np.testing.assert_allclose(
        content, [0.5 * ((a - b) ** 2).sum() for a, b in zip(ours, theirs, strict=True)]
    )
    channels, pixels = 4, 15
    for b in range(2):
        total = 0.0
        for i, j in np.ndindex(channels, channels):
            gram = (ours[b, ..., i] * ours[b, ..., j]).sum()
            total += (gram - (theirs[b, ..., i] * theirs[b, ..., j]).sum()) ** 2
        expected = total / (4 * channels**2 * pixels**2)
        grams = [
            grams_of([jnp.asarray(x[b : b + 1])], normalization="hw")
            for x in (ours, theirs)
        ]
        np.testing.assert_allclose(gatys.style_loss(*grams), [expected], rtol=1e-5)


def test_features_are_in_grey_levels_whatever_the_network_takes(images):
    """The same weights, fed with [-1, 1] or with grey levels, without biases."""
    small, grey = (
        Perception(narrow_vgg(norm, bias=0.0), ("conv2_1",), ("conv1_2",))
        for norm in ("signed", "caffe_rgb")
    )
    shifted = from_grey_levels(127.5 * images)
    for ours, theirs in zip(
        jax.tree.leaves(small.features(images)),
        jax.tree.leaves(grey.features(shifted)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-2)
    back = normalise(from_grey_levels(images), "caffe_rgb")
    np.testing.assert_allclose(back, images, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_loss_falls_and_the_content_itself_is_at_rest(network, images, optimizer):
    content, style = images[:1, :16, :16], images[1:]

    def paint(style, **options):
        return style_transfer(
            content,
            style,
            network=network,
            steps=8,
            style_taps=("conv1_1", "conv4_1"),
            optimizer=optimizer,
            **options,
        )

    painted = paint(style)
    assert painted.image.shape == content.shape and painted.losses.shape == (8,)
    assert painted.losses[-1] < 0.8 * painted.losses[0]
    assert jnp.abs(painted.image).max() <= 1
    # Its own style: rounding is left to minimise, and nothing is not a number.
    still = paint(content)
    assert still.losses.max() < 1e-6 * painted.losses[0]
    assert jnp.isfinite(still.image).all()


def test_noise_follows_from_the_seed(network, images):
    def paint(seed):
        return style_transfer(
            images,
            images[:1],
            network=network,
            steps=1,
            optimizer="adam",
            start="noise",
            seed=seed,
        ).image

    np.testing.assert_array_equal(paint(3), paint(3))
    assert jnp.abs(paint(3) - paint(4)).max() > 0.1


def test_wrong_choices_are_refused(network, images):
    with pytest.raises(ValueError, match="'sgd'"):
        style_transfer(images, images, network=network, optimizer="sgd")
    with pytest.raises(ValueError, match="'style'"):
        style_transfer(images, images, network=network, start="style")
    with pytest.raises(ValueError, match="one for each image"):
        style_transfer(images, jnp.tile(images, (2, 1, 1, 1)), network=network)
    with pytest.raises(ValueError, match=r"multiples of 4, got \(30, 32\)"):
        TransformerNet().init(jax.random.key(0), images[:, :30])
    with pytest.raises(ValueError, match="'layer'"):
        TransformerNet(norm="layer").init(jax.random.key(0), images)


def test_the_transformer_keeps_the_size_and_has_the_papers_parameters():
    net = TransformerNet()
    blank = jnp.zeros((1, 256, 256, 3))
    params = jax.eval_shape(net.init, jax.random.key(0), blank)["params"]
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    convs = 81 * 3 * 32 + 9 * 32 * 64 + 9 * 64 * 128 + 10 * 9 * 128 * 128
    convs += 9 * 128 * 64 + 9 * 64 * 32 + 81 * 32 * 3
    channels = 32 + 64 + 128 + 10 * 128 + 64 + 32
    assert count == convs + 3 * channels + 3 == 1_679_235
    for size in ((256, 256), (16, 100), (8, 4)):
        shape = (2, *size, 3)
        drawn = jax.eval_shape(net.apply, {"params": params}, jnp.zeros(shape))
        assert drawn.shape == shape


def test_a_block_without_change_is_a_crop():
    """The identity branch loses what two convolutions without padding lose."""
    features = jnp.arange(2.0 * 8 * 7 * 3).reshape(2, 8, 7, 3)
    block = ResidualBlock(3, norm=None)
    variables = block.init(jax.random.key(0), features)
    silent = jax.tree.map(jnp.zeros_like, variables)
    np.testing.assert_array_equal(
        block.apply(silent, features), features[:, 2:-2, 2:-2]
    )


def test_variation_is_that_of_the_released_code(images):
    """Whose gradient is spelt out: differences on the corner block, their negatives."""
    strength, image = 0.3, images[:1, :4, :5]
    grey = np.asarray(image, np.float64) * 127.5
    down = grey[:, :-1, :-1] - grey[:, 1:, :-1]
    across = grey[:, :-1, :-1] - grey[:, :-1, 1:]
    expected = np.zeros_like(grey)
    expected[:, :-1, :-1] += down + across
    expected[:, 1:, :-1] -= down
    expected[:, :-1, 1:] -= across

    def total(image):
        return strength * johnson.squared_variation(image).sum()

    gradient = jax.grad(total)(image)
    # To a pixel in [-1, 1]: 127.5 times that to one in grey levels.
    np.testing.assert_allclose(gradient, strength * expected * 127.5, rtol=1e-4)
    value = 0.5 * strength * ((down**2) + across**2).sum()
    np.testing.assert_allclose(total(image), value, rtol=1e-5)


def test_the_loss_of_the_transformer_is_its_three_parts(network, images):
    perception = Perception(network, ("relu3_3",), ("relu1_2", "relu2_2"))
    pictures = images[::-1]
    kept, painted = perception.features(pictures)
    target, _ = perception.features(images)
    grams = grams_of(perception.features(images[:1, :16])[1], normalization="chw")
    loss = transformer_loss(
        pictures,
        images,
        grams,
        perception=perception,
        content_weight=2.0,
        style_weight=3.0,
        tv_weight=1e-6,
    )
    content = ((kept[0] - target[0]) ** 2).mean(axis=(1, 2, 3))
    style = sum(
        ((ours - theirs) ** 2).mean(axis=(1, 2))
        for ours, theirs in zip(
            grams_of(painted, normalization="chw"), grams, strict=True
        )
    )
    smooth = johnson.squared_variation(pictures)
    np.testing.assert_allclose(loss, 2 * content + 3 * style + 1e-6 * smooth, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_transformer_learns(network, images, norm):
    net = TransformerNet(width=2, blocks=1, norm=norm)
    fitted = fit_transformer(
        jax.random.key(0),
        images[:, :16, :16],
        images[:1],
        network=network,
        net=net,
        steps=12,
        batch_size=2,
        learning_rate=1e-2,
    )
    assert fitted.losses.shape == (12,) and jnp.isfinite(fitted.losses).all()
    assert fitted.losses[-1] < 0.8 * fitted.losses[0]
    assert set(fitted.variables) == {"params"} | (
        {"batch_stats"} if norm == "batch" else set()
    )
    drawn = net.apply(fitted.variables, images)
    assert drawn.shape == images.shape
