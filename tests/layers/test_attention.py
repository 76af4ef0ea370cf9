import functools
import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inpainting_jax import runtime
from inpainting_jax.layers import contextual_attention, offsets_to_flow, resize_nearest
from inpainting_jax.layers.resize import nearest_indices

_SOURCES = {
    "tf_original": {"shared_mask": True},
    "nipponjo_tf": {"shared_mask": True},
    "nipponjo": {"shared_mask": True, "resize_rule": "floor"},
    "daa233": {"shared_mask": True, "resize_rule": "floor", "patch_norm": "daa233"},
    "mmagic": {"resize_rule": "floor", "overlap": "exact", "mask_mode": "neg_inf"},
}


pytestmark = pytest.mark.usefixtures("one_device")


@functools.partial(jax.jit, static_argnames="options")
def _jitted(foreground, background, mask, options):
    return contextual_attention(foreground, background, mask, **dict(options))


def _call(foreground, background, mask, **options):
    return _jitted(foreground, background, mask, tuple(sorted(options.items())))


def _features(rng, *shape):
    return jnp.asarray(rng.normal(size=shape).astype(np.float32))


def _hole(height, width, rows, columns):
    mask = np.zeros((1, height, width, 1), np.float32)
    mask[:, slice(*rows), slice(*columns)] = 1
    return jnp.asarray(mask)


