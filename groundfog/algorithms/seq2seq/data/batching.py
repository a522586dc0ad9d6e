"""Batches: pairs of about the same length side by side, in an order that only the seed and the epoch decide.

Letters of shapes here and in the network:
    B sentences in a batch    S source tokens    T target tokens, </s> included    V tokens in the target vocabulary

Sequences stand in columns, [S, B] and [T, B], since a recurrent network goes through them step by step.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .vocabulary import BEGIN, END, PAD


class Sequences:
    """Many sequences of ids in one array, 4 bytes an id."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._ids = array("i")
        self._ends = array("q", [0])
        self.__dict__.pop("lengths", None)

    def append(self, sequence: Sequence[int]) -> None:
        self._ids.extend(sequence)
        self._ends.append(len(self._ids))

    def extend(self, others: "Sequences", start: int, stop: int) -> None:
        """By the others from number `start` to before `stop`."""
        first, last = others._ends[start], others._ends[stop]
        ends = np.array(others._ends[start + 1 : stop + 1]) + (len(self._ids) - first)
        self._ids.extend(others._ids[first:last])
        self._ends.frombytes(ends.tobytes())

    def some(self, numbers: Sequence[int] | np.ndarray) -> "Sequences":
        sequences = Sequences()
        for number in numbers:
            sequences.append(self._ids[self._ends[number] : self._ends[number + 1]])
        return sequences

    @classmethod
    def of_columns(cls, ids: np.ndarray, lengths: np.ndarray, longest: int) -> "Sequences":
        """From ids in one row; sequences are cut off after `longest`."""
        sequences, cut = cls(), np.minimum(lengths, longest)
        place = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        sequences._ids.frombytes(ids[place < longest].astype(np.int32).tobytes())
        sequences._ends.frombytes(np.cumsum(cut, dtype=np.int64).tobytes())
        return sequences

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        return np.array(self._ids[self._ends[number] : self._ends[number + 1]], dtype=np.int32)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Of all of them; to be asked for when no more are appended."""
        return np.diff(np.array(self._ends))


@dataclass(frozen=True)
class Corpus:
    """Sources and their targets as ids, without <s> and </s>."""

    sources: Sequences
    targets: Sequences

    def __len__(self) -> int:
        return len(self.sources)

    @classmethod
    def of(
        cls, pairs: Iterable[tuple[Sequence[int], Sequence[int]]], longest_source: int, longest_target: int
    ) -> "Corpus":
        """Sequences are cut off after so many ids."""
        corpus = cls(Sequences(), Sequences())
        for source, target in pairs:
            corpus.sources.append(source[:longest_source])
            corpus.targets.append(target[:longest_target])
        return corpus

    def some(self, numbers: Sequence[int] | np.ndarray) -> "Corpus":
        return Corpus(self.sources.some(numbers), self.targets.some(numbers))

    def extend(self, other: "Corpus", start: int, stop: int) -> None:
        self.sources.extend(other.sources, start, stop)
        self.targets.extend(other.targets, start, stop)

    def clear(self) -> None:
        self.sources.clear()
        self.targets.clear()


@dataclass(frozen=True)
class Source:
    ids: Tensor
    """[S, B], <pad> below the shorter ones."""
    lengths: Tensor
    """[B]"""
    ragged: bool
    """Whether the lengths differ, so that something has to be masked."""

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int] | np.ndarray]) -> "Source":
        lengths = [len(sequence) for sequence in sequences]
        return cls(_columns(sequences, max(lengths)), torch.tensor(lengths), min(lengths) != max(lengths))

    def to(self, device: torch.device) -> "Source":
        # Packed sequences want their lengths on the CPU.
        return Source(self.ids.to(device), self.lengths, self.ragged)


@dataclass(frozen=True)
class Batch:
    source: Source
    inputs: Tensor
    """[T, B]: <s> and the target, what the decoder is told."""
    outputs: Tensor
    """[T, B]: the target and </s>, what it has to say."""

    def __len__(self) -> int:
        return self.inputs.shape[1]

    @classmethod
    def of(cls, corpus: Corpus, numbers: Sequence[int] | np.ndarray) -> "Batch":
        targets = [corpus.targets[number] for number in numbers]
        rows = max(len(target) for target in targets) + 1
        inputs = _columns([np.concatenate([[BEGIN], target]) for target in targets], rows)
        outputs = _columns([np.concatenate([target, [END]]) for target in targets], rows)
        return cls(Source.of([corpus.sources[number] for number in numbers]), inputs, outputs)

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.source.to(device), self.inputs.to(device), self.outputs.to(device))


def _columns(sequences: Sequence[Sequence[int] | np.ndarray], rows: int) -> Tensor:
    columns = np.full((rows, len(sequences)), PAD, dtype=np.int64)
    for place, sequence in enumerate(sequences):
        columns[: len(sequence), place] = sequence
    return torch.from_numpy(columns)


def epoch_batches(
    corpus: Corpus, batch_size: int, *, bucket_width: int | None, seed: int, epoch: int, window: int = 0
) -> list[np.ndarray]:
    """The numbers of the pairs of each batch of an epoch, or of a window of it; `bucket_width` None mixes all lengths.

    A batch has one exact source length where enough pairs have it, so that nothing on the source side is padded or
    masked, and targets of neighbouring lengths. What is left over is gathered across source lengths less than
    `bucket_width` apart.
    """
    random = np.random.default_rng([seed, epoch, window] if window else [seed, epoch])
    order = random.permutation(len(corpus))
    if bucket_width is None:
        return _cut(order, batch_size)
    by_length = order[np.lexsort((corpus.targets.lengths[order], corpus.sources.lengths[order]))]
    lengths = corpus.sources.lengths[by_length]
    batches: list[np.ndarray] = []
    rest: list[np.ndarray] = []
    for group in np.split(by_length, np.flatnonzero(np.diff(lengths)) + 1):
        # The rest is a random stretch of the group, else it were the longest targets in every epoch.
        over = len(group) % batch_size
        start = int(random.integers(len(group) - over + 1))
        rest.append(group[start : start + over])
        batches += _cut(np.delete(group, np.s_[start : start + over]), batch_size)
    batches += _gather(rest, corpus, batch_size, bucket_width)
    return [batches[number] for number in random.permutation(len(batches))]


def _gather(groups: list[np.ndarray], corpus: Corpus, batch_size: int, bucket_width: int) -> list[np.ndarray]:
    """Groups of one source length each, shortest first, into batches over lengths less than `bucket_width` apart."""
    gathered: list[np.ndarray] = []
    bucket: list[np.ndarray] = []
    for group in [group for group in groups if len(group)]:
        length = corpus.sources.lengths[group[0]]
        if bucket and length - corpus.sources.lengths[bucket[0][0]] >= bucket_width:
            gathered += _cut(np.concatenate(bucket), batch_size)
            bucket = []
        bucket.append(group)
    return gathered + (_cut(np.concatenate(bucket), batch_size) if bucket else [])


def _cut(numbers: np.ndarray, size: int) -> list[np.ndarray]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]
