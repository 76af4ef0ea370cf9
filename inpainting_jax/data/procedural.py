"""Pictures drawn from a seed: textured shapes over textured ground, softly lit.

Enough structure for a network to learn to continue lines, textures and shading, on a
machine without any photographs. NumPy only; coordinates run from -1 to 1.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

_SIDE = 128


@dataclasses.dataclass(frozen=True)
class ProceduralSource:
    """`count` drawn pictures [128, 128, 3], the seeds of which start at `first`."""

    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < self.count:
            raise IndexError(f"picture {index} of {self.count}")
        seed = self.first + index
        picture, labels = draw_labelled(seed)
        return {
            "image": picture,
            "label_map": labels,
            "name": f"procedural_{seed:05d}",
        }


def draw_picture(seed: int, side: int = _SIDE) -> np.ndarray:
    """A picture [side, side, 3] uint8 that follows from its seed alone."""
    return draw_labelled(seed, side)[0]


def draw_labelled(seed: int, side: int = _SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its label map [side, side] uint8: the kind of texture, 0 to 4."""
    rng = np.random.default_rng((20_260_000, seed))
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    picture, kind = _fill(rng, y, x)
    labels = np.full((side, side), kind, np.uint8)
    for _ in range(rng.integers(2, 7)):
        shape = _SHAPES[rng.integers(len(_SHAPES))]
        cover = np.clip(0.5 - shape(rng, y, x) * side / 2, 0, 1)[..., None]
        filled, kind = _fill(rng, y, x)
        picture = picture + cover * (filled - picture)
        labels[cover[..., 0] > 0.5] = kind
    slope = rng.uniform(-0.25, 0.25, 2)
    light = 1 + slope[0] * y + slope[1] * x
    grain = rng.normal(0, rng.uniform(0, 0.02), picture.shape).astype(np.float32)
    picture = picture * light[..., None] + grain
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8), labels


def _fill(
    rng: np.random.Generator, y: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, int]:
    """Two colours mixed by a texture, [side, side, 3] in [0, 1], and which texture."""
    kind = int(rng.integers(len(_TEXTURES)))
    pattern = _TEXTURES[kind]
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    across = np.cos(angle) * y - np.sin(angle) * x
    weight = pattern(rng, along, across)[..., None]
    one = rng.uniform(0.05, 0.95, 3).astype(np.float32)
    other = np.clip(one + rng.normal(0, 0.25, 3), 0, 1).astype(np.float32)
    return one + weight * (other - one), kind


def _gradient(rng, along, across):
    del across
    return np.clip(0.5 + along * rng.uniform(0.3, 0.7), 0, 1)


def _stripes(rng, along, across):
    del across
    return 0.5 + 0.5 * np.sin(rng.uniform(6, 40) * along + rng.uniform(0, 6))


def _checks(rng, along, across):
    scale = rng.uniform(5, 20)
    return np.clip(0.5 + 4 * np.sin(scale * along) * np.sin(scale * across), 0, 1)


def _bricks(rng, along, across):
    rows = rng.uniform(3, 8)
    row = np.floor(across * rows)
    across = across * rows - row
    along = np.mod(along * rows / 2 + 0.5 * np.mod(row, 2), 1)
    return ((across < 0.12) | (along < 0.06)).astype(np.float32)


def _clouds(rng, along, across):
    waves = rng.normal(0, 1, (6, 4)) * np.array([4, 4, 0.5, 3])
    total = sum(d * np.sin(a * along + b * across + c) for a, b, d, c in waves)
    return 0.5 + 0.5 * np.tanh(total)


def _disc(rng, y, x):
    row, column = rng.uniform(-0.9, 0.9, 2)
    height, width = rng.uniform(0.15, 0.6, 2)
    radius = np.sqrt(((y - row) / height) ** 2 + ((x - column) / width) ** 2)
    return (radius - 1) * min(height, width)


def _polygon(rng, y, x):
    """Signed distance (negative inside) of a convex polygon."""
    row, column = rng.uniform(-0.8, 0.8, 2)
    corners = rng.integers(3, 7)
    size, turn = rng.uniform(0.15, 0.5), rng.uniform(0, 2 * np.pi)
    angles = turn + 2 * np.pi * np.arange(corners) / corners
    sides = [np.cos(a) * (x - column) + np.sin(a) * (y - row) - size for a in angles]
    return np.max(sides, axis=0)


def _bar(rng, y, x):
    angle, shift = rng.uniform(0, np.pi), rng.uniform(-0.7, 0.7)
    return np.abs(np.cos(angle) * x + np.sin(angle) * y - shift) - rng.uniform(
        0.02, 0.12
    )


_Pattern = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
_TEXTURES: tuple[_Pattern, ...] = (_gradient, _stripes, _checks, _bricks, _clouds)
_SHAPES: tuple[_Pattern, ...] = (_disc, _polygon, _bar)