@pytest.mark.parametrize("source", _SOURCES)
def test_published_implementations_are_reproduced(golden, error, source):
    stored = golden(f"contextual_attention_{source}")
    options = _SOURCES[source]

    def read(name):
        array = stored[name]
        return array if source == "tf_original" else array.transpose(0, 2, 3, 1)

    for case in json.loads(str(stored["meta"]))["cases"]:
        foreground = read(case["foreground"])
        size = [side // case["rate"] for side in foreground.shape[1:3]]
        # No mask is the same as an empty one, and spares a compilation here.
        mask = jnp.zeros((1, *size, 1))
        if case["mask"] is not None:
            # Some take it at image size and bring it down in one step by 8.
            mask, rule = read(case["mask"]), options.get("resize_rule", "align_corners")
            mask = resize_nearest(jnp.asarray(mask), *size, rule=rule)
        filled, offsets = _call(
            foreground,
            read(case["background"]),
            mask,
            rate=case["rate"],
            fuse=case["fuse"],
            **options,
        )
        # The softmax magnifies rounding tenfold; 5e-5 is reached.
        assert error(filled, read(f"{case['case']}/y")) < 2e-4, case
        if source == "tf_original":
            flow = stored[f"{case['case']}/flow"]
            _check_flow(offsets, flow.astype(np.float64), str(case))


def _check_flow(offsets, expected, case):
    lengths = np.linalg.norm(np.asarray(offsets, np.float64), axis=-1)
    flow = offsets_to_flow(offsets, largest=lengths.max())
    rows = _bilinear_weights(flow.shape[1], expected.shape[1])
    columns = _bilinear_weights(flow.shape[2], expected.shape[2])
    flow = np.einsum("Yy,byxc,Xx->bYXc", rows, flow, columns)
    # Half a step of the float16 in which it is stored, below 1.
    np.testing.assert_allclose(flow, expected, atol=2**-12 + 1e-6, err_msg=case)


def _bilinear_weights(size, new_size):
    """[new_size, size] weights of a bilinear resize with aligned corners."""
    if size == new_size:
        return np.eye(size)
    place = np.arange(new_size) * (size - 1) / (new_size - 1)
    below = np.minimum(place.astype(int), size - 2)
    weights = np.zeros((new_size, size))
    weights[np.arange(new_size), below] = 1 - (place - below)
    weights[np.arange(new_size), below + 1] = place - below
    return weights


def _loop(foreground, background, mask, *, rate, fuse, mask_mode="zero", stride=1):
    """One image by the letter of the paper's code: double loops, float64."""
    f, b, m = (
        np.asarray(array, np.float64)[0] for array in (foreground, background, mask)
    )

    def reduced(array):
        rows, columns = (
            nearest_indices(side, side // rate, "align_corners")
            for side in array.shape[:2]
        )
        return np.pad(array[rows][:, columns], ((1, 1), (1, 1), (0, 0)))

    def positions(array):
        return [
            (y, x)
            for y in range(len(array) // rate)
            for x in range(len(array[0]) // rate)
        ]

    small_f, small_b, small_m = reduced(f), reduced(b), reduced(m)
    queries, keys = positions(f), positions(b)
    scores = np.zeros((len(queries), len(keys)))
    for p, (py, px) in enumerate(queries):
        for j, (jy, jx) in enumerate(keys):
            patch = small_b[jy : jy + 3, jx : jx + 3]
            length = max(np.sqrt(np.sum(patch**2)), 1e-4)
            scores[p, j] = np.sum(small_f[py : py + 3, px : px + 3] * patch) / length

    def along(table, query_order, key_order):
        summed = np.zeros_like(table)
        for p in range(len(query_order)):
            for j in range(len(key_order)):
                for t in (-1, 0, 1):
                    if 0 <= p + t < len(query_order) and 0 <= j + t < len(key_order):
                        summed[query_order[p], key_order[j]] += table[
                            query_order[p + t], key_order[j + t]
                        ]
        return summed

    if fuse:
        scores = along(scores, range(len(queries)), range(len(keys)))
        by_column = [
            sorted(range(len(grid)), key=lambda i, grid=grid: grid[i][::-1])
            for grid in (queries, keys)
        ]
        scores = along(scores, *by_column)
    valid = np.array(
        [
            not small_m[y : y + 3, x : x + 3].any() and y % stride == x % stride == 0
            for y, x in keys
        ]
    )
    logits = 10 * (scores * valid if mask_mode == "zero" else scores)
    if mask_mode == "neg_inf":
        logits[:, ~valid] = -np.inf
    weights = np.exp(logits - logits.max(1, keepdims=True))
    weights = weights / weights.sum(1, keepdims=True) * valid
    raw = np.pad(b, ((rate, rate), (rate, rate), (0, 0)))
    out = np.zeros((f.shape[0] + 2 * rate, f.shape[1] + 2 * rate, f.shape[2]))
    lead = rate - rate // 2  # a patch starts rate // 2 pixels before its position
    for p, (py, px) in enumerate(queries):
        for j, (jy, jx) in enumerate(keys):
            top, left = jy * rate + lead, jx * rate + lead
            patch = raw[top : top + 2 * rate, left : left + 2 * rate]
            top, left = py * rate + lead, px * rate + lead
            out[top : top + 2 * rate, left : left + 2 * rate] += weights[p, j] * patch
    best = weights.argmax(1)
    offsets = np.array(keys)[best] - np.array(queries)
    grid = (f.shape[0] // rate, f.shape[1] // rate, 2)
    return out[rate:-rate, rate:-rate] / 4, offsets.reshape(grid)


@pytest.mark.parametrize(
    ("background_size", "options"),
    [
        ((8, 12), {"rate": 2, "fuse": True}),
        ((8, 12), {"rate": 2, "fuse": False}),
        ((8, 12), {"rate": 2, "fuse": True, "mask_mode": "neg_inf"}),
        ((4, 6), {"rate": 1, "fuse": True}),
        ((10, 6), {"rate": 2, "fuse": True}),
        ((12, 9), {"rate": 3, "fuse": True}),
        ((8, 12), {"rate": 2, "fuse": False, "stride": 2}),
    ],
)
def test_attention_equals_double_loops_dense_and_in_blocks(
    rng, error, background_size, options
):
    rate = options["rate"]
    foreground = _features(rng, 1, 4 * rate, 5 * rate, 3)
    background = _features(rng, 1, *background_size, 3)
    mask = _hole(*background_size, (0, 2), (0, 2))
    expected, offsets = _loop(foreground, background, mask, **options)
    for block_size in (4, 3):
        filled, found = _call(
            foreground, background, mask, block_size=block_size, **options
        )
        assert error(filled[0], expected) < 1e-5, block_size
        np.testing.assert_array_equal(found[0], offsets)


@functools.partial(jax.jit, static_argnames="options")
def _gradient(foreground, background, mask, options):
    """Gradients of a weighted sum, and the result itself."""

    def total(foreground, background):
        filled, offsets = contextual_attention(
            foreground, background, mask, **dict(options)
        )
        weights = jnp.cos(jnp.arange(filled.size, dtype=jnp.float32))
        return jnp.sum(filled * weights.reshape(filled.shape)), (filled, offsets)

    return jax.grad(total, (0, 1), has_aux=True)(foreground, background)


@pytest.mark.parametrize(("fuse_k", "block_size"), [(3, 1), (3, 5), (5, 5)])
def test_blocks_and_their_gradient_equal_the_dense_form(rng, error, fuse_k, block_size):
    # Small features leave the softmax soft, so that every score has a gradient.
    foreground, background = (0.1 * _features(rng, 2, 24, 16, 4) for _ in range(2))
    mask = jnp.concatenate(
        [_hole(24, 16, (8, 16), (4, 12)), _hole(24, 16, (0, 6), (2, 8))]
    )
    results = [
        _gradient(
            foreground, background, mask, (("block_size", rows), ("fuse_k", fuse_k))
        )
        for rows in (block_size, 12)
    ]
    (in_blocks, (filled, offsets)), (dense, (expected, same_offsets)) = results
    assert error(filled, expected) < 1e-5
    np.testing.assert_array_equal(offsets, same_offsets)
    for blocked, whole in zip(in_blocks, dense, strict=True):
        # The softmax's gradient is a difference of nearly equal float32 sums.
        assert error(blocked, whole) < 5e-5


def test_gradient_in_blocks_needs_a_fraction_of_the_memory():
    shape = jax.ShapeDtypeStruct((1, 64, 64, 8), jnp.float32)

    def temporary(block_size):
        def total(features):
            filled, _ = contextual_attention(
                features, features, None, block_size=block_size
            )
            return jnp.sum(filled**2)

        compiled = jax.jit(jax.grad(total)).lower(shape).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # A quarter of the rows each, plus margins; without rematerialisation the blocks
    # together would keep more than the dense form does.
    assert temporary(2) < temporary(32) / 3


@pytest.mark.parametrize(
    ("mask_mode", "block_size"), [("zero", 2), ("zero", None), ("neg_inf", None)]
)
def test_nothing_left_to_copy_gives_exact_zero_and_finite_gradients(
    rng, mask_mode, block_size
):
    features, mask = _features(rng, 1, 8, 8, 3), jnp.ones((1, 8, 8, 1))
    options = (("block_size", block_size), ("mask_mode", mask_mode))
    gradients, (filled, offsets) = _gradient(features, features, mask, options)
    assert not np.any(filled) and not np.any(offsets)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_flat_features_have_finite_gradients():
    zeros = jnp.zeros((1, 8, 8, 3))
    gradients, _ = _gradient(zeros, zeros, _hole(8, 8, (2, 6), (2, 6)), ())
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@pytest.mark.parametrize(("fuse", "margin"), [(False, 0), (True, 1)])
def test_background_inside_the_hole_is_never_read(rng, fuse, margin):
    foreground, background = _features(rng, 1, 24, 24, 3), _features(rng, 1, 24, 24, 3)
    mask = _hole(24, 24, (6, 18), (6, 18))
    gradient = jax.grad(
        lambda b: jnp.sum(jnp.sin(_call(foreground, b, mask, rate=1, fuse=fuse)[0]))
    )(background)
    # Fusion takes place before masking: it reads the outermost pixels of the hole.
    inside = slice(6 + margin, 18 - margin)
    assert not np.any(np.asarray(gradient)[0, inside, inside])
    assert np.all(np.asarray(gradient)[0, :6].any(axis=-1))


def test_two_masks_in_a_batch_equal_two_batches(rng, error):
    features = _features(rng, 2, 16, 16, 4)
    mask = jnp.concatenate(
        [_hole(16, 16, (4, 10), (2, 8)), _hole(16, 16, (8, 14), (8, 14))]
    )
    filled, offsets = _call(features, features, mask)
    shared, _ = _call(features, features, mask, shared_mask=True)
    for index in range(2):
        one = slice(index, index + 1)
        alone, its_offsets = _call(features[one], features[one], mask[one])
        assert error(filled[one], alone) < 1e-6
        np.testing.assert_array_equal(offsets[one], its_offsets)
    with_first, _ = _call(features[1:], features[1:], mask[:1])
    assert error(shared[1:], with_first) < 1e-6
    assert error(shared[1:], filled[1:]) > 0.1


def test_mask_may_come_at_the_size_of_the_scores(rng):
    features, mask = _features(rng, 1, 16, 16, 4), _hole(16, 16, (4, 10), (2, 8))
    small = resize_nearest(mask, 8, 8)
    filled, _ = _call(features, features, mask)
    same, _ = _call(features, features, small)
    np.testing.assert_array_equal(same, filled)


def test_known_image_copies_itself_from_where_it_is(rng):
    features = _features(rng, 1, 16, 16, 16)
    filled, offsets = _call(features, features, None, overlap="exact")
    assert not np.any(offsets)
    np.testing.assert_allclose(filled, features, atol=1e-3)


def test_jitted_equals_eager(rng, error):
    features, mask = _features(rng, 1, 16, 16, 4), _hole(16, 16, (2, 6), (2, 6))
    jitted = _call(features, features, mask)
    eager = contextual_attention(features, features, mask)
    assert error(jitted[0], eager[0]) < 1e-5
    np.testing.assert_array_equal(jitted[1], eager[1])


def test_bfloat16_features_are_scored_in_float32(rng, error):
    features, mask = _features(rng, 1, 16, 16, 8), _hole(16, 16, (4, 10), (4, 10))
    rounded = features.astype(jnp.bfloat16)
    filled, _ = _call(rounded, rounded, mask)
    expected, _ = _call(*(rounded.astype(jnp.float32),) * 2, mask)
    assert filled.dtype == jnp.bfloat16
    assert error(filled.astype(jnp.float32), expected) < 0.03  # weights have 8 bits


@pytest.mark.parametrize("block_size", [None, 3])
def test_entropy_is_0_for_one_patch_and_1_for_all_alike(rng, block_size):
    """Rounding of the logarithm: 1e-5."""
    mask = jnp.zeros((1, 16, 16, 1)).at[:, 4:8, 4:8].set(1)
    options = {"rate": 2, "fuse": False, "entropy": True, "block_size": block_size}
    same = jnp.ones((1, 16, 16, 3))
    # All alike need one length: patches at the border, shorter, have none with `max`.
    *_, even = contextual_attention(
        same, same, mask, ksize=1, mask_mode="neg_inf", **options
    )
    np.testing.assert_allclose(even, np.ones((1, 8, 8)), atol=1e-5)
    features = jnp.asarray(rng.normal(size=(1, 16, 16, 64)), jnp.float32)
    filled, offsets, sharp = contextual_attention(
        features, features, mask, softmax_scale=1e4, **options
    )
    assert (sharp >= 0).all() and jnp.median(sharp) < 1e-5
    plain = contextual_attention(
        features, features, mask, softmax_scale=1e4, **(options | {"entropy": False})
    )
    np.testing.assert_array_equal(filled, plain[0])
    np.testing.assert_array_equal(offsets, plain[1])


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 9, 8, 2), (1, 8, 8, 2), None), {}, "multiples of rate=2"),
        (((1, 8, 8, 2), (1, 8, 8, 3), None), {}, "same batch and channels"),
        (((1, 8, 8, 2), (1, 8, 8, 2), (1, 16, 16, 1)), {}, "resize_nearest"),
        (((2, 8, 8, 2), (2, 8, 8, 2), (3, 8, 8, 1)), {}, "resize_nearest"),
        (((1, 8, 8, 2), (1, 8, 8, 2), None), {"ksize": 2}, "odd"),
        (((1, 8, 8, 2), (1, 8, 8, 2), None), {"fuse_k": 4}, "odd"),
        (((1, 4, 4, 2), (1, 4, 4, 2), None), {"fuse_k": 7}, "smaller fuse_k"),
        (((1, 8, 8, 2), (1, 8, 8, 2), None), {"block_size": 0}, "at least 1"),
        (((1, 8, 8, 2), (1, 8, 8, 2), None), {"stride": 0}, "at least 1"),
        (
            ((1, 8, 8, 2), (1, 8, 8, 2), None),
            {"overlap": "true"},
            "'const4' or 'exact'",
        ),
        (((1, 8, 8, 2), (1, 8, 8, 2), None), {"mask_mode": "inf"}, "'neg_inf'"),
    ],
)
def test_what_does_not_fit_is_refused(shapes, options, message):
    arrays = [None if shape is None else jnp.ones(shape) for shape in shapes]
    with pytest.raises(ValueError, match=message):
        contextual_attention(*arrays, **options)


