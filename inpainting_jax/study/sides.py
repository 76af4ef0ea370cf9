"""Which of two pictures stands left, so that no method is favoured by its side."""

import collections

import numpy as np


def balanced_sides(
    pairs: list[tuple[str, ...]], rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """The same pairs, each in an order such that everyone is left about half the time.

    Single pictures stay as they are. A pair that comes twice is turned once. What
    remains is a graph of pairs, directed along closed walks: as many edges leave a
    method as arrive.
    """
    result = list(pairs)
    places = collections.defaultdict(list)
    for place in rng.permutation(len(pairs)):
        places[pairs[place]].append(int(place))
    odd = {}
    for pair, own in places.items():
        if len(pair) < 2:
            continue
        for place in own[: len(own) // 2]:
            result[place] = pair[::-1]
        if len(own) % 2:
            odd[pair] = own[-1]
    for left, right in directed(list(odd), rng):
        place = odd.get((left, right), odd.get((right, left)))
        result[place] = (left, right)
    return result


def directed(
    edges: list[tuple[str, ...]], rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """Each edge with a direction; in and out differ by at most one at every node.

    No edge comes twice, in either direction.
    """
    neighbours = collections.defaultdict(list)
    for i in rng.permutation(len(edges)):
        a, b = edges[i]
        neighbours[a].append(b)
        neighbours[b].append(a)
    for node in [n for n, others in neighbours.items() if len(others) % 2]:
        neighbours[node].append(None)  # a node beyond, which makes all degrees even
        neighbours[None].append(node)
    directed = []
    for start in [*neighbours]:
        node = start
        while neighbours[node]:
            following = neighbours[node].pop()
            neighbours[following].remove(node)
            directed.append((node, following))
            node = following
    return [edge for edge in directed if None not in edge]
