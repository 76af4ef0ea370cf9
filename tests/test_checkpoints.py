"""Checkpoints survive full disks and moved clusters; weights fit or say why not."""

import errno
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from inpainting_jax import checkpoints
from inpainting_jax.checkpoints import Checkpoints, DiskFullError


def replicated(count):
    mesh = Mesh(np.array(jax.devices()[:count]), ("data",))
    return NamedSharding(mesh, PartitionSpec())


def make_items(count=1, scale=1.0):
    params = {"w": scale * jnp.arange(6.0).reshape(2, 3)}
    items = {
        "variables": {"net": {"params": params}},
        "ema": {},
        "progress": {
            "step": jnp.zeros((), jnp.int32),
            "key": jax.random.key(7),
            "opt_state": {"net": optax.adam(1e-3).init(params)},
        },
    }
    return jax.device_put(items, replicated(count))


def as_abstract(items, count):
    where = replicated(count)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), items
    )


def weight(items):
    return np.asarray(items["variables"]["net"]["params"]["w"])


def test_saved_on_four_devices_restored_on_one_and_back(tmp_path):
    for count, other in ((4, 1), (1, 4)):
        store = Checkpoints(tmp_path / str(count))
        items = make_items(count)
        store.save(3, items, {"config": {"a": 1}})
        store.wait()
        restored = store.restore(as_abstract(items, other))
        store.close()
        for x, y in zip(jax.tree.leaves(restored), jax.tree.leaves(items), strict=True):
            assert len(x.sharding.device_set) == other
            if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
                x, y = jax.random.key_data(x), jax.random.key_data(y)
            np.testing.assert_array_equal(x, y)
        assert restored["ema"] == {}


def test_the_latest_the_best_and_every_k_th_stay(tmp_path):
    store = Checkpoints(
        tmp_path, keep_latest=2, keep_every=4, best="psnr", best_mode="max"
    )
    scores = {1: {"psnr": 9.0}, 2: {"psnr": float("nan")}, 3: {"psnr": 30.0}}
    scores |= {5: {"psnr": 10.0}, 6: {"another": 99.0}}
    for step in range(1, 9):
        metrics = scores.get(step)
        run = {"config": {}, "best": {"metric": "psnr", "mode": "max"}}
        store.save(step, make_items(scale=step), run, metrics)
    store.close()
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {3, 4, 7, 8}
    for best, step in ((True, 3), (False, 8)):
        variables, _ = checkpoints.load_workdir(tmp_path, best=best)
        np.testing.assert_array_equal(weight({"variables": variables})[0, 1], step)


def test_arrays_may_change_once_save_has_returned(tmp_path):
    """The step donates its state: a late writer would store the wrong numbers."""
    overwrite = jax.jit(
        lambda tree: jax.tree.map(lambda x: x * 0 - 1, tree), donate_argnums=0
    )
    values = jnp.arange(1e6)
    items = {"variables": {"net": {"params": {"w": values}}}}
    store = Checkpoints(tmp_path)
    store.save(1, items, {})
    overwrite(items)
    store.wait()
    abstract = {
        "variables": {
            "net": {
                "params": {
                    "w": jax.ShapeDtypeStruct(
                        (1_000_000,), jnp.float32, sharding=replicated(1)
                    )
                }
            }
        }
    }
    restored = store.restore(abstract)
    store.close()
    np.testing.assert_array_equal(weight(restored), np.arange(1e6, dtype=np.float32))


def test_the_averaged_parameters_are_those_for_inference(tmp_path):
    store = Checkpoints(tmp_path)
    items = make_items()
    items["ema"] = {"net": {"w": jnp.full((2, 3), 5.0)}}
    store.save(1, items, {"config": {"method": "toy"}})
    store.close()
    variables, config = checkpoints.load_workdir(tmp_path)
    assert config == {"method": "toy"}
    np.testing.assert_array_equal(weight({"variables": variables}), 5.0)


def test_a_folder_without_checkpoints_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        checkpoints.load_workdir(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"w": jnp.zeros((2, 4))}, r"variables\.net\.params\.w.*\(2, 4\)"),
        (
            {"w": jnp.zeros((2, 3)), "b": jnp.zeros(1)},
            r"lacks variables\.net\.params\.b",
        ),
        ({}, "no 'variables'|another network"),
    ],
)
def test_a_checkpoint_of_another_network_is_an_error_that_names_the_array(
    tmp_path, changed, message
):
    store = Checkpoints(tmp_path)
    items = make_items()
    store.save(1, items, {})
    store.wait()
    items = {**items, "variables": {"net": {"params": changed}}}
    if not changed:
        items["variables"] = {"other": {"params": {"w": jnp.zeros(1)}}}
    with pytest.raises(ValueError, match=message) as error:
        store.restore(as_abstract(items, 1))
    assert "--workdir" in str(error.value)
    store.close()


