"""The settings of a completion, and what each may be."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of a completion; the defaults are those measured in docs/patchmatch.md.

    Attributes:
      patch: side of the patches, odd, 3 to 31.
      levels: scales of the pyramid; None = as many as the size allows.
      passes: search passes per step, each propagation and random search.
      jumps: distances in pixels at which neighbours' matches are proposed.
      random: random proposals per pass.
      steps: (coarsest, finest) number of search-and-vote steps, geometric
        between.
      texture: weight of the two texture features beside the colour; 0 = colour only.
      dims: length of the patch descriptors.
      confidence: factor >= 1 by which a patch weighs less per pixel into the hole.
      spread: variance of the votes as a share of the mean squared distance of the
        patches that cover a pixel; less = sharper.
      screen: weight of the voted colours against the patches' gradients, for
        `poisson`; less = sharper.
      exact_pixels: size of a scale up to which its search is exhaustive.
      final: `average` (the last vote), `best` (colour of the nearest covering patch)
        or `poisson` (gradients of the patches, sharper).
      batched: whether pictures of a batch run together (`vmap`) or one by one; None =
        together except on a CPU, where that gains nothing. Together, a picture may
        differ from its result alone: sums round otherwise, and matches flip.
    """

    patch: int = 5
    levels: int | None = None
    passes: int = 1
    jumps: tuple[int, ...] = (4, 1)
    random: int = 6
    steps: tuple[int, int] = (40, 4)
    texture: float = 3.0
    dims: int = 8
    confidence: float = 1.7
    spread: float = 0.25
    screen: float = 0.05
    exact_pixels: int = 2048
    final: str = "poisson"
    batched: bool | None = None

    def __post_init__(self):
        """Checks ranges; `ValueError` names the setting and what it may be."""
        known = ("average", "best", "poisson")
        rules = {
            "patch": (3 <= self.patch <= 31 and self.patch % 2 == 1, "odd, 3 to 31"),
            "levels": (self.levels is None or self.levels >= 1, "at least 1, or None"),
            "passes": (self.passes >= 1, "at least 1"),
            "jumps": (min(self.jumps, default=0) >= 1, "one or more numbers >= 1"),
            "random": (self.random >= 1, "at least 1"),
            "steps": (
                len(self.steps) == 2 and min(self.steps) >= 1,
                "(coarsest, finest), each at least 1",
            ),
            "texture": (self.texture >= 0, "at least 0"),
            "dims": (self.dims >= 1, "at least 1"),
            "confidence": (self.confidence >= 1, "at least 1"),
            "spread": (self.spread > 0, "above 0"),
            "screen": (self.screen > 0, "above 0"),
            "final": (self.final in known, f"one of {', '.join(known)}"),
        }
        for name, (fine, allowed) in rules.items():
            if not fine:
                value = getattr(self, name)
                raise ValueError(f"patchmatch: {name}={value!r} must be {allowed}")
