"""Requests in, answers out, in each format."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from groundfog.algorithms.seq2seq import Seq2Seq
from groundfog.algorithms.seq2seq.__main__ import HostedPredictor, load
from groundfog.algorithms.seq2seq.record_pb2 import Record  # type: ignore[attr-defined]
from groundfog.algorithms.seq2seq.recordio import frame, read_payloads, write_pairs
from groundfog.opt_ml.serve import Refused

JSON, LINES, RECORDIO = "application/json", "application/jsonlines", "application/x-recordio-protobuf"


@pytest.fixture(scope="session")
def predictor(reverser_folder: Path) -> HostedPredictor:
    return load(reverser_folder)


def ask(predictor: HostedPredictor, body: bytes | str, content_type: str, accept: str = "*/*") -> tuple[bytes, str]:
    requests, reply = predictor.decode(body.encode() if isinstance(body, str) else body, content_type, accept)
    return predictor.encode(predictor.predict(requests), reply)


def predictions(predictor: HostedPredictor, *instances: Any, content_type: str = JSON) -> list[dict[str, Any]]:
    answer, replied = ask(predictor, json.dumps({"instances": instances}), content_type)
    assert replied == JSON
    found: list[dict[str, Any]] = json.loads(answer)["predictions"]
    return found


def test_instances_are_answered_in_order(predictor: HostedPredictor) -> None:
    assert predictions(predictor, {"data": "1 2 3"}, {"data": ""}, {"data": "4 5"}) == [
        {"target": "3 2 1"},
        {"target": ""},
        {"target": "5 4"},
    ]


@pytest.mark.parametrize("wanted", [True, "true", "True"])
def test_the_attention_matrix_comes_where_it_is_asked_for(predictor: HostedPredictor, wanted: Any) -> None:
    asked, not_asked, declined = predictions(
        predictor,
        {"data": "1 2 3 4", "configuration": {"attention_matrix": wanted}},
        {"data": "4 5", "configuration": {}},
        {"data": "4 5", "configuration": {"attention_matrix": "false"}},
    )
    assert len(asked["matrix"]) == len(asked["target"].split()) == 4
    assert [sum(row) for row in asked["matrix"]] == pytest.approx([1] * 4, abs=1e-4)
    assert all(len(row) == 4 for row in asked["matrix"])
    assert not_asked == declined == {"target": "5 4"}


def test_a_charset_is_honoured(predictor: HostedPredictor) -> None:
    assert predictions(predictor, {"data": "1 2"}, content_type="application/json; charset=utf-8") == [
        {"target": "2 1"}
    ]
    body = json.dumps({"instances": [{"data": "1 2"}]}).encode("utf-16")
    assert json.loads(ask(predictor, body, "Application/JSON;charset=UTF-16")[0]) == {
        "predictions": [{"target": "2 1"}]
    }


def test_unknown_symbols_are_answered_too(predictor: HostedPredictor) -> None:
    (found,) = predictions(predictor, {"data": "1 ? \u00e4\u00f6 \ud800 2"})
    assert isinstance(found["target"], str)


def test_a_thousand_instances_are_answered_in_order(predictor: HostedPredictor) -> None:
    numbers = [" ".join(str(number)) for number in range(10, 1010)]
    found = predictions(predictor, *({"data": number} for number in numbers))
    right = sum(each["target"] == number[::-1] for each, number in zip(found, numbers, strict=True))
    assert right > 950


def test_lines_are_answered_by_lines(predictor: HostedPredictor) -> None:
    answer, replied = ask(predictor, '{"source": "1 2 3"}\n\n{"source": "4 5"}', LINES)
    assert (answer, replied) == (b'{"target":"3 2 1"}\n{"target":"5 4"}\n', LINES)


def ids_of(answer: bytes) -> list[list[int]]:
    records = [Record.FromString(payload) for payload in read_payloads(io.BytesIO(answer), "answer")]
    return [list(record.features["target"].int32_tensor.values) for record in records]


def test_records_are_answered_by_records(predictor: HostedPredictor, reverser: Seq2Seq) -> None:
    source, target = reverser.vocabularies
    body = b"".join(write_pairs([(source.encode("123"), []), ([], []), (source.encode("45"), [])]))
    answer, replied = ask(predictor, body, RECORDIO)
    assert replied == RECORDIO
    assert ids_of(answer) == [target.encode("321"), [], target.encode("54")]


def test_records_may_be_answered_in_json(predictor: HostedPredictor, reverser: Seq2Seq) -> None:
    body = b"".join(write_pairs([(reverser.vocabularies[0].encode("12"), [])]))
    assert ask(predictor, body, RECORDIO, "application/json, */*;q=0.1") == (
        b'{"predictions":[{"target":"2 1"}]}',
        JSON,
    )


def test_no_records_have_no_answers(predictor: HostedPredictor) -> None:
    assert ask(predictor, b"", RECORDIO) == (b"", RECORDIO)
    assert predictions(predictor) == []


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "said"),
    [
        (b"1,2", "text/csv", "", 415, "text/csv is not supported; send one of application/json"),
        (b"1,2", "", "", 415, "Content type missing"),
        (b"{}", "application/json; charset=klingon", "", 415, "charset klingon is unknown"),
        (b"{}", JSON, "image/png", 406, "Accept image/png"),
        (b"{", JSON, "", 400, "The request is no JSON"),
        (b"[" * 100_000, JSON, "", 400, "The request is no JSON"),
        (b"\xff", JSON, "", 400, "no text in utf-8"),
        (b"[]", JSON, "", 400, 'has to be {"instances"'),
        (b'{"instances": [{"data": "1"}, {"data": 2}]}', JSON, "", 400, "instances[1] has to be an object"),
        (b'{"instances": ["1"]}', JSON, "", 400, "instances[0] has to be an object"),
        (b'{"instances": [{"data": "1", "configuration": 1}]}', JSON, "", 400, 'instances[0]: "configuration"'),
        (
            b'{"instances": [{"data": "1", "configuration": {"attention_matrix": "maybe"}}]}',
            JSON,
            "",
            400,
            "has to be true or false",
        ),
        (b'{"source": "1"}\n{"target": "1"}', LINES, "", 400, 'Line 2 has to be an object whose "source"'),
        (b'{"source": "1"}\nx', LINES, "", 400, "Line 2 is no JSON"),
        (b"abcdefgh", RECORDIO, "", 400, "record 1 at byte 0: expected RecordIO's magic number"),
        (frame(b"\xff"), RECORDIO, "", 400, "record 1: the 1 bytes are no protobuf Record"),
        (b"".join(write_pairs([([4], []), ([999], [])])), RECORDIO, "", 400, "record 2: the source id 999 is outside"),
        (b"".join(write_pairs([([-1], [])])), RECORDIO, "", 400, "record 1: the source id -1 is outside"),
    ],
)
def test_a_malformed_request_is_refused_by_what_is_wrong_and_where(
    predictor: HostedPredictor, body: bytes, content_type: str, accept: str, status: int, said: str
) -> None:
    with pytest.raises(Refused) as refused:
        predictor.decode(body, content_type, accept)
    assert refused.value.status == status
    assert said in refused.value.message


def test_requests_of_several_callers_go_through_the_model_together(predictor: HostedPredictor) -> None:
    first, _ = predictor.decode(b'{"instances":[{"data":"1 2"}]}', JSON, "")
    second, _ = predictor.decode(b'{"instances":[{"data":"3 4","configuration":{"attention_matrix":true}}]}', JSON, "")
    plain, seen = predictor.predict(first + second)
    assert plain.attention is None
    assert seen.attention is not None
    assert seen.attention.shape == (2, 2)
