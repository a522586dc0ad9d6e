"""RecordIO-protobuf: the byte format of training data and of one kind of inference request.

A RecordIO stream repeats

    magic (uint32, little endian) | flag and length (uint32) | payload | zeros up to a multiple of four bytes

The upper three bits of the second word say which part of a record follows: 0 the whole, 1 its first part, 2 a middle
one, 3 the last. A writer splits a payload wherever the magic word itself stands on a four-byte boundary, dropping it;
the reader puts it back between the parts (https://github.com/dmlc/dmlc-core/blob/main/include/dmlc/recordio.h).

Each payload is a `Record` (record.proto) with two features, "source" and "target": the token ids of a pair.
"""

import io
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from google.protobuf.message import DecodeError

from ..errors import InputFault
from .record_pb2 import Record, Value  # type: ignore[attr-defined]

MAGIC = 0xCED7230A
LONGEST_PART = (1 << 29) - 1
WHOLE, FIRST, MIDDLE, LAST = range(4)

_HEADER = struct.Struct("<II")
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_FOLLOWERS = {None: (WHOLE, FIRST), FIRST: (MIDDLE, LAST), MIDDLE: (MIDDLE, LAST)}


class Stream(Protocol):
    def read(self, count: int, /) -> bytes: ...


class Joined:
    """A stream whose first bytes have been read already."""

    def __init__(self, first: bytes, stream: Stream) -> None:
        self._first, self._stream = io.BytesIO(first), stream

    def read(self, count: int, /) -> bytes:
        return self._first.read(count) or self._stream.read(count)


class Pair(NamedTuple):
    source: list[int]
    target: list[int]


def read_pairs(stream: Stream, name: str, first: int = 1, position: int = 0) -> Iterator[Pair]:
    """The pairs of a stream, which `name` names in faults. A record without a target has an empty one.

    The stream begins with record number `first`, at byte `position` of what it is the rest of.
    """
    for number, payload in enumerate(read_payloads(stream, name, first, position), start=first):
        place = f"{name}, record {number}"
        try:
            record = Record.FromString(payload)
        except (DecodeError, UnicodeDecodeError):
            raise InputFault(f"{place}: the {len(payload)} bytes are no protobuf Record") from None
        source = _ids(record, "source", place)
        if source is None:
            raise InputFault(
                f'{place}: there is no feature "source"; a record holds an int32 tensor of token ids there'
            )
        yield Pair(source, _ids(record, "target", place) or [])


def _ids(record: Record, feature: str, place: str) -> list[int] | None:
    if feature not in record.features:
        return None
    value = record.features[feature]
    kind = value.WhichOneof("value")
    if kind != "int32_tensor":
        raise InputFault(
            f'{place}: feature "{feature}" is {kind or "empty"}, it has to be an int32_tensor of token ids'
        )
    return list(value.int32_tensor.values)


def read_payloads(stream: Stream, name: str, first: int = 1, position: int = 0) -> Iterator[bytes]:
    """The payloads of a stream, one at a time: memory is that of the longest record."""
    parts: list[bytes] = []
    flag_before: int | None = None
    number = first
    while header := _read(stream, _HEADER.size):
        place = f"{name}, record {number} at byte {position}"
        flag, length = _part(header, place)
        if flag not in _FOLLOWERS[flag_before]:
            raise InputFault(f"{place}: a part with the continuation flag {flag} cannot stand here")
        padded = -(-length // 4) * 4
        body = _read(stream, padded)
        if len(body) < length:
            raise InputFault(
                f"{place}: it declares {length} bytes and the data ends after {len(body)}; was it cut off?"
            )
        position += _HEADER.size + padded
        parts.append(body[:length])
        if flag in (WHOLE, LAST):
            yield _MAGIC_BYTES.join(parts)
            parts, flag_before = [], None
            number += 1
        else:
            flag_before = flag
    if parts:
        raise InputFault(f"{name}, record {number}: the data ends before the last part of the record; was it cut off?")


def _part(header: bytes, place: str) -> tuple[int, int]:
    if len(header) < _HEADER.size:
        raise InputFault(
            f"{place}: {len(header)} bytes are left, a RecordIO header has {_HEADER.size}; was it cut off?"
        )
    magic, word = _HEADER.unpack(header)
    if magic != MAGIC:
        raise InputFault(f"{place}: expected RecordIO's magic number 0x{MAGIC:08x} and found 0x{magic:08x}")
    return word >> 29, word & LONGEST_PART


def _read(stream: Stream, count: int) -> bytes:
    """As many of `count` bytes as there are: a FIFO or a socket may hand them out in pieces."""
    pieces: list[bytes] = []
    while count > 0 and (piece := stream.read(min(count, 1 << 20))):
        pieces.append(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def write_pairs(pairs: Iterable[tuple[Iterable[int], Iterable[int]]]) -> Iterator[bytes]:
    """The framed records of pairs of token ids."""
    for source, target in pairs:
        yield frame(
            Record(features={"source": _tensor(source), "target": _tensor(target)}).SerializeToString(
                deterministic=True
            )
        )


def write_targets(targets: Iterable[Iterable[int]]) -> Iterator[bytes]:
    """The framed records of an inference: each has the one feature "target"."""
    for target in targets:
        yield frame(Record(features={"target": _tensor(target)}).SerializeToString())


def _tensor(ids: Iterable[int]) -> Value:
    value = Value()
    # An empty tensor has to be there too, which assigning no values would not bring about.
    value.int32_tensor.SetInParent()
    value.int32_tensor.values.extend(ids)
    return value


def frame(payload: bytes) -> bytes:
    """The payload as a RecordIO record, in several parts where it holds the magic word on a four-byte boundary."""
    cuts = (
        [at for at in range(0, len(payload) - 3, 4) if payload[at : at + 4] == _MAGIC_BYTES]
        if _MAGIC_BYTES in payload
        else []
    )
    if not cuts:
        return _framed_part(WHOLE, payload)
    edges = zip([0, *(cut + 4 for cut in cuts)], [*cuts, len(payload)], strict=True)
    parts = [payload[start:end] for start, end in edges]
    flags = [FIRST, *[MIDDLE] * (len(parts) - 2), LAST]
    return b"".join(_framed_part(flag, part) for flag, part in zip(flags, parts, strict=True))


def _framed_part(flag: int, part: bytes) -> bytes:
    if len(part) > LONGEST_PART:
        raise ValueError(f"a record part has at most {LONGEST_PART} bytes, not {len(part)}")
    return _HEADER.pack(MAGIC, flag << 29 | len(part)) + part + bytes(-len(part) % 4)
