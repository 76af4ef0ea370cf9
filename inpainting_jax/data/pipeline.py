"""From a source to batches: one endless, shuffled, seeded stream, split over processes.

Position `i` of the stream is sample `i % n` of a permutation of the `n` samples that is
drawn anew each epoch; its crop follows from (seed, i). Global batch `k` is positions
`k*G .. (k+1)*G - 1`, of which process `p` of `P` gets the `p`-th run of `G/P`. So the
number of processes, threads and workers changes nothing, a data set may be smaller than
a batch, and the place in the stream is one number.
"""

import dataclasses
import functools
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import grain
import numpy as np
from absl import flags

from inpainting_jax.data import preprocess
from inpainting_jax.data.decode import BadImageError
from inpainting_jax.data.sources import Source

GUIDES = ("", "edges", "labels")


class DataWorkerError(RuntimeError):
    """A reader process died."""


@dataclasses.dataclass(frozen=True)
class _View:
    """(position, sample) -> numbered training view; picklable, for worker processes."""

    seed: int
    options: Mapping[str, Any]
    mask_folder: Any = None

    def __call__(self, position: int, sample: Mapping) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.seed, position))
        item = preprocess.train_view(sample, rng, **self.options)
        item["index"] = np.int64(position)
        if self.mask_folder is not None:
            side = self.options["image_size"]
            mask = np.asarray(self.mask_folder.draw(rng, side, side))
            item["mask"] = (mask.reshape(side, side, 1) > 0.5).astype(np.uint8)
        return item


class TrainBatches(Iterator[dict[str, np.ndarray]]):
    """Endless iterator of this process's share of each global batch.

    See `train_batches`. Not to be shared between threads.
    """

    def __init__(self, stream: grain.MapDataset, label: Mapping, reading: Mapping):
        self._stream, self._label, self._reading = stream, dict(label), dict(reading)
        self._start(0)

    def __next__(self) -> dict[str, np.ndarray]:
        try:
            batch = next(self._batches)
        except BadImageError as error:  # once more from here: it may be a worker's
            raise BadImageError(*error.args) from error
        except RuntimeError as error:
            if "Worker process" not in str(error):
                raise
            raise DataWorkerError(
                f"a reader process ended before its time ({error}) An exit code of -9 "
                "means that it was killed, most often for want of memory: "
                "fewer config.data.workers or a smaller config.data.prefetch need "
                "less. The same command goes on from the last checkpoint"
            ) from error
        self._position += self._reading["batch_size"] * self._reading["process_count"]
        return batch

    def get_state(self) -> dict[str, Any]:
        """Where the stream stands, for JSON: the same on every process."""
        return {"position": self._position, **self._label}

    def set_state(self, state: Mapping[str, Any] | bytes | str) -> None:
        """Continues with the batch that would have followed `get_state`.

        The batch size and the number of processes may differ from then. Warns if the
        state is of another data set or seed, whose order is another.
        """
        if isinstance(state, bytes | str):
            state = json.loads(state)
        changed = {
            k: (state.get(k), v) for k, v in self._label.items() if state.get(k) != v
        }
        if changed:
            was = ", ".join(f"{k} was {a}, is {b}" for k, (a, b) in changed.items())
            warnings.warn(
                f"the data differ from those of the checkpoint ({was}): training goes "
                "on, but its images come in another order than without the break.",
                stacklevel=2,
            )
        self._start(int(state["position"]))

    def close(self) -> None:
        """Stops the readers. The iterator must not be used afterwards."""
        if hasattr(self._batches, "close"):
            self._batches.close()

    def _start(self, position: int) -> None:
        if position:
            self.close()
        reading = self._reading
        share = slice(reading["process_index"], None, reading["process_count"])
        # Without drop_remainder grain divides the endless length as a float, which
        # overflows for batches of one.
        batches = self._stream[position:].batch(
            reading["batch_size"], drop_remainder=True
        )[share]
        threads = grain.ReadOptions(
            num_threads=min(reading["threads"], reading["prefetch"]),
            prefetch_buffer_size=reading["prefetch"],
        )
        batches = batches.to_iter_dataset(threads)
        if reading["workers"]:
            if not flags.FLAGS.is_parsed():  # grain reads its own flags here
                flags.FLAGS.mark_as_parsed()
            workers = grain.MultiprocessingOptions(num_workers=reading["workers"])
            batches = batches.mp_prefetch(workers)
        self._batches = iter(batches)
        self._position = position


