"""Formats of records: what is written is read, and what is damaged is refused with its place."""

import io
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from typing import BinaryIO

import anycrc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq.data import recordio as theirs
from groundfog.opt_ml.records import MAGIC, RecordError, framed, recordio, text_lines, tfrecord, tfrecords

CRC = anycrc.Model("CRC32C").calc
PAYLOADS = st.lists(
    st.lists(st.sampled_from([MAGIC, MAGIC[:2], MAGIC[2:], b"a", b"\0\0\0", b"longer than most"]), max_size=8).map(
        b"".join
    ),
    max_size=6,
)


def framed_all(payloads: list[bytes]) -> bytes:
    return b"".join(bytes(piece) for payload in payloads for piece in framed(payload))


def checked(stream: BinaryIO) -> Iterator[bytes]:
    return tfrecords(stream, CRC)


def unchecked(stream: BinaryIO) -> Iterator[bytes]:
    return tfrecords(stream, None)


@given(PAYLOADS)
def test_recordio_comes_back_and_is_what_the_algorithm_reads_too(payloads: list[bytes]) -> None:
    stream = framed_all(payloads)
    assert list(recordio(io.BytesIO(stream))) == payloads
    assert list(theirs.read_payloads(io.BytesIO(stream), "x")) == payloads
    assert stream == b"".join(map(theirs.frame, payloads))


@given(PAYLOADS)
def test_tfrecords_come_back(payloads: list[bytes]) -> None:
    stream = b"".join(tfrecord(payload, CRC) for payload in payloads)
    assert list(checked(io.BytesIO(stream))) == payloads
    assert list(unchecked(io.BytesIO(stream))) == payloads


def test_a_tfrecord_is_as_tensorflow_writes_it() -> None:
    # The check value of CRC-32C, and masked as the format's description says.
    assert CRC(b"123456789") == 0xE3069283
    masked = ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert tfrecord(b"123456789", CRC)[-4:] == struct.pack("<I", masked)


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_lines_come_without_their_ends(lines: list[str], end: str, last_ends: bool) -> None:
    text = end.join(lines) + (end if last_ends and lines else "")
    expected = [line.encode() for line in lines]
    if not last_ends and expected and not expected[-1]:
        expected.pop()
    assert list(text_lines(io.BytesIO(text.encode()))) == expected


@pytest.mark.parametrize("read", [recordio, checked, unchecked])
@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=3), st.data())
def test_what_is_cut_off_is_told_apart_from_an_end(
    read: Callable[[BinaryIO], Iterator[bytes]], payloads: list[bytes], data: st.DataObject
) -> None:
    wholes = [framed_all([payload]) if read is recordio else tfrecord(payload, CRC) for payload in payloads]
    stream = b"".join(wholes)
    ends = {len(b"".join(wholes[:number])) for number in range(len(wholes) + 1)}
    cut = data.draw(st.integers(0, len(stream)))
    reading = read(io.BytesIO(stream[:cut]))
    if cut in ends:
        assert list(reading) == payloads[: len([end for end in ends if 0 < end <= cut])]
    else:
        with pytest.raises(RecordError, match=r"record \d at byte \d+: "):
            list(reading)


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_changed_bit_never_passes_the_checksums(payload: bytes, data: st.DataObject) -> None:
    stream = bytearray(tfrecord(payload, CRC))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(RecordError):
        list(checked(io.BytesIO(bytes(stream))))


@given(st.binary(max_size=64))
def test_nonsense_is_refused_or_read_but_breaks_nothing(nonsense: bytes) -> None:
    for read in (recordio, checked, unchecked):
        try:
            list(read(io.BytesIO(nonsense)))
        except RecordError:
            pass


def test_what_is_wrong_is_named_with_its_place() -> None:
    first = framed_all([b"1234"])
    with pytest.raises(RecordError, match="record 2 at byte 12: expected RecordIO's magic word 0a23d7ce and found 6"):
        list(recordio(io.BytesIO(first + b"nonsense")))
    with pytest.raises(RecordError, match="record 1 at byte 0: a part with the flag 2 cannot stand here"):
        list(recordio(io.BytesIO(struct.pack("<4sI", MAGIC, 2 << 29))))
    with pytest.raises(RecordError, match="record 1: the data ends before its last part"):
        list(recordio(io.BytesIO(struct.pack("<4sI", MAGIC, 1 << 29))))
    good = tfrecord(b"1234", CRC)
    with pytest.raises(RecordError, match="record 2 at byte 20: the CRC of its 4 bytes is wrong"):
        list(checked(io.BytesIO(good + good[:12] + b"4321" + good[16:])))
    with pytest.raises(RecordError, match="record 1 at byte 0: the CRC of its length is wrong; is this a TFRecord"):
        list(checked(io.BytesIO(first)))


def test_a_length_that_is_a_lie_takes_no_memory() -> None:
    tracemalloc.start()
    with pytest.raises(RecordError, match="it has 1099511627780 bytes and the data ends after 10"):
        list(unchecked(io.BytesIO(struct.pack("<QI", 1 << 40, 0) + b"0123456789")))
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_a_payload_that_no_record_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 536870911 bytes"):
        list(framed(bytes(1 << 29)))
