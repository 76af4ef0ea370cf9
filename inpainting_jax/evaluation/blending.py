"""How a prediction meets its surroundings: inside the hole only, known pixels fixed.

All functions take and return one image on the host: `image` and `prediction` [H, W, C]
float32 in [-1, 1], `hole` [H, W] bool with at least one known pixel. What `image` holds
inside the hole has no effect.
"""

from typing import Any

import cv2
import numpy as np
import scipy  # its parts are imported when first used

from inpainting_jax import images

BLENDS = ("none", "feather", "poisson", "telea_poisson")
FEATHER_RADIUS = 4
"""Width in pixels of the rim that `feather` mixes."""
TELEA_RIM = 3
"""Width in pixels of the rim in which `telea_poisson` distrusts the prediction."""

_DIRECT = 4096  # unknowns up to which a system is factorised
_TOLERANCE = 1e-5  # of the residual, relative to the largest mismatch
_MAX_CYCLES = 30
_DAMPING = 0.8  # of the Jacobi smoothing


def check(rule: str) -> None:
    """Raises a `ValueError` if there is no such blend."""
    if rule not in BLENDS:
        raise ValueError(f"unknown blend {rule!r}; known: {', '.join(BLENDS)}")


def blend(
    rule: str,
    image: np.ndarray,
    prediction: np.ndarray,
    hole: np.ndarray,
    *,
    raw: bool = False,
) -> np.ndarray:
    """The composite by one of `BLENDS`.

    Args:
      rule: "none" takes the prediction as it is; else see `feather`, `poisson` and
        `telea_poisson`.
      image: known pixels.
      prediction: fills the hole.
      hole: where.
      raw: whether `prediction` is the method's own also outside the hole, rather than
        the known pixels or nothing.
    """
    check(rule)
    if hole.any() and rule == "feather":
        prediction = feather(image, prediction, hole)
    elif hole.any() and rule == "poisson":
        prediction = poisson(image, prediction, hole, raw=raw)
    elif hole.any() and rule == "telea_poisson":
        prediction = telea_poisson(image, prediction, hole)
    return np.where(hole[..., None], prediction, image)


def feather(
    image: np.ndarray,
    prediction: np.ndarray,
    hole: np.ndarray,
    *,
    radius: float = FEATHER_RADIUS,
) -> np.ndarray:
    """The prediction, mixed near its rim with the surroundings mirrored inwards.

    The mirrored point lies as far outside the nearest known pixel as the hole pixel
    lies inside; where it is no known pixel, that nearest one serves. `radius` pixels
    inside, only the prediction is left.
    """
    distance, nearest = scipy.ndimage.distance_transform_edt(hole, return_indices=True)
    rim = hole & (distance < radius + 1)
    here = np.argwhere(rim)
    near = nearest[:, rim].T
    mirrored = np.clip(2 * near - here, 0, np.array(hole.shape) - 1)
    unknown = hole[tuple(mirrored.T)]
    mirrored[unknown] = near[unknown]
    share = (distance[rim] / (radius + 1)).astype(np.float32)[:, None]
    result = prediction.copy()
    surroundings = image[tuple(mirrored.T)]
    result[rim] = share * prediction[rim] + (1 - share) * surroundings
    return result


def poisson(
    image: np.ndarray, prediction: np.ndarray, hole: np.ndarray, *, raw: bool = False
) -> np.ndarray:
    """The prediction's gradients, made to meet the known pixels (Perez et al. 2003).

    Solves the Poisson equation with the known pixels as Dirichlet boundary, by way of
    the harmonic correction that takes the mismatch at the rim into the hole. Where the
    prediction says nothing of the known pixels (not `raw`) it is continued past the rim
    by its nearest value. Clipped to [-1, 1].
    """
    rim = _rim(hole)
    outer = prediction
    if not raw:
        _, nearest = scipy.ndimage.distance_transform_edt(~hole, return_indices=True)
        outer = prediction[tuple(nearest)]
    mismatch = np.where(rim[..., None], image - outer, np.float32(0))
    correction = _harmonic(mismatch.astype(np.float32), hole, rim)
    return np.clip(prediction + correction, -1, 1)


def _rim(hole: np.ndarray) -> np.ndarray:
    """Known pixels that touch the hole with a side."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return (cv2.dilate(hole.astype(np.uint8), cross) > 0) & ~hole


def telea_poisson(
    image: np.ndarray,
    prediction: np.ndarray,
    hole: np.ndarray,
    *,
    rim_width: int = TELEA_RIM,
) -> np.ndarray:
    """The post-processing of Iizuka et al. 2017, from known pixels alone.

    The hole is first filled by fast marching (Telea 2004, radius 1, eight bits). Then
    the Poisson equation is solved for the gradients of the prediction, in the outermost
    `rim_width` pixels for those of that fill: the known colours run in smoothly before
    the prediction takes over. Parts of the hole no wider than twice the rim are the
    fill's. Clipped to [-1, 1].

    The authors call OpenCV's seamless clone, which leaves out a rim of three pixels in
    the same way but also moves known pixels; here those are the Dirichlet boundary.
    """
    from inpainting_jax.methods.classical import telea_fill  # late: brings flax along

    known = np.where(hole[..., None], np.float32(0), image)
    fill = images.to_signed(telea_fill(images.to_unit(known), hole, radius=1))
    core = hole
    if rim_width > 0:
        # Beyond the image there is nothing that the prediction would have to meet.
        core = scipy.ndimage.binary_erosion(
            hole, np.ones((3, 3), bool), iterations=rim_width, border_value=1
        )
    target = np.where(hole[..., None], fill, known)
    sources = _divergence(prediction - target, core)
    nothing = np.zeros_like(target)  # of mismatch: the target holds the known pixels
    correction = _harmonic(nothing, hole, _rim(hole), sources=sources)
    return np.clip(target + correction, -1, 1)


def _divergence(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Sum of [H, W, C]'s differences to the 4-neighbours, both pixels `inside`."""
    result = np.zeros_like(values)
    for axis in (0, 1):
        pairs = np.logical_and(*_neighbours(inside, axis))
        later, earlier = _neighbours(values, axis)
        step = np.where(pairs[..., None], later - earlier, np.float32(0))
        ours_later, ours_earlier = _neighbours(result, axis)
        ours_later += step
        ours_earlier -= step
    return result


