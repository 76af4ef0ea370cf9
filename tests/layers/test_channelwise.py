"""The channel-wise layer against a loop, and what must not depend on what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax.layers import ChannelwiseFC, channelwise_fc


@pytest.fixture
def arrays(rng):
    shapes = ((2, 3, 4, 5), (5, 12, 12), (5, 12))
    return [jnp.asarray(rng.normal(size=s).astype(np.float32)) for s in shapes]


def test_equals_a_loop_over_channels_and_positions(arrays, error):
    features, kernel, bias = (np.asarray(a) for a in arrays)
    expected = np.zeros_like(features)
    for image in range(2):
        for channel in range(5):
            for q in range(12):
                total = bias[channel, q]
                for p in range(12):
                    value = features[image, p // 4, p % 4, channel]
                    total += value * kernel[channel, p, q]
                expected[image, q // 4, q % 4, channel] = total
    assert error(channelwise_fc(*arrays), expected) < 1e-5
    assert error(jax.jit(channelwise_fc)(*arrays), expected) < 1e-5


def test_identity_matrices_change_nothing(arrays):
    identity = jnp.broadcast_to(jnp.eye(12), (5, 12, 12))
    np.testing.assert_array_equal(channelwise_fc(arrays[0], identity), arrays[0])


def test_permuting_channels_with_their_maps_permutes_the_result(arrays, error):
    features, kernel, bias = arrays
    order = jnp.array([3, 0, 4, 1, 2])
    out = channelwise_fc(features[..., order], kernel[order], bias[order])
    assert error(out, channelwise_fc(*arrays)[..., order]) < 1e-6


def test_no_channel_reads_another_and_every_position_reads_all(arrays):
    def value(features):
        return channelwise_fc(features, *arrays[1:])[0, 1, 2, 3]

    gradient = np.array(jax.grad(value)(arrays[0]))
    assert (gradient[0, :, :, 3] != 0).all()
    gradient[0, :, :, 3] = 0
    assert (gradient == 0).all()


def test_alexnet_s_bottleneck_has_the_paper_s_parameters(key):
    layer = ChannelwiseFC()
    shapes = jax.eval_shape(layer.init, key, jnp.zeros((1, 6, 6, 256)))["params"]
    assert shapes["kernel"].size == 331_776
    assert shapes["bias"].shape == (256, 36)
    bare = ChannelwiseFC(use_bias=False)
    assert set(jax.eval_shape(bare.init, key, jnp.zeros((1, 6, 6, 4)))["params"]) == {
        "kernel"
    }


def test_fresh_weights_keep_the_variance(rng, key):
    features = jnp.asarray(rng.normal(size=(64, 6, 6, 8)).astype(np.float32))
    layer = ChannelwiseFC()
    out = layer.apply(layer.init(key, features), features)
    assert float(out.std()) == pytest.approx(1, abs=0.05)


def test_a_kernel_for_another_size_is_refused(arrays):
    with pytest.raises(ValueError, match=r"expected \(5, 9, 9\)"):
        channelwise_fc(arrays[0][:, :, :3], arrays[1])


def test_half_precision_stays_half(arrays):
    out = channelwise_fc(arrays[0].astype(jnp.bfloat16), *arrays[1:])
    assert out.dtype == jnp.bfloat16