def test_without_room_nothing_is_written_and_the_last_checkpoint_stays(
    tmp_path, monkeypatch
):
    store = Checkpoints(tmp_path)
    items = make_items()
    store.save(1, items, {})
    store.wait()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        checkpoints.shutil, "disk_usage", lambda path: usage._replace(free=10)
    )
    with pytest.raises(DiskFullError) as error:
        store.save(2, items, {})
    for words in ("disk is full", "step 1 is intact", "same command", str(tmp_path)):
        assert words in str(error.value)
    monkeypatch.undo()
    np.testing.assert_array_equal(
        weight(store.restore(as_abstract(items, 1))), weight(items)
    )
    store.close()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "over quota"),
        # What the array writer said on a full tmpfs.
        ValueError("RESOURCE_EXHAUSTED: Failed to write 8 bytes: No space left on dev"),
    ],
)
def test_a_disk_that_fills_up_while_writing_leaves_the_last_checkpoint(
    tmp_path, monkeypatch, error
):
    store = Checkpoints(tmp_path)
    items = make_items()
    store.save(1, items, {})
    store.wait()

    async def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(
        "orbax.checkpoint._src.serialization.serialization.async_serialize_from_host",
        fail,
    )
    with pytest.raises(DiskFullError, match="step 1 is intact"):
        store.save(2, items, {})
        store.wait()
    monkeypatch.undo()
    again = Checkpoints(tmp_path)
    assert again.latest_step() == 1
    np.testing.assert_array_equal(
        weight(again.restore(as_abstract(items, 1))), weight(items)
    )
    again.save(2, items, {})  # the half-written one is not in the way
    again.close()


VARIABLES = {
    "generator": {"params": {"conv1": {"kernel": np.arange(4.0, dtype=np.float32)}}},
    "critic": {
        "params": {"w": np.ones((2, 2), np.float32)},
        "stats": {"u": np.zeros(3)},
    },
}
CARD = {"method": "toy", "overrides": {"width": 4}}


def test_weights_come_back_as_they_were_with_their_card(tmp_path):
    path = checkpoints.save_weights(tmp_path / "w.safetensors", VARIABLES, CARD)
    card_file = path.with_suffix(".json")
    assert path.stat().st_mode == card_file.stat().st_mode  # no stricter than usual
    loaded, card = checkpoints.load_weights(path, expected=VARIABLES)
    for x, y in zip(jax.tree.leaves(loaded), jax.tree.leaves(VARIABLES), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    assert card["overrides"] == {"width": 4}
    assert len(card["sha256"]) == 64
    assert json.loads((tmp_path / "w.json").read_text()) == card
    path.with_suffix(".json").unlink()  # the card is also inside
    assert checkpoints.load_weights(path)[1] == CARD


def drop(tree):
    del tree["critic"]["params"]["w"]


def add(tree):
    tree["critic"]["params"]["extra"] = np.ones(1)


def reshape(tree):
    tree["critic"]["params"]["w"] = np.ones(4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, "lacks the tensor 'critic/params/w'"),
        (add, "unexpected tensor 'critic/params/extra'"),
        (reshape, r"'critic/params/w' has shape \(4,\), expected \(2, 2\)"),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_names_the_tensor(
    tmp_path, change, message
):
    tree = jax.tree.map(np.array, VARIABLES)
    change(tree)
    path = checkpoints.save_weights(tmp_path / "w.safetensors", tree, CARD)
    with pytest.raises(ValueError, match=message):
        checkpoints.load_weights(path, expected=VARIABLES)


def test_a_damaged_weights_file_is_an_error_that_says_so(tmp_path):
    path = checkpoints.save_weights(tmp_path / "w.safetensors", VARIABLES, CARD)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        checkpoints.load_weights(path)
    path.with_suffix(".json").unlink()
    path.write_bytes(data[:20])
    with pytest.raises(ValueError, match="not a readable weights file"):
        checkpoints.load_weights(path)
    with pytest.raises(FileNotFoundError, match="other"):
        checkpoints.load_weights(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        checkpoints.load_weights(tmp_path / "w.npz")
