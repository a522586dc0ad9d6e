"""What joint n-grams say of a source.

A hypothesis is a target so far, and the history of pieces that came to it. At each place of the source, from left to
right, the best hypotheses are continued by all pieces that begin with its next tokens. Those that have the same target
and the same history are one, their probabilities added up, since it does not matter how a pair is cut.

This is what kernels/ngrams.cpp does, and what it is tested against; where there is no compiler, it does the work.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..kernels.ngrams import Said
from .counts import BEGIN, END, FIRST, Trie
from .pieces import LONGEST, Pieces

Ids = tuple[int, ...]

_EACH = 16
"""Hypotheses of a target that is given, at each place of the source and each of the target."""

Place = dict[tuple[int, Ids], float]
"""The hypotheses that have come to a place of the source: history, target, and the logarithm of their probability."""


class Plain:
    def __init__(self, pieces: Pieces, trie: Trie) -> None:
        self._trie = trie
        self._targets = [_present(target) for target in pieces.targets.tolist()]
        self._pieces: dict[Ids, list[int]] = defaultdict(list)
        for number, source in enumerate(pieces.sources.tolist()):
            self._pieces[_present(source)].append(number + FIRST)

    def say(self, sources: Sequence[Sequence[int]], width: int, threshold: float, most: int) -> list[Said]:
        """For each source, none of them empty, its `most` most probable targets; none if a token stands in no piece."""

        def best(place: Place) -> list[tuple[tuple[int, Ids], float]]:
            found = heapq.nlargest(width, place.items(), key=_probability)
            return [each for each in found if each[1] >= found[0][1] - threshold]

        said = (self._search(source, best, lambda target: True) for source in sources)
        return [(heapq.nlargest(most, each.items(), key=_probability), _sum(each.values())) for each in said]

    def joint(self, source: Sequence[int], target: Sequence[int]) -> float:
        """The logarithm of the probability of a source and a target together."""
        whole = tuple(target)

        def best(place: Place) -> list[tuple[tuple[int, Ids], float]]:
            kept: Counter[Ids] = Counter()
            found = []
            for (history, said), log in sorted(place.items(), key=_probability, reverse=True):
                kept[said] += 1
                if kept[said] <= _EACH:
                    found.append(((history, said), log))
            return found

        return self._search(source, best, lambda said: whole[: len(said)] == said).get(whole, -math.inf)

    def _search(
        self,
        source: Sequence[int],
        best: Callable[[Place], list[tuple[tuple[int, Ids], float]]],
        follow: Callable[[Ids], bool],
    ) -> dict[Ids, float]:
        places: list[Place] = [{} for _ in range(len(source) + 1)]
        places[0][BEGIN + 1, ()] = 0.0
        for at in range(len(source)):
            further = [
                tuple(source[at : at + length]) for length in range(1, LONGEST + 1) if at + length <= len(source)
            ]
            known = [(read, self._pieces[read]) for read in further if read in self._pieces]
            for (history, said), total in best(places[at]):
                for read, pieces in known:
                    for piece, after, log in self._continued(history, pieces):
                        target = said + self._targets[piece - FIRST]
                        if follow(target):
                            _add(places[at + len(read)], (after, target), total + log)
        ended: dict[Ids, float] = {}
        for (history, said), total in places[-1].items():
            for _, _, log in self._continued(history, [END]):
                _add(ended, said, total + log)
        return ended

    def _continued(self, history: int, tokens: list[int]) -> Iterator[tuple[int, int, float]]:
        """Each token, the history after it and the logarithm of its probability, of which the longest n-gram tells."""
        rest = 0.0
        while True:
            nodes = {token: self._child(history, token) for token in tokens}
            for token, node in nodes.items():
                if node is not None:
                    yield token, self._known(node), rest + float(self._trie.logs[node])
            tokens = [token for token, node in nodes.items() if node is None]
            if not tokens or not history:
                return
            rest += float(self._trie.rests[history])
            history = int(self._trie.shorter[history])

    def _known(self, node: int) -> int:
        """The longest end of this n-gram that something was seen to follow: what is left of it as a history."""
        while node and self._trie.children[node] == self._trie.children[node + 1]:
            node = int(self._trie.shorter[node])
        return node

    def _child(self, history: int, token: int) -> int | None:
        start, stop = self._trie.children[history : history + 2].tolist()
        at = start + int(np.searchsorted(self._trie.tokens[start:stop], token))
        return at if at < stop and self._trie.tokens[at] == token else None


def _present(tokens: list[int]) -> Ids:
    return tuple(token for token in tokens if token >= 0)


def _probability(each: tuple[object, float]) -> float:
    return each[1]


def _add(place: dict[Any, float], key: Any, log: float) -> None:
    place[key] = _sum((place[key], log)) if key in place else log


def _sum(logs: Iterable[float]) -> float:
    several = list(logs)
    most = max(several, default=-math.inf)
    return most if most == -math.inf else most + math.log(math.fsum(math.exp(log - most) for log in several))
