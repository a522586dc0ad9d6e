"""RecordIO-protobuf read a block at a time: a Python step per record and field costs more than all their bytes.

Many records of the usual form are decoded with a few array operations, ten times as fast as one by one. Usual is what
every writer of such data makes: a record in one part, and in its payload, in either order,

    0a n | 0a 06 "source" | 12 n | 3a n | 0a n | the ids as varints        and the same for "target"

Everything else is left to recordio.py, which knows every form and says what is wrong.
"""

import struct
from dataclasses import dataclass

import numpy as np

from .recordio import LONGEST_PART, MAGIC

_HEADER = struct.Struct("<II")
_LONGEST_VARINT = 5
"""Bytes of 32 bits, 7 in each."""
_LARGEST_ID = 2**31 - 1
"""A larger one is a negative number to protobuf, whose field has 32 bits with a sign."""


@dataclass(frozen=True)
class Columns:
    """The ids of many sequences in one row, and the length of each."""

    ids: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class Block:
    sources: Columns
    targets: Columns
    size: int
    """Bytes of its records; a part of another may follow."""

    def __len__(self) -> int:
        return len(self.sources.lengths)


def decode(data: bytes) -> Block | None:
    """The whole records that `data` begins with; None if there is none, or anything unusual about one of them."""
    starts, ends, size = _payloads(data)
    if not len(starts):
        return None
    # Behind the data there are zeros to run into, which nothing usual begins with.
    message = _Messages(np.frombuffer(data + bytes(64), np.uint8), starts)
    try:
        entries = [message.entry(), message.entry()]
        message.expect(message.at == ends)
        source_first, target_second = (entry.key == ord("s") for entry in entries)
        message.expect(source_first != target_second)
        source, target = (
            [np.where(mask, *edges) for edges in zip(entries[0].ids, entries[1].ids, strict=True)]
            for mask in (source_first, ~source_first)
        )
        return Block(_columns(message.data, *source), _columns(message.data, *target), size)
    except _Unusual:
        return None


class _Unusual(Exception):
    pass


def _payloads(data: bytes) -> tuple[np.ndarray, np.ndarray, int]:
    """Where the payloads of whole records in one part start and end, and where the last of them does with its zeros."""
    starts, ends, at = [], [], 0
    while at + _HEADER.size <= len(data):
        magic, length = _HEADER.unpack_from(data, at)
        start = at + _HEADER.size
        after = start + -(-length // 4) * 4
        if magic != MAGIC or length > LONGEST_PART or after > len(data):
            break
        starts.append(start)
        ends.append(start + length)
        at = after
    return np.array(starts, np.int64), np.array(ends, np.int64), at


@dataclass(frozen=True)
class _Entry:
    key: np.ndarray
    """Its first letter, the s of source or the t of target."""
    ids: tuple[np.ndarray, np.ndarray]
    """Where they start and end."""


class _Messages:
    """Reads the same thing in many messages at once, at a place in each."""

    def __init__(self, data: np.ndarray, starts: np.ndarray) -> None:
        self.data, self.at = data, starts

    def entry(self) -> _Entry:
        """An entry of the map of features, down to the ids in it; everything in it has to end where it ends."""
        end = self._nested(0x0A)
        self._tag(0x0A, 6)
        key = self.data[self.at]
        for source, target in zip(b"source", b"target", strict=True):
            self._letter(np.where(key == ord("s"), source, target))
        for tag in (0x12, 0x3A, 0x0A):
            self.expect(self._nested(tag) == end)
        ids = self.at, end
        self.expect(ids[0] < ids[1])
        self.at = end
        return _Entry(key, ids)

    def expect(self, usual: np.ndarray) -> None:
        if not usual.all():
            raise _Unusual

    def _tag(self, *wanted: int) -> None:
        for byte in wanted:
            self._letter(np.uint8(byte))

    def _letter(self, wanted: np.ndarray | np.uint8) -> None:
        self.expect(self.data[self.at] == wanted)
        self.at = self.at + 1

    def _nested(self, tag: int) -> np.ndarray:
        """Where what begins here, a tag and a length, ends."""
        self._tag(tag)
        length, more = np.zeros_like(self.at), np.ones(len(self.at), bool)
        for place in range(_LONGEST_VARINT):
            byte = self.data[self.at].astype(np.int64)
            length += np.where(more, (byte & 127) << (7 * place), 0)
            self.at = self.at + more
            more &= byte >= 128
            if not more.any():
                break
        end: np.ndarray = self.at + length
        self.expect(end < len(self.data))
        return end


def _columns(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Columns:
    """The varints that lie between each start and end, both in rising order."""
    edges = np.zeros(len(data), np.int8)
    edges[starts] += 1
    edges[ends] -= 1
    parts = data[np.cumsum(edges, dtype=np.int8).astype(bool)]
    last = parts < 128
    stops = np.flatnonzero(last) + 1
    firsts = np.concatenate([[0], stops[:-1]])
    of_sequence = np.cumsum(ends - starts)
    if not last[of_sequence - 1].all() or (stops - firsts).max() > _LONGEST_VARINT:
        raise _Unusual
    place = np.arange(len(parts)) - np.repeat(firsts, stops - firsts)
    ids = np.add.reduceat((parts & 127).astype(np.int64) << (7 * place), firsts)
    if ids.max() > _LARGEST_ID:
        raise _Unusual
    return Columns(ids, np.diff(np.cumsum(last)[of_sequence - 1], prepend=0))
