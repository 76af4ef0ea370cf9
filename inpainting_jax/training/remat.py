"""Rematerialisation: a block's inner arrays are computed again in the backward pass.

A *block* is a module that a network calls itself (a gated convolution, a residual
block): its input is kept for the backward pass, what it computes inside is not (Chen et
al. 2016, "Training Deep Nets with Sublinear Memory Cost", https://arxiv.org/abs/1604.06174).
Done from outside, by flax's interceptors, so that no network knows of it.
"""

import functools
from typing import Any

import flax.linen as nn
import jax

from inpainting_jax.methods.base import Objective

_BLOCK_DEPTH = 1  # of a module's path: the network itself has none


def rematerialised(objective: Objective) -> Objective:
    """The same values and gradients, with a block at a time in memory.

    Args:
      objective: of a `Method`; the networks it applies are linen modules.
    """

    @functools.wraps(objective)
    def in_blocks(*args: Any) -> Any:
        with nn.intercept_methods(_Interceptor()):
            return objective(*args)

    return in_blocks


class _Interceptor:
    """Puts `nn.remat` around every call of a block, not around what is inside it."""

    def __init__(self):
        self._inside = False

    def __call__(self, call, args, kwargs, context) -> Any:
        block = context.module
        is_block = context.method_name == "__call__" and len(block.path) == _BLOCK_DEPTH
        if self._inside or not is_block:
            return call(*args, **kwargs)
        # Only arrays may be arguments of what is differentiated: switches and names
        # are put back where they were.
        leaves, structure = jax.tree.flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]

        def run(block: nn.Module, *arrays: jax.Array) -> Any:
            whole = dict(enumerate(leaves)) | dict(zip(places, arrays, strict=True))
            args, kwargs = jax.tree.unflatten(structure, whole.values())
            self._inside = True
            try:
                return block(*args, **kwargs)
            finally:
                self._inside = False

        return nn.remat(run)(block, *(leaves[i] for i in places))
