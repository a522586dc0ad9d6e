"""The input channels of a training job: folders named train, validation and vocab.

    train/, validation/    any number of RecordIO-protobuf files of pairs of ids
    vocab/                 vocab.src.json and vocab.trg.json

In Pipe mode train and validation are FIFOs instead, one for each epoch: train_0, train_1, ..., validation_0.

Every fault says which channel, file and record it is in, and what belongs there.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputFault
from ..hyperparameters import Hyperparameters
from .batching import Corpus, Sequences
from .blocks import Block, decode
from .recordio import Joined, Pair, read_pairs
from .vocabulary import END, PAD, Vocabulary
from .windows import Source, Windows

_HOLDS = {
    "train": "RecordIO-protobuf files of the training pairs",
    "validation": "RecordIO-protobuf files of the validation pairs",
    "vocab": "vocab.src.json and vocab.trg.json",
}
_AT_ONCE = 1 << 20
"""Bytes read between two looks at them."""
_FEW = 10_000
"""Pairs in a piece where they are read one by one."""
_PATIENCE = 60
"""Seconds until the platform has to have made the FIFO of the next epoch."""


@dataclass(frozen=True)
class Channels:
    train: Windows
    validation: Corpus
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary


def read_channels(data: Path, options: Hyperparameters) -> Channels:
    """The three channels below the folder `data`.

    :raises InputFault: one is missing or empty, or what it holds is not what it has to hold.
    """
    missing = [name for name in _HOLDS if not (data / name).is_dir() and (name == "vocab" or not _is_piped(data, name))]
    if missing:
        wanted = "; ".join(f"'{name}' with {_HOLDS[name]}" for name in missing)
        raise InputFault(f"Missing input channel{'s' if len(missing) > 1 else ''}: {wanted}. Add to InputDataConfig.")
    source, target = (_vocabulary(data / "vocab", name) for name in ("vocab.src.json", "vocab.trg.json"))
    reader = _Reader(source, target, options)
    train = Windows(reader.source(data, "train"), options.shuffle_window)
    validation = Corpus(Sequences(), Sequences())
    for piece in reader.source(data, "validation")():
        validation.extend(piece, 0, len(piece))
    for name, pairs in (("train", train.pairs), ("validation", len(validation))):
        if not pairs:
            raise InputFault(f"Channel '{name}' holds no pairs: there is no record in its files")
    return Channels(train, validation, source, target)


def _vocabulary(channel: Path, name: str) -> Vocabulary:
    found = [file for file in _files(channel) if file.name == name]
    if not found:
        there = ", ".join(file.name for file in _files(channel)[:5]) or "nothing"
        raise InputFault(
            f"Channel 'vocab' holds no {name}; it needs vocab.src.json and vocab.trg.json, and there is {there}"
        )
    try:
        return Vocabulary.read(found[0])
    except InputFault as fault:
        raise InputFault(f"Channel 'vocab': {fault}") from None


def _files(channel: Path) -> list[Path]:
    """In the order of their names; what begins with a dot is nobody's data."""
    return sorted(file for file in channel.rglob("*") if file.is_file() and not file.name.startswith("."))


def _is_piped(data: Path, name: str) -> bool:
    return (data / f"{name}_0").is_fifo()


def _wait_for(fifo: Path) -> Path:
    """The platform makes an epoch's FIFO when the one before has been read."""
    until = time.monotonic() + _PATIENCE
    while not fifo.exists():
        if time.monotonic() > until:
            raise InputFault(f"There is no {fifo.name} a minute after the epoch before; Pipe mode needs one an epoch")
        time.sleep(0.05)
    return fifo


@dataclass(frozen=True)
class _Reader:
    """Reads pairs of ids and refuses what does not belong to the vocabularies."""

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    options: Hyperparameters

    def source(self, data: Path, name: str) -> Source:
        """The pairs of a channel: of its files at each call, or of the next FIFO."""
        if _is_piped(data, name):
            fifos = (data / f"{name}_{epoch}" for epoch in itertools.count())
            return lambda: self._read(_wait_for(next(fifos)), data)
        files = _files(data / name)
        if not files:
            raise InputFault(f"Channel '{name}' is empty; it needs {_HOLDS[name]}")
        return lambda: (piece for file in files for piece in self._read(file, data))

    def _read(self, file: Path, data: Path) -> Iterator[Corpus]:
        """A block at a time while they are as usual, and from then on a record at a time."""
        name = str(file.relative_to(data))
        with file.open("rb") as stream:
            number, position, rest = 1, 0, b""
            while more := stream.read(_AT_ONCE):
                rest += more
                block = decode(rest)
                if block is None or not self._accepts(block):
                    break
                yield self._corpus(block)
                number, position, rest = number + len(block), position + block.size, rest[block.size :]
            pairs = enumerate(read_pairs(Joined(rest, stream), name, number, position), start=number)
            checked = (self._checked(pair, f"{name}, record {number}") for number, pair in pairs)
            while some := list(itertools.islice(checked, _FEW)):
                yield Corpus.of(some, self.options.max_seq_len_source, self.options.max_seq_len_target)

    def _accepts(self, block: Block) -> bool:
        return bool(
            block.sources.ids.max() < len(self.source_vocabulary)
            and block.targets.ids.max() < len(self.target_vocabulary)
            and not np.isin(block.targets.ids, (PAD, END)).any()
        )

    def _corpus(self, block: Block) -> Corpus:
        sources, targets, options = block.sources, block.targets, self.options
        return Corpus(
            Sequences.of_columns(sources.ids, sources.lengths, options.max_seq_len_source),
            Sequences.of_columns(targets.ids, targets.lengths, options.max_seq_len_target),
        )

    def _checked(self, pair: Pair, place: str) -> Pair:
        _check("source", pair.source, self.source_vocabulary, place)
        _check("target", pair.target, self.target_vocabulary, place)
        return pair


def _check(side: str, ids: list[int], vocabulary: Vocabulary, place: str) -> None:
    if not ids:
        raise InputFault(f"{place}: the {side} is empty; leave such pairs out")
    if min(ids) < 0 or max(ids) >= len(vocabulary):
        wrong = next(number for number in ids if not 0 <= number < len(vocabulary))
        file = "vocab.src.json" if side == "source" else "vocab.trg.json"
        raise InputFault(
            f"{place}: the {side} id {wrong} is outside of {file}, whose ids go from 0 to {len(vocabulary) - 1}; "
            "records and vocabularies have to be made together"
        )
    if side == "target" and not {PAD, END}.isdisjoint(ids):
        raise InputFault(f"{place}: the target holds <pad> or </s>, which are added by the algorithm; leave them out")
