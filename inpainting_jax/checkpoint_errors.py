"""What goes wrong with checkpoints outside of our hands, said with the way to go on."""

import contextlib
import errno
import json
import pathlib
import re
from collections.abc import Iterator

import orbax.checkpoint as ocp


class DiskFullError(OSError):
    """There is no room for what a run writes; its last checkpoint is intact."""


class DamagedCheckpointError(ValueError):
    """A file of a checkpoint is cut off, garbled or missing."""


@contextlib.contextmanager
def explain_full_disk(directory: pathlib.Path) -> Iterator[None]:
    """Turns the errors that a full disk leads to into `DiskFullError`.

    `directory` is that of the checkpoints; orbax has errors of its own for it.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        full = {errno.ENOSPC, errno.EDQUOT}
        text = str(error).lower()
        words = ("no space left", "disk quota exceeded")
        if getattr(error, "errno", None) in full or any(w in text for w in words):
            what = "writing failed for want of space"
            raise full_disk(directory, what) from error
        raise


def full_disk(directory: pathlib.Path, what: str) -> DiskFullError:
    """The error to raise where `directory` has no room; `what` says how it showed."""
    steps = ocp.utils.checkpoint_steps(directory) if directory.is_dir() else []
    kept = f"that of step {max(steps)} is intact" if steps else "there is none yet"
    return DiskFullError(
        errno.ENOSPC,
        f"the disk is full: {what}. The last complete checkpoint: {kept}. Free "
        "some space and give the same command again",
        str(directory),
    )


@contextlib.contextmanager
def explain_damage(directory: pathlib.Path, step: int) -> Iterator[None]:
    """Turns what damaged files lead to into an error that says how to go on."""
    try:
        yield
    except (ValueError, OSError) as error:
        # The array store tells by these words, the JSON reader by its own errors.
        damage = r"(DATA_LOSS|FAILED_PRECONDITION|OUT_OF_RANGE|NOT_FOUND)\b"
        kinds = (json.JSONDecodeError, FileNotFoundError)
        if not (isinstance(error, kinds) or re.match(damage, str(error))):
            raise
        older = [s for s in ocp.utils.checkpoint_steps(directory) if s < step]
        then = f"step {max(older)}, the one before" if older else "the start"
        raise DamagedCheckpointError(
            f"the checkpoint {directory / str(step)} is damaged: {str(error)[:200]}. "
            f"Delete this folder to go on from {then}, with the same command"
        ) from error
