"""How a prediction meets its surroundings: inside the hole only, known pixels fixed.

All functions take and return one image on the host: `image` and `prediction` [H, W, C]
float32 in [-1, 1], `hole` [H, W] bool with at least one known pixel. What `image` holds
inside the hole has no effect.
"""

import cv2
import numpy as np
import scipy.ndimage
import scipy.sparse
import scipy.sparse.linalg

BLENDS = ("none", "feather", "poisson")
FEATHER_RADIUS = 6
"""Width in pixels of the rim that `feather` mixes."""

_DIRECT = 4096  # unknowns up to which the system is factorised
_TOLERANCE = 1e-4  # of the residual, relative to the right-hand side


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
      rule: "none" takes the prediction as it is; else see `feather` and `poisson`.
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
    inside = hole.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    rim = (cv2.dilate(inside, cross) > 0) & ~hole
    outer = prediction
    if not raw:
        _, nearest = scipy.ndimage.distance_transform_edt(~hole, return_indices=True)
        outer = prediction[tuple(nearest)]
    mismatch = np.where(rim[..., None], image - outer, np.float32(0))
    correction = _harmonic(mismatch.astype(np.float32), hole, rim)
    return np.clip(prediction + correction, -1, 1)


def _harmonic(values: np.ndarray, hole: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """`values` [H, W, C] of the rim continued into the hole with zero Laplacian.

    Coarse to fine: the solution at half size is where the iteration starts, so that a
    few steps suffice for holes of any size. The image's border lets nothing through.
    """
    system, right_side = _laplace_system(values, hole, rim)
    if system.shape[0] <= _DIRECT:
        solution = scipy.sparse.linalg.splu(system.tocsc()).solve(right_side)
    else:
        start = _halved_solution(values, hole, rim)[hole]
        solution = np.stack(
            [
                scipy.sparse.linalg.cg(system, b, x0=x0, rtol=_TOLERANCE, maxiter=400)[
                    0
                ]
                for b, x0 in zip(right_side.T, start.T, strict=True)
            ],
            axis=-1,
        )
    result = np.zeros_like(values)
    result[hole] = solution
    return result


def _halved_solution(values, hole, rim) -> np.ndarray:
    """`_harmonic` at half size, brought back to full size."""
    height, width = hole.shape
    pad = (height % 2, width % 2)

    def blocks(array: np.ndarray) -> np.ndarray:
        array = np.pad(array, ((0, pad[0]), (0, pad[1]), (0, 0)))
        rows, columns = array.shape[0] // 2, array.shape[1] // 2
        return array.reshape(rows, 2, columns, 2, -1).sum(axis=(1, 3))

    count = blocks(rim[..., None].astype(np.float32))
    coarse_rim = count[..., 0] > 0
    coarse_hole = (blocks(hole[..., None].astype(np.float32))[..., 0] > 0) & ~coarse_rim
    coarse = blocks(np.where(rim[..., None], values, 0)) / np.maximum(count, 1)
    if coarse_hole.any():
        solved = _harmonic(coarse.astype(np.float32), coarse_hole, coarse_rim)
        coarse = np.where(coarse_hole[..., None], solved, coarse)
    return np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[:height, :width]


def _laplace_system(values, hole, rim) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
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
