"""Poisson blending on the device: gradients of one image, colours of another.

Perez et al. 2003, https://doi.org/10.1145/1201775.882269. The host's multigrid solver
(`evaluation.blending`) serves photographs of any size; this one traces under `jit` and
`vmap` and is meant for the small images inside a method.
"""

import jax
import jax.numpy as jnp

from inpainting_jax.types import Array


def poisson_blend(
    source: Array,
    target: Array,
    mask: Array,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
) -> Array:
    """`target` with its hole filled by the gradients of `source`.

    Solves lap(x) = lap(source) in the hole with x = `target` around it, by conjugate
    gradients. The image's border lets nothing through: where a hole touches it the
    condition is natural. A hole without any known pixel keeps the source.

    Args:
      source: [B, H, W, C]; read in the hole and one pixel around it.
      target: [B, H, W, C]; what its hole contains, if finite, has no effect.
      mask: [B, H, W, 1], 1 = hole.
      tolerance: of the residual, relative to the right side.
      max_iterations: at most, per image.

    Returns:
      [B, H, W, C], not clipped.
    """

    def blend(source: Array, target: Array, mask: Array) -> Array:
        hole = mask > 0.5
        # The unknown is x - source: harmonic, and small where the images agree.
        mismatch = jnp.where(hole, 0, target - source)

        def system(correction: Array) -> Array:
            correction = jnp.where(hole, correction, 0)
            return jnp.where(hole, _laplacian(correction), 0)

        right_side = jnp.where(hole, -_laplacian(mismatch), 0)
        correction, _ = jax.scipy.sparse.linalg.cg(
            system, right_side, tol=tolerance, maxiter=max_iterations
        )
        return jnp.where(hole, source + correction, target)

    return jax.vmap(blend)(source, target, mask)


def _laplacian(image: Array) -> Array:
    """Sum of differences to the 4 neighbours inside the image [H, W, C], negated."""
    rows = jnp.diff(image, axis=0)
    columns = jnp.diff(image, axis=1)
    zero = ((0, 0), (0, 0), (0, 0))
    below = jnp.pad(rows, ((0, 1), *zero[1:]))
    above = jnp.pad(rows, ((1, 0), *zero[1:]))
    right = jnp.pad(columns, (zero[0], (0, 1), zero[2]))
    left = jnp.pad(columns, (zero[0], (1, 0), zero[2]))
    return above - below + left - right
