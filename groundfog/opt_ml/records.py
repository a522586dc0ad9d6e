"""Records in a stream of bytes: the formats in which a channel may be written.

    RecordIO    magic, flag and length, payload, zeros up to four bytes    https://mxnet.apache.org/api/architecture
    TFRecord    length, its CRC, payload, its CRC                          https://www.tensorflow.org/tutorials/load_data/tfrecord
    TextLine    bytes up to a line's end

RecordIO's magic word cannot stand in a payload on a four-byte boundary: there a writer cuts the payload and drops it,
and the reader puts it back between the parts. The upper three bits of the second word say which part follows.

Streams are read as they come and in any pieces, so a FIFO will do. Memory is that of the longest record.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import BinaryIO, Union

MAGIC = struct.pack("<I", 0xCED7230A)
LONGEST_PART = (1 << 29) - 1
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_FOLLOWERS = {None: (_WHOLE, _FIRST), _FIRST: (_MIDDLE, _LAST), _MIDDLE: (_MIDDLE, _LAST)}
_HEADER = struct.Struct("<4sI")
_LENGTH = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_STEP = 16 << 20
"""What is read at once of a record that says it is long: it may be wrong."""

Bytes = Union[bytes, memoryview]  # noqa: UP007  valid in Python 3.9
Crc = Callable[[bytes], int]


class RecordError(ValueError):
    """The stream does not hold what it should; the text says in which record and at which byte."""


def framed(payload: bytes | mmap) -> Iterator[Bytes]:
    """The pieces of one RecordIO record. Raises ValueError for a payload that no record can hold."""
    view, start, flag = memoryview(payload), 0, _FIRST
    for cut in _cuts(payload):
        yield from _part(flag, view[start:cut])
        start, flag = cut + len(MAGIC), _MIDDLE
    yield from _part(_WHOLE if flag == _FIRST else _LAST, view[start:])


def _cuts(payload: bytes | mmap) -> Iterator[int]:
    """Where the magic word stands on a four-byte boundary."""
    at = payload.find(MAGIC)
    while at >= 0:
        if at % 4 == 0:
            yield at
        at = payload.find(MAGIC, at + 1)


def _part(flag: int, part: memoryview) -> Iterator[Bytes]:
    if len(part) > LONGEST_PART:
        raise ValueError(f"a part of a RecordIO record has at most {LONGEST_PART} bytes, not {len(part)}")
    yield _HEADER.pack(MAGIC, flag << 29 | len(part))
    yield part
    yield bytes(-len(part) % 4)


def recordio(stream: BinaryIO) -> Iterator[bytes]:
    """Raises RecordError."""
    parts: list[bytes] = []
    before, number, position = None, 1, 0
    while header := stream.read(_HEADER.size):
        place = f"record {number} at byte {position}"
        flag, length = _flag_and_length(header, place)
        if flag not in _FOLLOWERS[before]:
            raise RecordError(f"{place}: a part with the flag {flag} cannot stand here")
        padded = -(-length // 4) * 4
        body = _exactly(stream, padded, place)
        position += _HEADER.size + padded
        if flag == _WHOLE:
            number += 1
            yield body[:length] if padded != length else body
            continue
        parts.append(body[:length])
        before = flag
        if flag == _LAST:
            yield MAGIC.join(parts)
            parts, before, number = [], None, number + 1
    if parts:
        raise RecordError(f"record {number}: the data ends before its last part; was it cut off?")


def _flag_and_length(header: bytes, place: str) -> tuple[int, int]:
    if len(header) < _HEADER.size:
        raise RecordError(f"{place}: {len(header)} bytes are left, and a header has {_HEADER.size}; was it cut off?")
    magic, word = _HEADER.unpack(header)
    if magic != MAGIC:
        raise RecordError(f"{place}: expected RecordIO's magic word {MAGIC.hex()} and found {magic.hex()}")
    return word >> 29, word & LONGEST_PART


def tfrecords(stream: BinaryIO, crc: Crc | None) -> Iterator[bytes]:
    """`crc` is CRC-32C, by which every record is checked; None: it is not. Raises RecordError."""
    number, position = 1, 0
    while header := stream.read(_LENGTH.size):
        place = f"record {number} at byte {position}"
        if len(header) < _LENGTH.size:
            raise RecordError(f"{place}: {len(header)} bytes are left, and a TFRecord begins with {_LENGTH.size}")
        length, check = _LENGTH.unpack(header)
        if crc is not None and _masked(crc(header[:8])) != check:
            raise RecordError(f"{place}: the CRC of its length is wrong; is this a TFRecord file?")
        body = _exactly(stream, length, place)
        (check,) = _CRC.unpack(_exactly(stream, _CRC.size, place))
        if crc is not None and _masked(crc(body)) != check:
            raise RecordError(f"{place}: the CRC of its {length} bytes is wrong; they are damaged")
        number, position = number + 1, position + _LENGTH.size + length + _CRC.size
        yield body


def tfrecord(payload: bytes, crc: Crc) -> bytes:
    """The payload as a record."""
    length = struct.pack("<Q", len(payload))
    return b"".join((length, _CRC.pack(_masked(crc(length))), payload, _CRC.pack(_masked(crc(payload)))))


def _masked(crc: int) -> int:
    """As TFRecord keeps it, so that a CRC over data that holds CRCs is no weaker."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def text_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Without their ends."""
    for line in stream:
        yield line[:-2] if line.endswith(b"\r\n") else line.rstrip(b"\n")


def _exactly(stream: BinaryIO, count: int, place: str) -> bytes:
    if count <= _STEP:
        body = stream.read(count)
    else:
        pieces, missing = [], count
        while missing > 0 and (piece := stream.read(min(missing, _STEP))):
            pieces.append(piece)
            missing -= len(piece)
        body = b"".join(pieces)
    if len(body) < count:
        raise RecordError(f"{place}: it says {count} bytes and the data ends after {len(body)}; was it cut off?")
    return body
