"""Requests in, answers out, in each format."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundfog.algorithms.seq2seq import Seq2Seq
from groundfog.algorithms.seq2seq.__main__ import HostedPredictor, load
from groundfog.algorithms.seq2seq.data.record_pb2 import Record  # type: ignore[attr-defined]
from groundfog.algorithms.seq2seq.data.recordio import frame, read_payloads, write_pairs
from groundfog.algorithms.seq2seq.data.tokenizer import Tokenizers
from groundfog.algorithms.seq2seq.serve import Predictor, Request
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


@pytest.mark.parametrize("content_type", [JSON, LINES])
def test_the_best_targets_and_their_scores_come_where_they_are_asked_for(
    predictor: HostedPredictor, reverser: Seq2Seq, content_type: str
) -> None:
    """Our extension: who does not ask for it is answered to the byte as AWS answers."""
    sources = [
        ("1 2 3", {"n_best": 3}),
        ("4 5", {}),
        ("6 7 8", {"n_best": "20", "attention_matrix": True}),
        ("9 8", None),
    ]
    field = "data" if content_type == JSON else "source"
    instances = [{field: source, "configuration": configuration} for source, configuration in sources]
    lines = "\n".join(json.dumps(each) for each in instances)
    body = lines if content_type == LINES else json.dumps({"instances": instances})
    answer, _ = ask(predictor, body, content_type)
    found = (
        json.loads(answer)["predictions"]
        if content_type == JSON
        else [json.loads(line) for line in answer.splitlines()]
    )
    three, plain, twenty, last = found
    assert (plain, last) == ({"target": "5 4"}, {"target": "8 9"})
    assert set(three) == {"target", "n_best"}
    assert set(twenty) == {"target", "matrix", "n_best"}
    for answered, source, many in ((three, "1 2 3", 3), (twenty, "6 7 8", 20)):
        (expected,) = reverser.translate([source], nbest=many)
        assert [each["target"] for each in answered["n_best"]] == [each.target for each in expected.alternatives]
        assert [each["score"] for each in answered["n_best"]] == pytest.approx(
            [each.score for each in expected.alternatives], abs=1e-5
        )
        assert answered["n_best"][0]["target"] == answered["target"]


def test_nobody_is_searched_otherwise_for_a_neighbour_who_wants_several_targets(
    untrained: Callable[..., Seq2Seq],
) -> None:
    predictor = Predictor(untrained(4, weight_init_scale=9.0, beam_threshold=0.001))
    for source in (["a"], ["b", "c"], ["c", "c", "a"], ["d", "a", "b", "b"]):
        plain, several = Request(source), Request(source, n_best=5)
        (alone,) = predictor.predict([plain])
        (beside, neighbour) = predictor.predict([plain, several])
        assert (beside.tokens, beside.score) == (alone.tokens, alone.score)
        assert len(neighbour.alternatives) > 1


def test_a_model_of_raw_text_is_asked_and_answers_in_raw_text(untrained: Callable[..., Seq2Seq]) -> None:
    model = untrained(4, weight_init_scale=3.0)
    model.tokenizers = Tokenizers.learn("character", [])
    predictor = Predictor(model)
    requests, reply = predictor.decode(b'{"instances": [{"data": "a bc"}]}', JSON, "")
    assert requests[0].tokens == ["a", "\u2581", "b", "c"]
    (said,) = model.translate([["a", "\u2581", "b", "c"]])
    assert len(said.tokens) > 1
    answer, _ = predictor.encode(predictor.predict(requests), reply)
    assert json.loads(answer) == {"predictions": [{"target": "".join(said.tokens)}]}


def test_what_is_longer_than_the_longest_is_cut_off_there(untrained: Callable[..., Seq2Seq]) -> None:
    predictor = Predictor(untrained(2, max_seq_len_source=5))
    body = json.dumps({"instances": [{"data": "a b c d a"}, {"data": "a b c d a" + " b" * 9999}]}).encode()
    requests, _ = predictor.decode(body, JSON, "")
    whole, cut = predictor.predict(requests)
    assert (whole.target, whole.score) == (cut.target, pytest.approx(cut.score, abs=1e-5))


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


def test_text_is_answered_by_text_line_for_line(predictor: HostedPredictor) -> None:
    """Our extension, for batch transform of plain text."""
    assert ask(predictor, "1 2 3\n\n4 5\r\n", "text/plain; charset=utf-8") == (b"3 2 1\n\n5 4\n", "text/plain")
    assert ask(predictor, "1 2", "text/plain") == (b"2 1\n", "text/plain")
    assert ask(predictor, "", "text/plain") == (b"", "text/plain")
    assert ask(predictor, "1 2\n3 4", "text/plain", LINES)[0] == b'{"target":"2 1"}\n{"target":"4 3"}\n'


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_byte_order_mark_is_no_part_of_the_text(predictor: HostedPredictor, charset: str) -> None:
    body = ("\ufeff" if charset == "utf-8" else "") + '{"source": "1 2"}'
    assert ask(predictor, body.encode(charset), f"{LINES}; charset={charset}")[0] == b'{"target":"2 1"}\n'


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
        (b'{"instances": [{"data": "1", "configuration": {"n_best": true}}]}', JSON, "", 400, '"n_best" has to be an'),
        (b'{"instances": [{"data": "1", "configuration": {"n_best": 101}}]}', JSON, "", 400, "integer from 1 to 100"),
        (b'{"instances": [{"data": "1", "configuration": {"n_best": -1}}]}', JSON, "", 400, "instances[0]"),
        (b'{"source": "1"}\n{"source": "1", "configuration": {"n_best": 2.5}}', LINES, "", 400, "Line 2"),
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
