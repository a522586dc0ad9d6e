import io
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import InputFault
from groundfog.algorithms.seq2seq.data import record_pb2, recordio
from groundfog.algorithms.seq2seq.data.recordio import (
    MAGIC,
    Pair,
    frame,
    read_pairs,
    read_payloads,
    write_pairs,
    write_targets,
)

IDS = st.lists(st.integers(0, 2**31 - 1), max_size=20)
MAGIC_BYTES = struct.pack("<I", MAGIC)


def pairs_of(data: bytes) -> list[Pair]:
    return list(read_pairs(io.BytesIO(data), "train.rec"))


def test_the_bytes_are_those_that_the_public_notebook_writes() -> None:
    payload = "0a110a06736f7572636512073a050a03220e4b0a110a0674617267657412073a050a033d104b"
    written = b"".join(write_pairs([([34, 14, 75], [61, 16, 75])]))
    assert written.hex() == "0a23d7ce" + "26000000" + payload + "0000"


def test_an_empty_target_is_written_as_an_empty_tensor() -> None:
    written = b"".join(write_pairs([([34, 14, 75], [])]))
    assert written[8:].rstrip(b"\0").hex() == "0a110a06736f7572636512073a050a03220e4b0a0c0a0674617267657412023a"
    assert pairs_of(written) == [Pair([34, 14, 75], [])]


@given(st.lists(st.tuples(IDS, IDS), max_size=10))
def test_pairs_come_back_as_they_were_written(pairs: list[tuple[list[int], list[int]]]) -> None:
    assert pairs_of(b"".join(write_pairs(pairs))) == [Pair(*pair) for pair in pairs]


@given(st.lists(st.lists(st.sampled_from([MAGIC_BYTES, b"abcd", b"xy", b"z"])).map(b"".join), max_size=6))
def test_payloads_that_hold_the_magic_word_come_back_whole(payloads: list[bytes]) -> None:
    data = b"".join(frame(payload) for payload in payloads)
    assert list(read_payloads(io.BytesIO(data), "x")) == payloads


def test_a_payload_is_split_at_the_magic_word_and_the_word_left_out() -> None:
    framed = frame(b"abcd" + MAGIC_BYTES + b"ef")
    first = MAGIC_BYTES + struct.pack("<I", 1 << 29 | 4) + b"abcd"
    last = MAGIC_BYTES + struct.pack("<I", 3 << 29 | 2) + b"ef\0\0"
    assert framed == first + last


def test_unpacked_numbers_are_read_too() -> None:
    # Field 1 of Int32Tensor as three varints with a tag each, as old protobuf libraries write them.
    tensor = bytes([0x08, 34, 0x08, 14, 0x08, 75])
    value = bytes([0x3A, len(tensor)]) + tensor
    entry = b"\x0a\x06source\x12" + bytes([len(value)]) + value
    assert pairs_of(frame(b"\x0a" + bytes([len(entry)]) + entry)) == [Pair([34, 14, 75], [])]


def test_a_stream_that_gives_little_at_a_time_is_read_as_well() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3, size or 0))

    pairs = [([4, 5, 6], [7]), ([8], [9, 10])]
    assert list(read_pairs(Trickle(b"".join(write_pairs(pairs))), "x")) == [Pair(*pair) for pair in pairs]


@given(st.binary(max_size=200))
def test_hostile_bytes_are_pairs_or_a_fault_that_names_the_record(data: bytes) -> None:
    try:
        pairs_of(data)
    except InputFault as fault:
        assert str(fault).startswith("train.rec, record 1")


@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=3), st.data())
def test_a_changed_or_cut_stream_never_ends_in_anything_but_a_fault(
    pairs: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    written = bytearray(b"".join(write_pairs(pairs)))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(written)))
    try:
        pairs_of(bytes(written[:end]))
    except InputFault as fault:
        assert "train.rec, record " in str(fault)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\3\4zipzipzip", "record 1 at byte 0: expected RecordIO's magic number 0xced7230a and found 0x04034b50"),
        (frame(b"abcd")[:-2], "record 1 at byte 0: it declares 4 bytes and the data ends after 2"),
        (frame(b"\xff\xff\xff"), "record 1: the 3 bytes are no protobuf Record"),
        (frame(b""), 'record 1: there is no feature "source"'),
        (b"".join(write_pairs([([1], [2])])) + b"abc", "record 2 at byte 44: 3 bytes are left"),
        (MAGIC_BYTES + struct.pack("<I", 3 << 29), "a part with the continuation flag 3 cannot stand here"),
        (MAGIC_BYTES + struct.pack("<I", 7 << 29), "a part with the continuation flag 7 cannot stand here"),
        (MAGIC_BYTES + struct.pack("<I", 1 << 29 | 4) + b"abcd", "the data ends before the last part"),
    ],
)
def test_a_fault_says_where_and_what(data: bytes, said: str) -> None:
    with pytest.raises(InputFault) as fault:
        pairs_of(data)
    assert said in str(fault.value)


def test_a_tensor_of_another_type_is_refused_by_its_name() -> None:
    record = record_pb2.Record()  # type: ignore[attr-defined]
    record.features["source"].float32_tensor.values.append(1.0)
    with pytest.raises(InputFault, match='feature "source" is float32_tensor, it has to be an int32_tensor'):
        pairs_of(frame(record.SerializeToString()))


def test_answers_hold_the_target_alone() -> None:
    (payload,) = read_payloads(io.BytesIO(b"".join(write_targets([[61, 16]]))), "answer")
    record = record_pb2.Record.FromString(payload)  # type: ignore[attr-defined]
    assert list(record.features) == ["target"]
    assert list(record.features["target"].int32_tensor.values) == [61, 16]


def test_the_compiled_schema_is_that_of_the_proto_file(tmp_path: Path) -> None:
    here = Path(recordio.__file__).parent
    root = here.parents[3]
    source = (here / "record.proto").relative_to(root)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"--python_out={tmp_path}", str(source)]
    subprocess.run(command, check=True, cwd=root)
    assert (tmp_path / source.with_name("record_pb2.py")).read_text() == (here / "record_pb2.py").read_text()
