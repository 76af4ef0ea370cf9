"""Lists of pixels as flat indices: the layout every part of PatchMatch shares.

A picture is a table [H*W, C] whose row is `y * W + x`, padded with rows nobody reads.
Lists of pixels are as long as the table, padded with an index past its end: gathers
clip it, scatters drop it. Loops go over as many chunks of a list as it fills, so that
programs are compiled per picture size, not per hole. Only patches wholly inside the
picture take part; so a horizontal step that wraps to the next row always lands on a
pixel that is no patch centre.
"""

import math

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array, Key

GROWTH = 1.25
"""Ratio of neighbouring buckets: at most a quarter of a table is padding."""


def bucket(size: int, *, smallest: int = 512) -> int:
    """The smallest bucket >= `size`: few distinct shapes, hence few compilations."""
    steps = math.ceil(math.log(max(size, smallest) / smallest, GROWTH) - 1e-9)
    # Multiples of 64 keep matrix products off their ragged-edge code, so that the
    # numbers do not depend on the bucket.
    return -(-int(smallest * GROWTH**steps) // 64) * 64


def chunk_size(size: int) -> int:
    """How many list entries are worked on at once in a table of `size` rows.

    On a CPU few enough that their descriptors stay in its cache.
    """
    if jax.default_backend() != "cpu":
        return min(size, 65_536)
    return 256 if size < 8192 else 1024 if size < 65_536 else 4096


def capacity(size: int) -> int:
    """Length of the lists of a table of `size` rows: whole chunks."""
    return -(-size // chunk_size(size)) * chunk_size(size)


def chunk_of(values: Array, number: Array, chunk: int) -> Array:
    """Entries `number * chunk` and on of a list."""
    return jax.lax.dynamic_slice_in_dim(values, number * chunk, chunk)


def take(table: Array, index: Array) -> Array:
    """Rows of `table` at `index`, which is clipped to the table."""
    return jnp.take(table, index, axis=0, mode="clip")


def put(table: Array, index: Array, rows: Array) -> Array:
    """`table` with `rows` written at `index`; indices past the end are dropped."""
    return table.at[index].set(rows, mode="drop", unique_indices=False)


def seed_words(key: Key) -> Array:
    """Two uint32 words [2] that seed `random_bits`."""
    return jax.random.bits(key, (2,), jnp.uint32)


def random_bits(seed: Array, draw: Array, index: Array) -> Array:
    """32 random bits per pixel: a hash of seed, draw number and pixel index.

    Unlike a block of `jax.random`, the bits of a pixel do not change with the length
    of the list it is in. The mixer is the finaliser of MurmurHash3, applied twice.
    """
    word = index.astype(jnp.uint32) * jnp.uint32(0x9E3779B9) + seed[0]
    word = _mix(word)
    return _mix(word ^ (seed[1] + draw.astype(jnp.uint32) * jnp.uint32(0x85EBCA6B)))


def _mix(word: Array) -> Array:
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def random_below(bits: Array, count: Array) -> Array:
    """Random bits to integers in [0, count), count < 2**24."""
    unit = (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24)
    below = (unit * count.astype(jnp.float32)).astype(jnp.int32)
    return jnp.minimum(below, count - 1)  # the product may round up to count
