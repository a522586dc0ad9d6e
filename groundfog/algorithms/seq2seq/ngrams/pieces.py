"""Pieces: a few source tokens and the few target tokens that they become, and how pairs of sequences fall into them.

    T  O  N  G  U  E  S            T:T  O:AH1  N:NG  G:  U:  E:  S:Z
    T AH1 NG Z

Nobody has cut the pairs, so expectation maximisation does (Dempster, Laird and Rubin 1977; for pronunciation
Jiampojamarn, Kondrak and Sherif 2007): all ways to cut a pair count, each by its probability, and what was counted says
how probable each piece is. In the end every pair is cut in its most probable way.

Letters: B pairs of one shape side by side   S source tokens   T target tokens   P pieces
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..data.batching import Corpus, Sequences
from ..errors import InputFault

SHAPES = ((1, 0), (1, 1), (1, 2), (2, 1))
"""Source tokens and target tokens of a piece."""
LONGEST = 2
"""Tokens on either side of a piece."""

_ROUNDS = 11
_LEARNT_FROM = 1 << 24
"""Places that cuts may go through, S * (T + 1) of a pair: beyond it, probabilities are learnt from every second pair,
or fewer."""
_NEVER, _LARGEST = -1e9, 700.0
"""Logarithms: of next to nothing, and of what is next to the largest number."""
_AT_ONCE = 1 << 20
"""Places in one array."""


@dataclass(frozen=True)
class Pieces:
    """The pieces that occur, sorted by their source tokens; -1 is no token."""

    sources: np.ndarray
    """[P, 2] int32"""
    targets: np.ndarray
    """[P, 2] int32"""

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class Cuts:
    """Pairs as pieces."""

    pieces: Pieces
    ids: np.ndarray
    """Of all pairs, one after the other."""
    lengths: np.ndarray
    """Pieces of each pair."""


def cut(corpus: Corpus, source_tokens: int, target_tokens: int) -> Cuts:
    """All pairs but those that have too many target tokens for it.

    :param source_tokens: how many the vocabulary has; so is `target_tokens`.
    :raises InputFault: more than half of them have, or the vocabularies are too large.
    """
    sources, targets = corpus.sources.lengths, corpus.targets.lengths
    short = np.flatnonzero((sources > 0) & (targets <= LONGEST * sources))
    if not len(short) or 2 * len(short) < len(corpus):
        raise InputFault(
            f"Joint n-grams want at most {LONGEST} target tokens for a source token, and"
            f" {len(corpus) - len(short):,} of {len(corpus):,} pairs have more: leave out joint_ngram_order"
        )
    bases = source_tokens + 1, target_tokens + 1
    if (bases[0] * bases[1]) ** LONGEST >= 1 << 63:
        raise InputFault(
            f"Joint n-grams are not for vocabularies of {source_tokens:,} and {target_tokens:,} tokens: leave out"
            " joint_ngram_order, or make them smaller"
        )
    each = 1 + int((sources[short] * (targets[short] + 1)).sum()) // _LEARNT_FROM
    keys, logs = _probabilities(list(_groups(corpus, short[::each], bases)))
    found = [sequence for group in _groups(corpus, short, bases) for sequence in group.best(keys, logs)]
    numbers, ids = np.unique(np.concatenate(found), return_inverse=True)
    return Cuts(_named(keys[numbers], bases), ids, np.array([len(sequence) for sequence in found]))


def _groups(corpus: Corpus, numbers: np.ndarray, bases: tuple[int, int]) -> Iterator["_Group"]:
    """These pairs, those of the same two lengths together."""
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number in numbers.tolist():
        members[int(corpus.sources.lengths[number]), int(corpus.targets.lengths[number])].append(number)
    for (width, height), pairs in sorted(members.items()):
        most = max(1, _AT_ONCE // (width * (height + 1)))
        for start in range(0, len(pairs), most):
            some = pairs[start : start + most]
            yield _Group(_stacked(corpus.sources, some), _stacked(corpus.targets, some), bases)


def _stacked(sequences: Sequences, numbers: list[int]) -> np.ndarray:
    return np.stack([sequences[number] for number in numbers]).astype(np.int64)


def _probabilities(groups: list["_Group"]) -> tuple[np.ndarray, np.ndarray]:
    """The keys of all pieces that may be, sorted, and the logarithms of their probabilities."""
    keys = np.unique(np.concatenate([np.unique(each) for group in groups for each in group.candidates()]))
    numbers = [group.numbers(keys) for group in groups]
    probabilities = np.ones(len(keys))
    for _ in range(_ROUNDS):
        counts = np.zeros(len(keys))
        for group, theirs in zip(groups, numbers, strict=True):
            group.count(theirs, probabilities, counts)
        probabilities = counts / counts.sum()
    with np.errstate(divide="ignore"):
        return keys, np.log(probabilities)


class _Group:
    """Pairs of one shape. A cut goes from the place (0, 0) to (S, T) in steps of `SHAPES`."""

    def __init__(self, sources: np.ndarray, targets: np.ndarray, bases: tuple[int, int]) -> None:
        self._sources, self._targets, self._bases = sources, targets, bases
        self._pairs, self._width = sources.shape
        self._height = targets.shape[1]

    def candidates(self) -> Iterator[np.ndarray]:
        """For each shape, a number for every piece: [B, S + 1 - its source tokens, T + 1 - its target tokens]."""
        of_source, of_target = self._bases
        for source, target in SHAPES:
            first = _runs(self._sources, source, of_source)[:, :, None]
            yield first * of_target**LONGEST + _runs(self._targets, target, of_target)[:, None, :]

    def numbers(self, keys: np.ndarray) -> list[np.ndarray]:
        """Places in these keys, one beyond where there is none."""
        found = []
        for wanted in self.candidates():
            at = np.searchsorted(keys, wanted)
            at[keys[np.minimum(at, len(keys) - 1)] != wanted] = len(keys)
            found.append(at.astype(np.int32))
        return found

    def count(self, numbers: list[np.ndarray], probabilities: np.ndarray, counts: np.ndarray) -> None:
        """How often each piece is to be expected, by sums over all cuts forward and backward."""
        forward, forward_logs = self._sums(numbers, probabilities)
        backward, backward_logs = self._sums(numbers, probabilities, back=True)
        with np.errstate(divide="ignore"):
            whole = forward_logs[-1] + np.log(forward[-1, :, -1])  # [B]
        # A pair too long for its sums to be told from 0 has no say.
        whole[whole == -np.inf] = np.inf
        for (source, target), theirs in zip(SHAPES, numbers, strict=True):
            ids = theirs.transpose(1, 0, 2)
            shares = forward_logs[: self._width + 1 - source] + backward_logs[source:] - whole
            shares = np.exp(np.minimum(shares, _LARGEST))
            expected = forward[: self._width + 1 - source, :, : self._height + 1 - target] * probabilities[ids]
            expected *= backward[source:, :, target:]
            expected *= shares[:, :, None]
            counts += np.bincount(ids.ravel(), expected.ravel(), len(counts))

    def _sums(
        self, numbers: list[np.ndarray], probabilities: np.ndarray, *, back: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The sum over all ways to a place, or on from it: [S + 1, B, T + 1], each row of a pair adding up to 1.

        The second are the logarithms of what the rows are to be multiplied by, [S + 1, B] (Rabiner 1989, section V.A).
        """
        sums, logs = (
            np.zeros((self._width + 1, self._pairs, self._height + 1)),
            np.zeros((self._width + 1, self._pairs)),
        )
        sums[-1 if back else 0, :, -1 if back else 0] = 1
        early_late = [(slice(0, self._height + 1 - target), slice(target, None)) for _, target in SHAPES]
        onward = -1 if back else 1
        for row in range(self._width - 1, -1, -1) if back else range(1, self._width + 1):
            before = [row - onward * source for source in (1, 2) if 0 <= row - onward * source <= self._width]
            most = logs[before].max(0)
            for (source, _), ids, (early, late) in zip(SHAPES, numbers, early_late, strict=True):
                other = row - onward * source
                if other in before:
                    here, there = (early, late) if back else (late, early)
                    scale = np.exp(logs[other] - most)[:, None]
                    sums[row, :, here] += sums[other, :, there] * probabilities[ids[:, min(row, other)]] * scale
            whole = sums[row].sum(1)
            reached = whole > 0
            sums[row, reached] /= whole[reached, None]
            logs[row] = np.where(reached, most + np.log(np.where(reached, whole, 1)), _NEVER)
        return sums, logs

    def best(self, keys: np.ndarray, logs: np.ndarray) -> Iterator[list[int]]:
        """The most probable cut of each pair that has any, as places in `keys`.

        One piece of two tokens has to be as probable as two of its kind, else the longer ones win for their length
        alone (so does Phonetisaurus, Novak, Minematsu and Hirose 2016).
        """
        numbers, logs = self.numbers(keys), np.append(logs, -np.inf)
        sums = self._places()
        sums[0, :, 0] = 0
        came = np.zeros(sums.shape, np.int8)
        for row in range(1, self._width + 1):
            for shape, ((source, target), ids) in enumerate(zip(SHAPES, numbers, strict=True)):
                if source <= row:
                    way = logs[ids[:, row - source]] * max(source, target)
                    way += sums[row - source, :, : self._height + 1 - target]
                    better = way > sums[row, :, target:]
                    sums[row, :, target:][better] = way[better]
                    came[row, :, target:][better] = shape
        for pair in np.flatnonzero(sums[-1, :, -1] > -np.inf).tolist():
            yield self._followed(came[:, pair].tolist(), [each[pair] for each in numbers])

    def _places(self) -> np.ndarray:
        return np.full((self._width + 1, self._pairs, self._height + 1), -np.inf)

    def _followed(self, came: list[list[int]], numbers: list[np.ndarray]) -> list[int]:
        row, column = self._width, self._height
        found: list[int] = []
        while row:
            shape = came[row][column]
            row, column = row - SHAPES[shape][0], column - SHAPES[shape][1]
            found.append(int(numbers[shape][row, column]))
        return found[::-1]


def _runs(tokens: np.ndarray, length: int, base: int) -> np.ndarray:
    """[B, n + 1 - length]: a number for each run of `length` tokens; a missing token is the digit 0."""
    places = max(tokens.shape[1] + 1 - length, 0)
    number = np.zeros((len(tokens), places), np.int64)
    for at in range(LONGEST):
        number *= base
        if at < length:
            number += tokens[:, at : at + places] + 1
    return number


def _named(keys: np.ndarray, bases: tuple[int, int]) -> Pieces:
    digits = []
    for base in (bases[1], bases[1], bases[0], bases[0]):
        keys, digit = np.divmod(keys, base)
        digits.append(digit.astype(np.int32) - 1)
    return Pieces(np.stack(digits[:1:-1], 1), np.stack(digits[1::-1], 1))
