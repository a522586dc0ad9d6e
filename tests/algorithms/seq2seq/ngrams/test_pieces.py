"""Pairs are cut into pieces: nothing is lost, and the probabilities are those of all ways to cut."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import InputFault
from groundfog.algorithms.seq2seq.data.batching import Corpus
from groundfog.algorithms.seq2seq.ngrams import pieces
from groundfog.algorithms.seq2seq.ngrams.pieces import SHAPES, Cuts, cut

Pair = tuple[list[int], list[int]]
Piece = tuple[tuple[int, ...], tuple[int, ...]]

ids = st.integers(4, 8)
sources = st.lists(ids, min_size=1, max_size=5)
lists_of_pairs = st.lists(st.tuples(sources, st.lists(ids, max_size=6)), min_size=1, max_size=8)


def corpus(pairs: list[Pair]) -> Corpus:
    return Corpus.of(pairs, 100, 100)


def cuts_of(pairs: list[Pair]) -> list[list[Piece]]:
    return told(cut(corpus(pairs), 9, 9))


def told(cuts: Cuts) -> list[list[Piece]]:
    def present(tokens: np.ndarray) -> tuple[int, ...]:
        return tuple(token for token in tokens.tolist() if token >= 0)

    every = [
        (present(one), present(other)) for one, other in zip(cuts.pieces.sources, cuts.pieces.targets, strict=True)
    ]
    ids = iter(cuts.ids.tolist())
    return [[every[number] for number in itertools.islice(ids, length)] for length in cuts.lengths.tolist()]


def ways(source: list[int], target: list[int]) -> Iterator[list[Piece]]:
    """All ways to cut a pair, by going through them."""
    if not source and not target:
        yield []
    for read, said in SHAPES:
        if read <= len(source) and said <= len(target):
            for rest in ways(source[read:], target[said:]):
                yield [(tuple(source[:read]), tuple(target[:said])), *rest]


@settings(max_examples=50, deadline=None)
@given(lists_of_pairs)
# Whose pieces become so improbable that sums overflowed.
@example([([4], [4, 4]), ([4], [5]), ([5, 6, 4, 4], [6, 4, 4])])
def test_the_pieces_of_a_pair_are_the_pair(pairs: list[Pair]) -> None:
    short = [pair for pair in pairs if len(pair[1]) <= 2 * len(pair[0])]
    if not short or 2 * len(short) < len(pairs):
        with pytest.raises(InputFault, match="leave out joint_ngram_order"):
            cuts_of(pairs)
        return
    found = cuts_of(pairs)
    joined = [tuple([token for piece in each for token in piece[side]] for side in (0, 1)) for each in found]
    assert sorted(joined) == sorted((list(source), list(target)) for source, target in short)
    assert {(len(source), len(target)) for each in found for source, target in each} <= set(SHAPES)


@settings(max_examples=20, deadline=None)
@given(lists_of_pairs)
def test_probabilities_are_learnt_from_all_ways_to_cut(pairs: list[Pair]) -> None:
    short = [(source, target) for source, target in pairs if len(target) <= 2 * len(source)]
    if not short:
        return
    expected = by_going_through_all(short)
    keys, logs = pieces._probabilities(list(pieces._groups(corpus(short), np.arange(len(short)), (10, 10))))
    named = pieces._named(keys, (10, 10))
    found = {
        (tuple(x for x in one if x >= 0), tuple(x for x in other if x >= 0)): log
        for one, other, log in zip(named.sources.tolist(), named.targets.tolist(), np.exp(logs), strict=True)
    }
    assert set(expected) <= set(found)
    for piece, probability in found.items():
        assert probability == pytest.approx(expected.get(piece, 0.0), abs=1e-9)


def by_going_through_all(pairs: list[Pair]) -> dict[Piece, float]:
    every = [list(ways(source, target)) for source, target in pairs]
    found: dict[Piece, float] = dict.fromkeys((piece for all_ways in every for way in all_ways for piece in way), 1.0)
    for _ in range(pieces._ROUNDS):
        counts: Counter[Piece] = Counter()
        for all_ways in every:
            weights = [np.prod([found[piece] for piece in way]) for way in all_ways]
            for way, weight in zip(all_ways, weights, strict=True):
                for piece in way:
                    counts[piece] += weight / sum(weights)
        found = {piece: counts[piece] / counts.total() for piece in found}
    return found


def test_what_belongs_together_is_found() -> None:
    draw = random.Random(1)
    said = {4: [4], 5: [5, 6], 6: [], 7: [7]}
    sources = [draw.choices([4, 5, 6, 7], k=draw.randint(1, 7)) for _ in range(300)]
    pairs = [(source, [token for letter in source for token in said[letter]]) for source in sources]
    found = Counter(piece for each in cuts_of(pairs) for piece in each)
    right = sum(found[(letter,), tuple(tokens)] for letter, tokens in said.items())
    assert right > 0.98 * found.total()


def test_of_much_data_a_part_is_learnt_from_and_all_of_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [([4, 5], [4, 5]), ([5, 4], [5, 4])] * 50
    whole = cuts_of(pairs)
    monkeypatch.setattr(pieces, "_LEARNT_FROM", 60)
    assert len(cuts_of(pairs)) == 100
    assert cuts_of(pairs) == whole


def test_vocabularies_too_large_to_be_numbered_are_refused() -> None:
    with pytest.raises(InputFault, match=r"100,000 and 100,000 tokens"):
        cut(corpus([([4], [4])]), 100_000, 100_000)
