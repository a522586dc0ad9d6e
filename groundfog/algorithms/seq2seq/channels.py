"""The input channels of a training job: folders named train, validation and vocab.

    train/, validation/    any number of RecordIO-protobuf files of pairs of ids
    vocab/                 vocab.src.json and vocab.trg.json

Every fault says which channel, file and record it is in, and what belongs there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .batching import Corpus
from .errors import InputFault
from .hyperparameters import Hyperparameters
from .recordio import Pair, read_pairs
from .vocabulary import END, PAD, Vocabulary

_HOLDS = {
    "train": "RecordIO-protobuf files of the training pairs",
    "validation": "RecordIO-protobuf files of the validation pairs",
    "vocab": "vocab.src.json and vocab.trg.json",
}


@dataclass(frozen=True)
class Channels:
    train: Corpus
    validation: Corpus
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary


def read_channels(data: Path, options: Hyperparameters) -> Channels:
    """The three channels below the folder `data`.

    :raises InputFault: one is missing or empty, or what it holds is not what it has to hold.
    """
    missing = [name for name in _HOLDS if not (data / name).is_dir()]
    if missing:
        wanted = "; ".join(f"'{name}' with {_HOLDS[name]}" for name in missing)
        raise InputFault(f"Missing input channel{'s' if len(missing) > 1 else ''}: {wanted}. Add to InputDataConfig.")
    source, target = (_vocabulary(data / "vocab", name) for name in ("vocab.src.json", "vocab.trg.json"))
    train, validation = (_corpus(data / name, source, target, options) for name in ("train", "validation"))
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


def _corpus(channel: Path, source: Vocabulary, target: Vocabulary, options: Hyperparameters) -> Corpus:
    files = _files(channel)
    if not files:
        raise InputFault(f"Channel '{channel.name}' is empty; it needs {_HOLDS[channel.name]}")
    pairs = (pair for file in files for pair in _pairs(file, channel, source, target))
    corpus = Corpus.of(pairs, options.max_seq_len_source, options.max_seq_len_target)
    if not len(corpus):
        raise InputFault(f"Channel '{channel.name}' holds no pairs: {len(files)} files without a record")
    return corpus


def _pairs(file: Path, channel: Path, source: Vocabulary, target: Vocabulary) -> Iterator[Pair]:
    name = f"{channel.name}/{file.relative_to(channel)}"
    with file.open("rb") as stream:
        for number, pair in enumerate(read_pairs(stream, name), start=1):
            place = f"{name}, record {number}"
            _check("source", pair.source, source, place)
            _check("target", pair.target, target, place)
            yield pair


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


def _files(channel: Path) -> list[Path]:
    """In the order of their names; what begins with a dot is nobody's data."""
    return sorted(file for file in channel.rglob("*") if file.is_file() and not file.name.startswith("."))
