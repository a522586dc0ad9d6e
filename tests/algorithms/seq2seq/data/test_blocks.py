"""Records decoded many at once are what they are one by one, and what is unusual is left to that."""

import io
import struct

from hypothesis import assume, given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import InputFault
from groundfog.algorithms.seq2seq.data import record_pb2
from groundfog.algorithms.seq2seq.data.blocks import Block, Columns, decode
from groundfog.algorithms.seq2seq.data.recordio import MAGIC, Pair, frame, read_pairs, write_pairs

IDS = st.lists(st.one_of(st.integers(0, 200), st.integers(0, 2**31 - 1)), min_size=1, max_size=150)
PAIRS = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=6)


def written(pairs: list[tuple[list[int], list[int]]]) -> bytes:
    return b"".join(write_pairs(pairs))


def rows(columns: Columns) -> list[list[int]]:
    ids = iter(columns.ids.tolist())
    return [[next(ids) for _ in range(length)] for length in columns.lengths]


def pairs_in(block: Block) -> list[tuple[list[int], list[int]]]:
    return list(zip(rows(block.sources), rows(block.targets), strict=True))


@given(PAIRS)
def test_a_block_holds_the_pairs_that_were_written(pairs: list[tuple[list[int], list[int]]]) -> None:
    data = written(pairs)
    assume(data.count(struct.pack("<I", MAGIC)) == len(pairs))
    block = decode(data)
    assert block is not None
    assert pairs_in(block) == pairs
    assert (len(block), block.size) == (len(pairs), len(data))


@given(PAIRS, st.data())
def test_a_record_that_is_cut_off_is_left_for_the_next_block(
    pairs: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    ids = [([1, *source], target) for source, target in pairs]
    whole = written(ids)
    end = data.draw(st.integers(0, len(whole)))
    block = decode(whole[:end])
    if block is not None:
        assert pairs_in(block) == ids[: len(block)]
        assert whole[: block.size] == written(ids[: len(block)])


def test_either_order_of_the_features_is_usual() -> None:
    source, target = (b"\x0a\x0f\x0a\x06" + name + b"\x12\x05\x3a\x03\x0a\x01" for name in (b"source", b"target"))
    block = decode(frame(source + b"\x05" + target + b"\x06") + frame(target + b"\x07" + source + b"\x08"))
    assert block is not None
    assert pairs_in(block) == [([5], [6]), ([8], [7])]


def test_what_is_unusual_is_left_alone() -> None:
    usual = written([([4, 5], [6])])
    shaped = record_pb2.Record()  # type: ignore[attr-defined]
    for feature in ("source", "target"):
        shaped.features[feature].int32_tensor.values.append(7)
    shaped.features["source"].int32_tensor.shape.append(1)
    twice = b"\x0a\x0f\x0a\x06source\x12\x05\x3a\x03\x0a\x01\x05" * 2
    negative = written([([-1], [2])])
    # 2 to the 31: beyond what protobuf's field of 32 bits holds, and read by it as a negative number.
    wrapped = written([([2**28], [2])]).replace(b"\x80\x80\x80\x80\x01", b"\x80\x80\x80\x80\x08")
    split = struct.pack("<II", MAGIC, 1 << 29 | 4) + b"abcd"
    others = [
        written([([4], [])]),
        frame(shaped.SerializeToString()),
        frame(twice),
        negative,
        wrapped,
        frame(b"x"),
        split,
    ]
    for other in (b"abc", frame(b""), *others):
        assert decode(other + usual) is None
    assert decode(usual) is not None
    assert decode(usual[:-4]) is None


@given(PAIRS, st.data())
def test_changed_bytes_are_read_as_they_are_record_by_record(
    pairs: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    changed = bytearray(written(pairs))
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    block = decode(bytes(changed))
    if block is not None:
        singly: list[Pair] = []
        try:
            singly.extend(read_pairs(io.BytesIO(bytes(changed)), "x"))
        except InputFault:
            assert len(block) < len(pairs)
        assert [Pair(*pair) for pair in pairs_in(block)] == singly[: len(block)]
