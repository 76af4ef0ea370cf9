"""Lists of pixels as flat indices: the layout every part of PatchMatch shares.

A picture is a table [H*W, C] whose row is `y * W + x`, padded with rows nobody reads.
Lists of pixels are padded to a bucket with an index past the end: gathers clip it,
scatters drop it. Only patches wholly inside the picture take part; so a horizontal
step that wraps to the next row always lands on a pixel that is no patch centre.
"""

import math

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array, Key

GROWTH = 1.25
"""Ratio of neighbouring buckets: at most a quarter of the work is padding."""


def bucket(size: int, smallest: int = 512) -> int:
    """The smallest bucket >= `size`: few distinct shapes, hence few compilations."""
    steps = math.ceil(math.log(max(size, smallest) / smallest, GROWTH) - 1e-9)
    # Multiples of 64 keep matrix products off their ragged-edge code, so that the
    # numbers do not depend on the bucket.
    return -(-int(smallest * GROWTH**steps) // 64) * 64


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
