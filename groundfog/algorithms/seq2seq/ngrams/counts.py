"""Joint n-grams: how probable a piece is after those before it, by modified Kneser-Ney smoothing.

    p(piece | history) = (count - discount) / counts of the history + rest(history) * p(piece | its end)

where the end of a history is all but its first piece.

What was seen once or twice is worth less than that, and what was not seen is as probable as it is after a shorter
history. Shorter histories count in how many ways they were come by, not how often, since they speak only where a longer
one was not seen (Kneser and Ney 1995; the three discounts: Chen and Goodman 1999, section 3).

The n-grams are a trie, a node each, level by level. The children of a node stand together, sorted by their tokens.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BEGIN, END = 0, 1
"""Before the first piece, after the last; piece p is the token p + FIRST."""
FIRST = 2


@dataclass(frozen=True)
class Trie:
    """Node 0 is the empty n-gram; all arrays have a number for each node, `children` one more."""

    tokens: np.ndarray
    """int32: the last token of the n-gram."""
    logs: np.ndarray
    """float32: log p(its last token | those before it)."""
    rests: np.ndarray
    """float32: log rest(the n-gram, as a history)."""
    shorter: np.ndarray
    """int32: the n-gram without its first token."""
    children: np.ndarray
    """int32: where the children of a node begin, those of the next one being next."""


@dataclass
class _Level:
    """All n-grams of one length, sorted by their beginnings."""

    parents: np.ndarray
    """In the level above: the n-gram without its last token."""
    tokens: np.ndarray
    suffixes: np.ndarray
    """In the level above: the n-gram without its first token."""
    begins: np.ndarray
    """Whether its first token is BEGIN."""
    counts: np.ndarray


def learn(ids: np.ndarray, lengths: np.ndarray, pieces: int, order: int) -> Trie:
    """From the pieces of sequences, one sequence after the other."""
    levels = _levels(*_marked(ids, lengths), pieces + FIRST, order)
    probabilities: list[np.ndarray] = [np.full(1, 1 / (pieces + 1))]
    rests: list[np.ndarray] = []
    for level in levels:
        discounts = np.minimum(_discounts(level.counts)[np.minimum(level.counts, 3)], level.counts)
        histories = len(probabilities[-1])
        taken = np.bincount(level.parents, discounts, histories)
        # What follows no history in its own right is as probable as after a shorter one.
        whole = np.where(taken > 0, np.bincount(level.parents, level.counts, histories), 1)
        rests.append(np.where(taken > 0, taken / whole, 1))
        seen = (level.counts - discounts) / whole[level.parents]
        probabilities.append(seen + rests[-1][level.parents] * probabilities[-1][level.suffixes])
    rests.append(np.ones(len(probabilities[-1])))
    return _trie(levels, probabilities, rests)


def _marked(ids: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of all sequences, each between BEGIN and END, and how many of its sequence stand before each."""
    lengths = lengths + 2
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    tokens = np.full(len(places), END, np.int64)
    tokens[places == 0] = BEGIN
    tokens[(places > 0) & (places < np.repeat(lengths, lengths) - 1)] = ids + FIRST
    return tokens, places


def _levels(tokens: np.ndarray, places: np.ndarray, size: int, order: int) -> list[_Level]:
    every, none = np.arange(size), np.zeros(size, np.int64)
    levels = [_Level(none, every, none, every == BEGIN, np.bincount(tokens, minlength=size))]
    nodes = tokens
    for length in range(2, order + 1):
        ending = np.flatnonzero(places >= length - 1)
        if not len(ending):
            break
        keys = nodes[ending - 1] * size + tokens[ending]
        keys, first, numbers, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        parents, last = np.divmod(keys, size)
        levels.append(_Level(parents, last, nodes[ending[first]], levels[-1].begins[parents], counts))
        nodes = np.full(len(tokens), -1)
        nodes[ending] = numbers
    for above, below in pairwise(levels):
        ways = np.bincount(below.suffixes, minlength=len(above.tokens))
        above.counts = np.where(above.begins, above.counts, ways)
    levels[0].counts[BEGIN] = 0
    return levels


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from a count of 0, of 1, of 2, and of 3 and more (Chen and Goodman 1999, equation 17)."""
    one, two, three, four = (max(int((counts == times).sum()), 1) for times in (1, 2, 3, 4))
    share = one / (one + 2 * two)
    wanted = [0, 1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three]
    return np.clip(wanted, [0, 0.1, 0.1, 0.1], [0, 0.9, 1.8, 2.7])


def _trie(levels: list[_Level], probabilities: list[np.ndarray], rests: list[np.ndarray]) -> Trie:
    starts = np.cumsum([0, 1, *(len(level.tokens) for level in levels)])
    empty = _Level(*(np.zeros(1, np.int64) for _ in range(5)))
    shorter = [level.suffixes + start for level, start in zip(levels, starts, strict=False)]
    # A node's children begin where the first n-gram stands whose beginning is not before it.
    children = [
        np.searchsorted(level.parents, np.arange(len(above.tokens))) + start
        for above, level, start in zip([empty, *levels], levels, starts[1:], strict=False)
    ]
    last = np.full(len(levels[-1].tokens) + 1, starts[-1])
    with np.errstate(divide="ignore"):
        return Trie(
            np.concatenate([empty.tokens, *(level.tokens for level in levels)]).astype(np.int32),
            np.log(np.concatenate(probabilities)).astype(np.float32),
            np.log(np.concatenate(rests)).astype(np.float32),
            np.concatenate([empty.tokens, *shorter]).astype(np.int32),
            np.concatenate([*children, last]).astype(np.int32),
        )
