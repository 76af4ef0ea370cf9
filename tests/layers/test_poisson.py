import jax
import jax.numpy as jnp
import numpy as np

from inpainting_jax.layers.poisson import poisson_blend


def test_equals_a_direct_solution(golden):
    """Within 2e-3 grey levels of a sparse factorisation, on 4473 unknowns."""
    file = golden("poisson_exact")
    source, target = (
        jnp.asarray(file[name][None], jnp.float32) for name in ("source", "target")
    )
    mask = jnp.asarray(file["mask"][None, ..., None] > 127, jnp.float32)
    ours = jax.jit(poisson_blend)(source, target, mask)
    hole = file["mask"] > 127
    assert np.abs(np.asarray(ours[0])[hole] - file["exact"]).max() < 2e-3


def test_a_constant_offset_vanishes(rng):
    target = jnp.asarray(rng.normal(size=(2, 12, 10, 3)).astype(np.float32))
    mask = jnp.zeros((2, 12, 10, 1)).at[0, 3:8, 2:9].set(1).at[1, 0:5, 0:4].set(1)
    hidden = jnp.where(mask > 0, 7.0, target)
    out = poisson_blend(target + 0.75, hidden, mask)
    np.testing.assert_allclose(out, target, atol=1e-5)


def test_an_image_without_known_pixels_keeps_the_source(rng):
    source = jnp.asarray(rng.normal(size=(1, 6, 6, 3)).astype(np.float32))
    out = poisson_blend(source, jnp.zeros_like(source), jnp.ones((1, 6, 6, 1)))
    np.testing.assert_array_equal(out, source)


def test_what_the_hole_contained_has_no_effect(rng):
    source = jnp.asarray(rng.normal(size=(1, 8, 8, 1)).astype(np.float32))
    mask = jnp.zeros((1, 8, 8, 1)).at[0, 2:6, 2:6].set(1)
    target = jnp.asarray(rng.normal(size=(1, 8, 8, 1)).astype(np.float32))
    a = poisson_blend(source, target, mask)
    b = poisson_blend(source, jnp.where(mask > 0, 1e6, target), mask)
    np.testing.assert_array_equal(a, b)