@pytest.mark.parametrize(("free", "in_blocks"), [(2**21, True), (2**33, False)])
def test_scarce_memory_makes_blocks(free, in_blocks, monkeypatch):
    monkeypatch.setattr(runtime, "free_memory", lambda: free)
    features = jnp.zeros((1, 32, 32, 2))  # a table of 2**16 scores, 256 KiB
    program = jax.make_jaxpr(lambda f: contextual_attention(f, f, None))(features)
    assert ("scan" in str(program)) == in_blocks


def test_free_memory_is_round_and_the_same_again():
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 80 * 2**30, "bytes_in_use": 20 * 2**30}

    assert runtime.free_memory(Device()) == 32 * 2**30
    found = runtime.free_memory()
    assert found == runtime.free_memory() and found & (found - 1) == 0
    assert 2**26 < found <= runtime.MOST_CPU_MEMORY


_LARGE = """
import resource, time
import jax, jax.numpy as jnp
from inpainting_jax.layers import contextual_attention
features = jax.random.normal(jax.random.key(0), (1, 512, 512, 96))
mask = jnp.zeros((1, 512, 512, 1)).at[:, 128:256, 192:320].set(1)
start = time.perf_counter()
filled, offsets = jax.jit(contextual_attention)(features, features, mask)
assert bool(jnp.all(jnp.isfinite(filled))), "not finite"
assert bool(jnp.any(offsets)), "no offsets"
print(time.perf_counter() - start)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_a_2048_pixel_image_is_filled_within_5_gib():
    result = subprocess.run(
        [sys.executable, "-c", _LARGE],
        cwd=pathlib.Path(__file__).parents[2],
        env={"PATH": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = map(float, result.stdout.split())
    print(f"{seconds:.0f} s, {peak:.2f} GiB")
    assert peak < 5