def train_batches(
    source: Source,
    *,
    image_size: int,
    batch_size: int,
    seed: int,
    fit: str = "crop",
    min_scale: float = 1.0,
    flip: bool = True,
    guide: str = "",
    threads: int = 8,
    workers: int = 0,
    prefetch: int = 8,
    process_index: int = 0,
    process_count: int = 1,
    mask_folder: Any = None,
) -> TrainBatches:
    """Endless batches of random views of a source, exactly resumable.

    Args:
      source: of `sources.open_source`; may be smaller than a batch.
      image_size: side S of the views, pixels.
      batch_size: views per batch on this process.
      seed: of the order, the crops and the masks.
      fit, min_scale, flip: see `preprocess.random_window`.
      guide: "labels" adds the label map; "edges" is drawn on the device, not here.
      threads: reader threads, each filling one batch at a time.
      workers: reader processes beside them, for slow decoding; 0 = none.
      prefetch: batches read ahead.
      process_index: which share of each global batch to read.
      process_count: number of shares.
      mask_folder: of `masks.files`; its `draw(rng, height, width)` gives each mask.

    Returns:
      An iterator of `image` [B, S, S, 3] uint8, `index` [B] int64 (the position of each
      view in the endless stream of all processes), `guide` [B, S, S, 1] uint8 if
      "labels", `mask` [B, S, S, 1] uint8 (1 = hole) with a `mask_folder`; with
      `get_state()` and `set_state(state)`.

    Raises:
      ValueError: empty source, unknown option; `BadImageError` from `next` if an
        image cannot be read.
    """
    preprocess.check_fit(fit, min_scale)
    if guide not in GUIDES:
        raise ValueError(f"unknown guide {guide!r}; known: {', '.join(GUIDES[1:])}.")
    if not len(source):
        raise ValueError("the data source is empty.")
    for name, value in (("image_size", image_size), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    if not 0 <= process_index < process_count:
        raise ValueError(f"process {process_index} of {process_count} does not exist.")
    options = {"image_size": image_size, "fit": fit, "min_scale": min_scale}
    options |= {"flip": flip, "guide": guide}
    stream = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
    stream = stream.map_with_index(_View(seed, options, mask_folder))
    label = {"seed": seed, "length": len(source)}
    reading = {"batch_size": batch_size, "workers": workers}
    reading |= {"threads": max(1, threads), "prefetch": max(1, prefetch)}
    reading |= {"process_index": process_index, "process_count": process_count}
    return TrainBatches(stream, label, reading)


def eval_images(
    source: Source, image_size: int, count: int, *, fit: str = "crop"
) -> list[tuple[str, np.ndarray]]:
    """`count` (name, [S, S, 3] uint8) pairs, spread evenly over a source, no chance.

    Centre squares (`fit="crop"`) or whole images squashed (`fit="resize"`). All of the
    source if it holds fewer.
    """
    views = eval_views(source, image_size, count, fit=fit)
    return [(view["name"], view["image"]) for view in views]


def eval_views(
    source: Source, image_size: int, count: int, *, fit: str = "crop"
) -> list[dict[str, Any]]:
    """As `eval_images`: `name`, `image` and, where the source has it, `label_map`.

    Label maps [S, S] uint8 are cut like their images and resampled by the nearest.
    """
    if image_size < 1 or count < 1:
        raise ValueError(f"image_size {image_size} and count {count} must be >= 1.")
    count = min(count, len(source))
    view = functools.partial(_eval_view, image_size=image_size, fit=fit)
    return [view(source[i * len(source) // count]) for i in range(count)]


def _eval_view(sample: Mapping, image_size: int, fit: str) -> dict[str, Any]:
    image = sample["image"]
    window = preprocess.centre_window(*image.shape[:2], fit=fit)
    result = {"name": sample["name"]}
    result["image"] = preprocess.view(image, window, image_size)
    if "label_map" in sample:
        labels = preprocess.view(sample["label_map"], window, image_size, nearest=True)
        result["label_map"] = labels
    return result
