"""Modified Kneser-Ney, against the formulas written out over all n-grams."""

from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq.ngrams.counts import BEGIN, END, FIRST, Trie, learn

PIECES = 4
sequences = st.lists(st.lists(st.integers(0, PIECES - 1), max_size=6), min_size=1, max_size=30)

Gram = tuple[int, ...]


def learnt(several: list[list[int]], order: int) -> Trie:
    ids = np.array([piece for each in several for piece in each], np.int64)
    return learn(ids, np.array([len(each) for each in several]), PIECES, order)


def grams(trie: Trie) -> dict[Gram, int]:
    """All n-grams of a trie, by going down from the empty one."""
    found, ways = {}, [((), 0)]
    while ways:
        gram, node = ways.pop()
        found[gram] = node
        ways += [
            ((*gram, int(trie.tokens[child])), child) for child in range(trie.children[node], trie.children[node + 1])
        ]
    return found


def probability(trie: Trie, known: dict[Gram, int], history: Gram, token: int) -> float:
    """As search has it: the longest n-gram tells, and each shorter history pays its rest."""
    rest = 0.0
    while (*history, token) not in known:
        rest += float(trie.rests[known[history]]) if history in known else 0.0
        history = history[1:]
    return float(np.exp(rest + trie.logs[known[(*history, token)]]))


class Written:
    """The same by the book: Chen and Goodman 1999, section 3."""

    def __init__(self, several: list[list[int]], order: int) -> None:
        marked = [(BEGIN, *(piece + FIRST for piece in each), END) for each in several]
        raw = [
            Counter(each[at : at + length] for each in marked for at in range(len(each) + 1 - length))
            for length in range(1, order + 2)
        ]
        raw = raw[: max(length for length, counts in enumerate(raw[:order], 1) if counts)]
        self.counts: list[Counter[Gram]] = []
        for length, counts in enumerate(raw, 1):
            ways = Counter(gram[1:] for gram in raw[length]) if length < len(raw) else counts
            self.counts.append(Counter({gram: counts[gram] if gram[0] == BEGIN else ways[gram] for gram in counts}))
        self.counts[0][BEGIN,] = 0
        self.following: dict[Gram, list[Gram]] = defaultdict(list)
        for counts in self.counts:
            for gram in counts:
                self.following[gram[:-1]].append(gram)

    def discount(self, gram: Gram) -> float:
        counts = self.counts[len(gram) - 1]
        one, two, three, four = (max(sum(each == times for each in counts.values()), 1) for times in (1, 2, 3, 4))
        share = one / (one + 2 * two)
        wanted = (0, 1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three)
        times = min(counts[gram], 3)
        return min(max(wanted[times], (0, 0.1, 0.1, 0.1)[times]), (0, 0.9, 1.8, 2.7)[times])

    @cache  # noqa: B019 (for the length of a test)
    def probability(self, history: Gram, token: int) -> float:
        following = self.following.get(history, [])
        shorter = 1 / (PIECES + 1) if not history else self.probability(history[1:], token)
        if not following:
            return shorter
        counts = self.counts[len(history)]
        whole = sum(counts[gram] for gram in following)
        rest = sum(self.discount(gram) for gram in following) / whole
        gram = (*history, token)
        seen = counts[gram] - self.discount(gram) if counts[gram] else 0
        return seen / whole + rest * shorter


@settings(max_examples=60, deadline=None)
@given(sequences, st.integers(1, 5))
def test_probabilities_are_those_of_the_book_and_sum_to_one(several: list[list[int]], order: int) -> None:
    trie = learnt(several, order)
    known, book = grams(trie), Written(several, order)
    histories = {gram for gram in known if not gram or gram[-1] != END} | {(FIRST, FIRST, FIRST), (BEGIN, FIRST)}
    for history in sorted(histories):
        if len(history) >= order:
            continue
        tokens = [END, *range(FIRST, PIECES + FIRST)]
        # A piece that never occurs is no piece.
        seen = [token for token in tokens if (token,) in known]
        found = {token: probability(trie, known, history, token) for token in seen}
        assert sum(found.values()) == pytest.approx(1, abs=1e-5)
        for token, each in found.items():
            assert each == pytest.approx(book.probability(history, token), abs=1e-6)


def test_the_trie_has_all_ngrams_once_and_nothing_leads_astray() -> None:
    trie = learnt([[0, 1, 2], [0, 1, 3], [2]], 3)
    known = grams(trie)
    assert len(known) == len(trie.tokens) == len(set(known.values()))
    assert {(BEGIN, FIRST, FIRST + 1), (FIRST, FIRST + 1, FIRST + 3), (FIRST + 2, END)} <= set(known)
    for gram, node in known.items():
        if gram:
            assert trie.shorter[node] == known[gram[1:]]
    assert all((np.diff(trie.tokens[first:last]) > 0).all() for first, last in pairwise(trie.children))


def test_what_was_seen_in_many_places_is_likelier_where_nothing_is_known() -> None:
    # Piece 1 is frequent, but stands behind piece 0 only; piece 2 is rarer, and stands behind several.
    trie = learnt([[0, 1]] * 9 + [[0, 2], [1, 2], [3, 2], [2, 2]], 2)
    known = grams(trie)
    assert trie.logs[known[(FIRST + 2,)]] > trie.logs[known[(FIRST + 1,)]]
