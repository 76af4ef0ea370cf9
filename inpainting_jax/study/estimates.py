"""Numbers from answers: shares with intervals, rankings, sample sizes.

Wilson 1927 for shares of independent answers; a bootstrap over observers and images
where answers are not independent; Bradley and Terry 1952 for rankings from pairs:
P(i beats j) = 1 / (1 + exp(b_j - b_i)).
"""

import math

import numpy as np
from scipy import special

RESAMPLES = 10_000
PSEUDO_WINS = 0.5
"""Added to each side of each pair: strengths stay finite if one wins always."""

_CONVERGED = 1e-10
_CHUNK = 1000


def wilson(successes: float, count: float) -> tuple[float, float]:
    """95 % interval of a share; (nan, nan) without answers."""
    if count == 0:
        return math.nan, math.nan
    z = special.ndtri(0.975)
    share = successes / count
    middle = share + z**2 / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)


def side_bias(left: int, count: int) -> float:
    """Two-sided p that left is chosen half the time; nan without answers."""
    if not count:
        return math.nan
    fewer = min(left, count - left)  # the binomial is symmetric: both tails are alike
    return min(1.0, 2 * float(special.bdtr(fewer, count, 0.5)))


def d_prime(hits: int, fakes: int, false_alarms: int, reals: int) -> float:
    """How well generated pictures are told from real ones, whatever the bias.

    z(share of fakes called generated) - z(share of reals called generated), each with
    1/2 added to the count and 1 to the number: finite at 0 and 1.
    """
    rates = (hits + 0.5) / (fakes + 1), (false_alarms + 0.5) / (reals + 1)
    return float(special.ndtri(rates[0]) - special.ndtri(rates[1]))


def crossed_bootstrap(
    successes: np.ndarray,
    counts: np.ndarray,
    seed: int,
    *,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """95 % interval of a share whose answers share observers and images.

    Both are resampled, so that it holds for other people and other images.

    Args:
      successes: [O, I] per observer and image.
      counts: [O, I] answers.
      seed: of the resamples.
      resamples: their number.
    """
    if not counts.sum():
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    shares = []
    for first in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - first)
        people, images = (_weights(rng, size, n) for n in counts.shape)
        total = np.sum((people @ counts) * images, axis=1)
        won = np.sum((people @ successes) * images, axis=1)
        shares.append(won[total > 0] / total[total > 0])
    low, high = np.percentile(np.concatenate(shares), (2.5, 97.5))
    return float(low), float(high)


def _weights(rng: np.random.Generator, resamples: int, count: int) -> np.ndarray:
    """[R, N] how often each of N things is in each of R resamples of size N."""
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples) * 1.0


def bradley_terry(wins: np.ndarray) -> np.ndarray:
    """Strengths b [..., M], mean 0, from wins [..., M, M] of row over column.

    Hunter's MM iteration (2004, https://doi.org/10.1214/aos/1079120141) with
    `PSEUDO_WINS`; a draw is half a win for both.
    """
    methods = wins.shape[-1]
    wins = (wins + PSEUDO_WINS) * (1 - np.eye(methods))
    played = wins + wins.swapaxes(-1, -2)
    won = wins.sum(-1)
    logs = np.zeros(won.shape)
    while True:
        powers = np.exp(logs)
        rivals = powers[..., :, None] + powers[..., None, :]
        following = np.log(won / np.sum(played / rivals, axis=-1))
        following -= following.mean(-1, keepdims=True)
        if np.abs(following - logs).max() < _CONVERGED:
            return following
        logs = following


def bradley_terry_bootstrap(
    wins: np.ndarray, seed: int, *, resamples: int = RESAMPLES
) -> np.ndarray:
    """[R, M] strengths of resamples of the observers of wins [O, M, M]."""
    observers, methods = wins.shape[:2]
    rng = np.random.default_rng(seed)
    flat = wins.reshape(observers, -1)
    strengths = []
    for first in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - first)
        drawn = (_weights(rng, size, observers) @ flat).reshape(-1, methods, methods)
        strengths.append(bradley_terry(drawn))
    return np.concatenate(strengths)


def check_connected(wins: np.ndarray, names: tuple[str, ...]) -> None:
    """Raises ValueError if no chain of comparisons links all methods of [M, M]."""
    met = (wins + wins.T) > 0
    left, parts = list(range(len(names))), []
    while left:
        part, grown = {left[0]}, True
        while grown:
            reached = part | {j for i in part for j in np.flatnonzero(met[i])}
            grown, part = reached != part, reached
        parts.append(sorted(part))
        left = [i for i in left if i not in part]
    if len(parts) > 1:
        named = " | ".join(", ".join(names[i] for i in part) for part in parts)
        raise ValueError(
            f"no answers compare these groups of methods with one another: {named};"
            " a ranking needs more answers."
        )


def rank_shares(strengths: np.ndarray) -> np.ndarray:
    """[M, M] share of resamples [R, M] in which method m takes place p (0 = best)."""
    places = np.argsort(np.argsort(-strengths, axis=1), axis=1)
    methods = strengths.shape[1]
    return np.stack([(places == p).mean(0) for p in range(methods)], axis=1)


def circular_triads(wins: np.ndarray) -> int:
    """Triples of which each beats the next in most answers: no ranking fits them."""
    beats = wins > wins.T
    methods = range(len(wins))
    return sum(
        bool(beats[i, j] and beats[j, k] and beats[k, i])
        for i in methods
        for j in methods
        for k in methods
        if i < min(j, k)
    )


def answers_for_preference(share: float, *, power: float = 0.8) -> int:
    """Answers per pair to tell a preference of `share` from 1/2; alpha .05."""
    alpha, beta = special.ndtri(0.975), special.ndtri(power)
    spread = alpha * 0.5 + beta * math.sqrt(share * (1 - share))
    return math.ceil((spread / (share - 0.5)) ** 2)


def answers_for_two_rates(first: float, second: float, *, power: float = 0.8) -> int:
    """Answers per method to tell two fooling rates apart; alpha .05, two-sided."""
    alpha, beta = special.ndtri(0.975), special.ndtri(power)
    mean = (first + second) / 2
    own = first * (1 - first) + second * (1 - second)
    spread = alpha * math.sqrt(2 * mean * (1 - mean)) + beta * math.sqrt(own)
    return math.ceil((spread / (first - second)) ** 2)


def answers_for_half_width(half_width: float) -> int:
    """Answers for a 95 % interval of +- `half_width` around a share of 1/2."""
    return math.ceil((special.ndtri(0.975) * 0.5 / half_width) ** 2)


def design_effect(answers: int, correlation: float = 0.05) -> float:
    """By how much more answers are needed if a person gives `answers` of them."""
    return 1 + (answers - 1) * correlation
