"""The words every module uses for arrays and the trees that hold them.

Local vocabulary: `image` [B, H, W, 3] float32 in [-1, 1], `mask` [B, H, W, 1] float32
with 1 = hole and 0 = known; a network's `variables` are flax collections
(`params`, `batch_stats`, `spectral_stats`, ...), kept per network under its name.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

Array = jax.Array
Key = jax.Array
"""A typed PRNG key (`jax.random.key`), never the old uint32 pair."""

Batch = Mapping[str, Array]
"""`image`, `mask`, `keys` ([B] typed keys, one per image) and, for guided methods,
`guide` [B, H, W, G]: drawn lines, or label numbers with `UNKNOWN_LABEL`."""

UNKNOWN_LABEL = 255
"""The label number of pixels whose class nobody stated."""

Variables = Mapping[str, Mapping[str, Any]]
"""`{network: {"params": ..., other collections}}`."""

Metrics = Mapping[str, Array]
"""Scalars by name."""


class Aux(NamedTuple):
    """What an objective returns beside its scalar.

    Attributes:
      metrics: scalars to log, by name.
      updates: `{network: {collection: new value}}`, changed non-parameter collections
        (spectral-norm vectors, batch statistics) of any network.
    """

    metrics: Metrics
    updates: Mapping[str, Mapping[str, Any]] = {}
