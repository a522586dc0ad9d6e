import csv
import io
import itertools
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from groundfog.engine.channels import Channel
from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.engine.transforms.order import Transform
from groundfog.engine.transforms.paths import path
from groundfog.engine.transforms.processing import Processing
from groundfog.engine.transforms.records import Record, payloads, records

ORDER = {
    "program": Program(module="none", arguments=()),
    "model": None,
    "source": Channel(name="input", bucket="b", prefix="", if_empty=""),
    "bucket": "b",
    "prefix": "",
    "log_group": "",
    "split": "Line",
}


def frame(data: bytes, part: int = 0) -> bytes:
    return struct.pack("<II", 0xCED7230A, part << 29 | len(data)) + data + bytes(-len(data) % 4)


@given(some.lists(some.binary(max_size=30)), some.integers(1, 100), some.booleans())
def test_lines_come_back_together_in_their_order_and_payloads_are_no_larger_than_allowed(lines, most, one_by_one):
    text = b"\n".join(lines)
    numbered = [(number, line) for number, line in enumerate(io.BytesIO(text), start=1) if line.strip()]
    found = payloads(records(io.BytesIO(text), "Line", most), one_by_one=one_by_one, most_bytes=most)
    if any(len(line) > most for line in io.BytesIO(text)):
        with pytest.raises(Unfit, match="has more than the"):
            list(found)
        return
    made = list(found)
    assert [(record.number, record.data) for payload in made for record in payload] == numbered
    assert all(len(payload) >= 1 and sum(len(record.sent) for record in payload) <= most for payload in made)
    for payload, following in itertools.pairwise(made):
        assert one_by_one or sum(len(record.sent) for record in [*payload, following[0]]) > most
    assert not one_by_one or all(len(payload) == 1 for payload in made)


@given(some.lists(some.lists(some.binary(max_size=9), min_size=1, max_size=4)))
def test_frames_of_recordio_are_whole_records(many):
    def framed(parts):
        if len(parts) == 1:
            return frame(parts[0])
        kinds = [1, *[2] * (len(parts) - 2), 3]
        return b"".join(frame(part, kind) for part, kind in zip(parts, kinds, strict=True))

    made = [framed(parts) for parts in many]
    found = records(io.BytesIO(b"".join(made)), "RecordIO", None)
    assert [(record.number, record.data) for record in found] == list(enumerate(made, start=1))


@given(some.binary(min_size=1, max_size=60))
def test_what_is_no_recordio_is_refused_in_words(data):
    try:
        assert b"".join(record.data for record in records(io.BytesIO(data), "RecordIO", None)) == data
    except Unfit as unfit:
        assert str(unfit).startswith("record 1")


def test_a_cut_off_record_is_refused():
    with pytest.raises(Unfit, match="record 2 is cut off"):
        list(records(io.BytesIO(frame(b"abc") + frame(b"defg")[:-1]), "RecordIO", None))
    with pytest.raises(Unfit, match="record 1 is cut off"):
        list(records(io.BytesIO(frame(b"abc", 1)), "RecordIO", None))


DOCUMENT = {"a": 1, "b c": [10, 20, 30, {"d": "e"}], "f": {"g": {"h": 2}}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$", DOCUMENT),
        ("$.a", 1),
        ("$['a']", 1),
        ('$["b c"][0]', 10),
        ("$['b c'][-1].d", "e"),
        ("$['b c'][0,2]", [10, 30]),
        ("$['b c'][1:3]", [20, 30]),
        ("$['b c'][:-2]", [10, 20]),
        ("$['b c'][3:]", [{"d": "e"}]),
        ("$['a', 'f']", {"a": 1, "f": {"g": {"h": 2}}}),
        ("$.f.g['h']", 2),
    ],
)
def test_paths_find(text, found):
    assert path(text)(DOCUMENT) == found


@pytest.mark.parametrize(
    "text", ["", "a", "$a", "$.", "$..a", "$.*", "$[*]", "$[a]", "$[", "$['a]", "$[?(@.a)]", "$[1:2:3]"]
)
def test_what_is_no_path_is_refused(text):
    with pytest.raises(Unfit, match="is no JSON path"):
        path(text)


@pytest.mark.parametrize("text", ["$.z", "$[0]", "$[0:1]", "$['b c'][9]", "$['b c'].d", "$.a.b", "$['a','z']"])
def test_where_nothing_is_the_path_says_so(text):
    with pytest.raises(Unfit, match="there is no"):
        path(text)(DOCUMENT)


@given(some.text(max_size=20))
def test_a_path_never_fails_otherwise(text):
    try:
        path("$" + text)(DOCUMENT)
    except Unfit:
        pass


ROWS = some.lists(
    some.lists(some.text(some.characters(exclude_characters="\0\n\r", codec="utf-8"), min_size=1), min_size=1),
    min_size=1,
)


@given(ROWS)
def test_columns_are_joined_to_their_rows(rows):
    def line(row):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(row)
        return text.getvalue().encode()

    processing = Processing(Transform(**ORDER, content_type="text/csv", join=True, output_filter="$[-1]"))
    payload = [Record(number, line(row), line(row)) for number, row in enumerate(rows)]
    answer = b"".join(line([str(number)]) for number in range(len(rows)))
    assert processing.outgoing(payload, answer, "text/csv; charset=utf-8").split() == [
        str(number).encode() for number in range(len(rows))
    ]
    whole = Processing(Transform(**ORDER, content_type="text/csv", join=True))
    made = whole.outgoing(payload, answer, "text/csv").decode()
    assert list(csv.reader(made.split("\n")[:-1])) == [[*row, str(number)] for number, row in enumerate(rows)]


def test_what_is_no_object_is_joined_under_two_names():
    processing = Processing(Transform(**ORDER, content_type="application/jsonlines", join=True))
    made = processing.outgoing([Record(1, b"[1]\n", b"[1]\n")], b"2\n", "application/jsonlines")
    assert json.loads(made) == {"SageMakerInput": [1], "SageMakerOutput": 2}


def test_answers_that_are_too_few_are_not_joined():
    processing = Processing(Transform(**ORDER, content_type="application/jsonlines", join=True))
    with pytest.raises(Unfit, match="1 answers for 2 records"):
        processing.outgoing([Record(1, b"1", b"1"), Record(2, b"2", b"2")], b"1\n", "application/jsonlines")