def _neighbours(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Views of all but the first, and all but the last, along an axis."""
    later, earlier = [slice(None)] * 2, [slice(None)] * 2
    later[axis], earlier[axis] = slice(1, None), slice(None, -1)
    return values[tuple(later)], values[tuple(earlier)]


def _harmonic(
    values: np.ndarray,
    hole: np.ndarray,
    rim: np.ndarray,
    *,
    sources: np.ndarray | None = None,
) -> np.ndarray:
    """`values` [H, W, C] of the rim continued into the hole with zero Laplacian.

    By multigrid cycles, so that time grows in proportion to the hole. The image's
    border lets nothing through. `sources` [H, W, C], if given, is what each hole
    pixel's differences to its neighbours add up to, instead of zero.
    """
    rows, columns = (np.flatnonzero((hole | rim).any(axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    system, right_side = _laplace_system(values[box], hole[box], rim[box])
    if sources is not None:
        right_side += sources[hole]
    grids, coarsest = _grids(system, hole[box])
    solution = np.zeros_like(right_side)
    goal = _TOLERANCE * np.abs(right_side).max()
    for _ in range(_MAX_CYCLES):
        residual = right_side - system @ solution
        if np.abs(residual).max() <= goal:
            break
        solution += _cycle(grids, coarsest, residual)
    result = np.zeros_like(values)
    result[hole] = solution
    return result


def _grids(system, hole: np.ndarray) -> tuple[list[tuple], Any]:
    """(matrix, interpolation, Jacobi weights) per grid, and the coarsest factorised.

    The next grid keeps the hole's pixels of even row and column; its matrix follows
    from the interpolation (Galerkin), so it knows the hole's shape.
    """
    grids = []
    while system.shape[0] > _DIRECT and hole[::2, ::2].any():
        coarse = hole[::2, ::2]
        between = [_linear(side) for side in hole.shape]
        transfer = scipy.sparse.kron(*between, format="csr")[hole.ravel()]
        transfer = transfer.tocsc()[:, coarse.ravel()].tocsr()
        weights = _DAMPING / system.diagonal()[:, None]
        grids.append((system, transfer, weights))
        system = (transfer.T @ system @ transfer).tocsr()
        hole = coarse
    return grids, scipy.sparse.linalg.splu(system.tocsc())


def _linear(side: int) -> "scipy.sparse.csr_matrix":
    """Linear interpolation [side, ceil(side / 2)] from every second pixel."""
    left = np.arange(side) // 2
    right = np.minimum((np.arange(side) + 1) // 2, (side - 1) // 2)
    rows = np.tile(np.arange(side), 2)
    entries = np.full(2 * side, 0.5), (rows, np.concatenate([left, right]))
    return scipy.sparse.csr_matrix(entries, shape=(side, (side + 1) // 2))


def _cycle(grids: list[tuple], coarsest, residual: np.ndarray) -> np.ndarray:
    """One V-cycle: an approximate solution of the finest system for `residual`."""
    if not grids:
        return coarsest.solve(residual)
    (system, transfer, weights), rest = grids[0], grids[1:]
    solution = weights * residual
    solution += weights * (residual - system @ solution)
    left = residual - system @ solution
    solution += transfer @ _cycle(rest, coarsest, transfer.T @ left)
    for _ in range(2):
        solution += weights * (residual - system @ solution)
    return solution


def _laplace_system(values, hole, rim) -> "tuple[scipy.sparse.csr_matrix, np.ndarray]":
    """The 5-point equations of the hole's pixels: matrix [N, N], right side [N, C].

    Neighbours that are neither hole nor rim, or beyond the image, drop out.
    """
    number = np.full(hole.shape, -1, np.int64)
    number[hole] = np.arange(hole.sum())
    count = int(hole.sum())
    diagonal = np.zeros(count)
    right_side = np.zeros((count, values.shape[-1]))
    rows, columns = [], []
    for axis in (0, 1):
        later, earlier = [slice(None)] * 2, [slice(None)] * 2
        later[axis], earlier[axis] = slice(1, None), slice(None, -1)
        for here, there in (later, earlier), (earlier, later):
            here, there = tuple(here), tuple(there)
            inner = hole[here] & hole[there]
            rows.append(number[here][inner])
            columns.append(number[there][inner])
            edge = hole[here] & rim[there]
            at_edge = number[here][edge]
            diagonal[rows[-1]] += 1
            diagonal[at_edge] += 1
            right_side[at_edge] += values[there][edge]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    neighbours = scipy.sparse.coo_matrix(
        (np.ones(rows.size), (rows, columns)), shape=(count, count)
    )
    return (scipy.sparse.diags(diagonal) - neighbours).tocsr(), right_side
