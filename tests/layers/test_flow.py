import jax.numpy as jnp
import numpy as np

from inpainting_jax.layers import offsets_to_flow


def test_no_offset_is_white_and_the_largest_is_saturated():
    offsets = jnp.zeros((2, 2, 2, 2), jnp.int32)
    np.testing.assert_array_equal(offsets_to_flow(offsets), np.ones((2, 2, 2, 3)))
    offsets = offsets.at[0, 0, 0, 0].set(4).at[1, 0, 0, 0].set(2)
    down = [1, -1, -1]  # red: the wheel starts at straight down
    flow = offsets_to_flow(offsets)
    np.testing.assert_allclose(flow[:, 0, 0], [down, down], atol=1e-6)
    faint = offsets_to_flow(offsets, largest=4.0)[1, 0, 0]
    assert faint[0] == 1 and abs(faint[1]) < 0.01


def test_directions_have_their_colours():
    offsets = np.zeros((1, 1, 3, 2))
    offsets[0, 0] = [[1, 0], [-1, 0], [0, 1]]
    red, cyan, other = offsets_to_flow(offsets)[0, 0]
    assert red[0] == 1 and red[1] == red[2] == -1
    assert cyan[0] == -1 and cyan[2] == 1
    assert not np.array_equal(other, red) and not np.array_equal(other, cyan)
