"""Objects to records to payloads, holding no more in memory than one payload and the record after it."""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from groundfog.engine.errors import Unfit
from groundfog.engine.transforms.order import Split

MOST_BYTES = 1 << 30
"""Of a record where the user sets no limit."""
_MAGIC = 0xCED7230A
_HEAD = struct.Struct("<II")
"""RecordIO: magic, then three bits that say which part of a record follows, and its length in 29 bits."""
_WHOLE, _LAST = 0, 3


@dataclass(frozen=True, slots=True)
class Record:
    number: int
    """From 1; of a line, its number among all lines."""
    data: bytes
    """As it is in the object, with its line's end or its frame."""
    sent: bytes
    """As the model is given it."""


Payload = list[Record]


def payloads(records: Iterable[Record], *, one_by_one: bool, most_bytes: int | None) -> Iterator[Payload]:
    """As many records as fit together, in their order. Raises Unfit for one that does not fit at all."""
    most = MOST_BYTES if most_bytes is None else most_bytes
    together: Payload = []
    size = 0
    for record in records:
        if len(record.sent) > most:
            raise Unfit(_too_large(record.number, most))
        if together and (one_by_one or size + len(record.sent) > most):
            yield together
            together, size = [], 0
        together.append(record)
        size += len(record.sent)
    if together:
        yield together


def records(
    file: IO[bytes], split: Split, most_bytes: int | None, prepare: Callable[[bytes], bytes] = lambda data: data
) -> Iterator[Record]:
    """What `prepare` makes of each is what is sent. An empty object holds no record; a blank line is none."""
    most = MOST_BYTES if most_bytes is None else most_bytes
    ways = {"None": _whole, "Line": _lines, "RecordIO": _frames}
    for number, data in ways[split](file, most):
        try:
            yield Record(number, data, prepare(data))
        except Unfit as unfit:
            raise Unfit(f"{noun_of(split)} {number}: {unfit}") from None


def _whole(file: IO[bytes], most: int) -> Iterator[tuple[int, bytes]]:
    data = file.read(most + 1)
    if len(data) > most:
        raise Unfit(_too_large(1, most))
    if data:
        yield 1, data


def _lines(file: IO[bytes], most: int) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) > most:
            raise Unfit(_too_large(number, most, "line"))
        if line.strip():
            yield number, line


def _frames(file: IO[bytes], most: int) -> Iterator[tuple[int, bytes]]:
    """A long record may come in several frames; they stay as they are. https://mxnet.apache.org/api/architecture"""
    number, frames = 1, b""
    while head := file.read(_HEAD.size):
        if len(head) < _HEAD.size or _HEAD.unpack(head)[0] != _MAGIC:
            raise Unfit(f"record {number} does not begin as RecordIO does: is SplitType right?")
        part, length = divmod(_HEAD.unpack(head)[1], 1 << 29)
        padded = -(-length // 4) * 4
        if len(frames) + _HEAD.size + padded > most:
            raise Unfit(_too_large(number, most))
        body = file.read(padded)
        if len(body) < padded:
            raise Unfit(f"record {number} is cut off")
        frames += head + body
        if part in (_WHOLE, _LAST):
            yield number, frames
            number, frames = number + 1, b""
    if frames:
        raise Unfit(f"record {number} is cut off")


def _too_large(number: int, most: int, noun: str = "record") -> str:
    return f"{noun} {number} has more than the {most} bytes that MaxPayloadInMB allows"


def noun_of(split: Split) -> str:
    return "line" if split == "Line" else "record"
