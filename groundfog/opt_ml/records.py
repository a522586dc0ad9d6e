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
        if len(header) < _HEADER.size:
            raise _cut_off(number, position, _HEADER.size, len(header))
        magic, word = _HEADER.unpack(header)
        flag, length = word >> 29, word & LONGEST_PART
        if magic != MAGIC or flag not in _FOLLOWERS[before]:
            raise _no_part(number, position, magic, flag)
        padded = -(-length // 4) * 4
        body = _some(stream, padded)
        if len(body) < padded:
            raise _cut_off(number, position, length, len(body))
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


def tfrecords(stream: BinaryIO, crc: Crc | None) -> Iterator[bytes]:
    """`crc` is CRC-32C, by which every record is checked; None: it is not. Raises RecordError."""
    number, position = 1, 0
    while header := stream.read(_LENGTH.size):
        if len(header) < _LENGTH.size:
            raise _cut_off(number, position, _LENGTH.size, len(header))
        length, check = _LENGTH.unpack(header)
        if crc is not None and _masked(crc(header[:8])) != check:
            raise RecordError(f"{_place(number, position)}: the CRC of its length is wrong; is this a TFRecord file?")
        body, end = _some(stream, length), stream.read(_CRC.size)
        if len(end) < _CRC.size:
            raise _cut_off(number, position, length + _CRC.size, len(body) + len(end))
        if crc is not None and _masked(crc(body)) != _CRC.unpack(end)[0]:
            raise RecordError(f"{_place(number, position)}: the CRC of its {length} bytes is wrong; they are damaged")
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


def _some(stream: BinaryIO, count: int) -> bytes:
    """As many bytes, unless the stream ends before."""
    if count <= _STEP:
        return stream.read(count)
    pieces, missing = [], count
    while missing > 0 and (piece := stream.read(min(missing, _STEP))):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _place(number: int, position: int) -> str:
    return f"record {number} at byte {position}"


def _cut_off(number: int, position: int, wanted: int, there: int) -> RecordError:
    return RecordError(
        f"{_place(number, position)}: it has {wanted} bytes and the data ends after {there}; was it cut off?"
    )


def _no_part(number: int, position: int, magic: bytes, flag: int) -> RecordError:
    place = _place(number, position)
    if magic != MAGIC:
        return RecordError(f"{place}: expected RecordIO's magic word {MAGIC.hex()} and found {magic.hex()}")
    return RecordError(f"{place}: a part with the flag {flag} cannot stand here")
