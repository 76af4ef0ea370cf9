"""One seeded stream: resumable anywhere, the same for any number of readers."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from inpainting_jax.data import eval_images, open_source, pipeline, train_batches
from inpainting_jax.data.decode import BadImageError


@dataclasses.dataclass(frozen=True)
class Coloured:
    """`count` images 12x16; image i is filled with i, as is its label map."""

    count: int
    labels: bool = False

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        sample = {"image": np.full((12, 16, 3), index, np.uint8), "name": f"{index}"}
        if self.labels:
            sample["label_map"] = np.full((12, 16), index, np.uint8)
        return sample


def batches(source, count, batch_size=4, seed=0, **options):
    options = {"image_size": 8, "threads": 2, "prefetch": 2} | options
    stream = train_batches(source, batch_size=batch_size, seed=seed, **options)
    result = [next(stream) for _ in range(count)]
    stream.close()
    return result


def colours(batches):
    return np.concatenate([b["image"][:, 0, 0, 0] for b in batches])


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.fixture(scope="module")
def photos():
    return open_source("photos", "train")


def test_batches_have_the_promised_shapes(photos):
    batch = batches(photos, 1, image_size=32)[0]
    assert batch.keys() == {"image", "index"}
    assert batch["image"].shape == (4, 32, 32, 3) and batch["image"].dtype == np.uint8
    np.testing.assert_array_equal(batch["index"], [0, 1, 2, 3])
    assert batch["index"].dtype == np.int64


def test_each_epoch_is_another_permutation_of_all_images():
    seen = colours(batches(Coloured(12), 6)).reshape(2, 12)
    for epoch in seen:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(12))
    assert not np.array_equal(seen[0], seen[1])


def test_a_data_set_smaller_than_a_batch_is_repeated():
    batch = batches(Coloured(3), 1, batch_size=8)[0]
    counts = np.bincount(batch["image"][:, 0, 0, 0])
    assert counts.tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_the_seed_rules_order_and_crops(photos):
    options = {"min_scale": 0.5, "image_size": 16}
    first = batches(photos, 2, **options)
    assert_equal(first, batches(photos, 2, **options))
    other = batches(photos, 2, seed=1, **options)
    assert not np.array_equal(first[0]["image"], other[0]["image"])


@pytest.mark.parametrize("done", [0, 1, 5])
def test_a_restored_stream_goes_on_where_it_was(photos, done):
    options = {"image_size": 16, "min_scale": 0.5, "threads": 3, "prefetch": 3}
    straight = batches(photos, done + 3, **options)
    stream = train_batches(photos, batch_size=4, seed=0, **options)
    for _ in range(done):
        next(stream)
    state = json.loads(json.dumps(stream.get_state()))
    stream.close()
    again = train_batches(photos, batch_size=4, seed=0, **options)
    next(again)  # whatever it has read ahead must not matter
    again.set_state(state)
    assert again.get_state() == state
    assert_equal([next(again) for _ in range(3)], straight[done:])
    again.close()


def test_the_state_reads_as_json_text_too():
    stream = train_batches(Coloured(9), image_size=8, batch_size=4, seed=0)
    next(stream)
    stream.set_state(json.dumps(stream.get_state()))
    np.testing.assert_array_equal(next(stream)["index"], [4, 5, 6, 7])


@pytest.mark.parametrize("count", [2, 4, 8])  # 8: one image each
def test_global_batches_do_not_depend_on_the_number_of_processes(photos, count):
    options = {"image_size": 16, "min_scale": 0.5}
    whole = batches(photos, 3, batch_size=8, **options)
    shares = [
        batches(
            photos,
            3,
            batch_size=8 // count,
            process_index=p,
            process_count=count,
            **options,
        )
        for p in range(count)
    ]
    joined = [
        {k: np.concatenate([s[k] for s in step]) for k in step[0]}
        for step in zip(*shares, strict=True)
    ]
    assert_equal(whole, joined)


def test_the_place_in_the_stream_survives_a_change_of_processes_and_batch():
    stream = train_batches(Coloured(50), image_size=8, batch_size=6, seed=0)
    for _ in range(2):
        next(stream)
    share = train_batches(
        Coloured(50),
        image_size=8,
        batch_size=2,
        seed=0,
        process_index=1,
        process_count=2,
    )
    share.set_state(stream.get_state())
    np.testing.assert_array_equal(next(share)["index"], [14, 15])
    assert share.get_state()["position"] == 16


@pytest.mark.parametrize("threads,prefetch", [(1, 1), (4, 8)])
def test_the_number_of_readers_changes_nothing(photos, threads, prefetch):
    options = {"image_size": 16, "min_scale": 0.5}
    readers = {"threads": threads, "prefetch": prefetch}
    assert_equal(
        batches(photos, 4, **options), batches(photos, 4, **options, **readers)
    )


@pytest.mark.slow  # starting a process takes seconds
def test_reader_processes_change_nothing():
    source = open_source("photos", "train")
    assert_equal(batches(source, 3), batches(source, 3, workers=2))


def test_label_maps_come_as_guides():
    batch = batches(Coloured(9, labels=True), 1, guide="labels")[0]
    assert batch["guide"].shape == (4, 8, 8, 1)
    np.testing.assert_array_equal(batch["guide"], batch["image"][..., :1])
    assert "guide" not in batches(Coloured(9), 1, guide="edges")[0]


def test_mask_folders_give_each_position_its_own_mask():
    class Masks:
        def draw(self, rng, height, width):
            return (rng.random((height, width, 1)) < 0.5).astype(np.uint8)

    drawn = batches(Coloured(5), 2, mask_folder=Masks())
    masks = np.concatenate([b["mask"] for b in drawn])
    assert masks.shape == (8, 8, 8, 1) and masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1}
    assert len({m.tobytes() for m in masks}) == 8
    assert_equal(drawn, batches(Coloured(5), 2, mask_folder=Masks()))


def test_a_corrupt_image_stops_the_stream_with_its_name(tmp_path):
    for i in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"broken")
    with pytest.raises(BadImageError, match=r"1\.png.*launch\.prepare"):
        batches(open_source(f"folder:{tmp_path}"), 1)


def test_a_state_of_other_data_draws_a_warning():
    stream = train_batches(Coloured(9), image_size=8, batch_size=4, seed=0)
    with pytest.warns(UserWarning, match=r"length was 8, is 9"):
        stream.set_state({"position": 4, "seed": 0, "length": 8})
    assert next(stream)["index"][0] == 4


def test_wrong_options_are_refused():
    good = {"image_size": 8, "batch_size": 2, "seed": 0}
    for wrong, words in [
        ({"guide": "hed"}, "unknown guide 'hed'; known: edges, labels"),
        ({"fit": "pad"}, "unknown fit 'pad'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"process_index": 1}, "process 1 of 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            train_batches(Coloured(3), **(good | wrong))
    with pytest.raises(ValueError, match="empty"):
        train_batches(Coloured(0), **good)


def test_evaluation_images_are_spread_over_the_source_without_chance():
    pairs = eval_images(Coloured(100), 8, 4)
    assert [name for name, _ in pairs] == ["0", "25", "50", "75"]
    assert all(image.shape == (8, 8, 3) for _, image in pairs)
    assert len(eval_images(Coloured(3), 8, 64)) == 3
    for (_, one), (_, other) in zip(
        pairs, eval_images(Coloured(100), 8, 4), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert pipeline.eval_images(Coloured(5), 6, 1, fit="resize")[0][1].shape == (
        6,
        6,
        3,
    )
