"""Serving: requests in four formats to translations and back.

    application/json                    {"instances": [{"data": "C A R", "configuration": {"attention_matrix": true}}]}
                                        -> {"predictions": [{"target": "K AA1 R", "matrix": [[...], ...]}]}
                                        {"n_best": 5} beside it, an extension of ours, adds the best targets of all:
                                        "n_best": [{"target": "K AA1 R", "score": -0.02}, ...]
    application/jsonlines               {"source": "C A R"}      -> {"target": "K AA1 R"}     the same configuration
    application/x-recordio-protobuf     records with "source"    -> records with "target"
    text/plain                          a line                   -> a line; an extension of ours, for batch transform

A model that was trained on raw text reads and says raw text here; all others tokens with blanks between them.

https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .data.recordio import read_pairs, write_targets
from .errors import InputFault
from .search.ensemble import load
from .search.translation import Translation, Translator

JSON = "application/json"
JSON_LINES = "application/jsonlines"
RECORDIO = "application/x-recordio-protobuf"
TEXT = "text/plain"
FORMATS = (JSON, JSON_LINES, RECORDIO, TEXT)
MOST_BEST = 100


class Rejected(InputFault):
    """A request is at fault; `status` is the HTTP status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Request:
    tokens: list[str]
    attention: bool = False
    n_best: int = 0
    """How many targets with their scores; 0: the best one, and no list."""


class Predictor:
    max_batch = 512

    def __init__(self, model: Translator) -> None:
        self._model = model
        # The first request shall not pay for what is made only once.
        model.translate([["<unk>"]])

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        return cls(load(folder))

    def decode(self, body: bytes, content_type: str, accept: str) -> tuple[list[Request], str]:
        """The requests of a body and the format of its answer.

        :raises Rejected: 415 for a format that is none of ours, 406 for an answer in one, 400 for a record at fault.
        """
        kind, charset = _media_type(content_type)
        if kind not in FORMATS:
            raise Rejected(415, f"Content type {kind or 'missing'} is not supported; send one of {', '.join(FORMATS)}")
        reply = _reply_format(accept, kind)
        if kind == RECORDIO:
            return list(self._records(body)), reply
        text = _text(body, charset)
        if kind == TEXT:
            return [Request(self._model.tokenizers.source_tokens(line)) for line in _lines(text)], reply
        instances = _json_lines(text) if kind == JSON_LINES else _json(text)
        return [self._request(*each) for each in instances], reply

    def predict(self, requests: list[Request]) -> list[Translation]:
        """One translation for each request, in order."""
        narrowest = self._model.hyperparameters.beam_size
        kinds = [(max(narrowest, request.n_best), request.n_best > 1) for request in requests]
        found: dict[int, Translation] = {}
        # A wider beam may find another target, and so may one that gives up none for the n best's sake: nobody is
        # searched with either who did not ask for it.
        for kind in set(kinds):
            places = [place for place, each in enumerate(kinds) if each == kind]
            found |= zip(places, self._translate([requests[place] for place in places]), strict=True)
        return [found[place] for place in range(len(requests))]

    def _translate(self, requests: list[Request]) -> list[Translation]:
        attention = any(request.attention for request in requests)
        n_best = max(request.n_best for request in requests)
        found = self._model.translate(
            [request.tokens for request in requests], nbest=n_best or None, attention=attention
        )
        return [
            replace(
                each,
                attention=each.attention if request.attention else None,
                alternatives=each.alternatives[: request.n_best],
            )
            for request, each in zip(requests, found, strict=True)
        ]

    def encode(self, translations: list[Translation], reply: str) -> tuple[bytes, str]:
        if reply == RECORDIO:
            ids = self._model.vocabularies[1].ids
            return b"".join(write_targets([ids[token] for token in each.tokens] for each in translations)), RECORDIO
        if reply == TEXT:
            return "".join(each.text + "\n" for each in translations).encode(), TEXT
        answers = [_answer(each) for each in translations]
        if reply == JSON_LINES:
            return "".join(_json_text(answer) + "\n" for answer in answers).encode(), JSON_LINES
        return _json_text({"predictions": answers}).encode(), JSON

    def _request(self, instance: Any, field: str, place: str) -> Request:
        data = instance.get(field) if isinstance(instance, dict) else None
        if not isinstance(data, str):
            raise Rejected(
                400, f'{place} has to be an object whose "{field}" is a string of tokens with blanks between them'
            )
        configuration = instance.get("configuration") or {}
        if not isinstance(configuration, dict):
            raise Rejected(400, f'{place}: "configuration" has to be an object, as {{"attention_matrix": true}}')
        attention = str(configuration.get("attention_matrix", False)).lower()
        if attention not in ("true", "false"):
            raise Rejected(400, f'{place}: "attention_matrix" has to be true or false')
        n_best = str(configuration.get("n_best", 0))
        if not n_best.isdecimal() or len(n_best) > 3 or int(n_best) > MOST_BEST:
            raise Rejected(400, f'{place}: "n_best" has to be an integer from 1 to {MOST_BEST}')
        return Request(self._model.tokenizers.source_tokens(data), attention == "true", int(n_best))

    def _records(self, body: bytes) -> Iterator[Request]:
        source, _ = self._model.vocabularies
        try:
            for number, pair in enumerate(read_pairs(io.BytesIO(body), "The request"), start=1):
                wrong = next((each for each in pair.source if not 0 <= each < len(source)), None)
                if wrong is not None:
                    raise Rejected(
                        400,
                        f"The request, record {number}: the source id {wrong} is outside of the vocabulary, "
                        f"whose ids go from 0 to {len(source) - 1}",
                    )
                yield Request(source.decode(pair.source))
        except Rejected:
            raise
        except InputFault as fault:
            raise Rejected(400, str(fault)) from None


def _media_type(header: str) -> tuple[str, str]:
    """The type and its charset: UTF-8 where none is given."""
    kind, *parameters = (part.strip() for part in header.split(";"))
    charsets = [
        value.strip("\"' ")
        for name, _, value in (each.partition("=") for each in parameters)
        if name.strip().lower() == "charset"
    ]
    return kind.lower(), charsets[0] if charsets else "utf-8"


def _reply_format(accept: str, request_format: str) -> str:
    """The first of the accepted formats that we write; that of the request where any is welcome."""
    for kind in (_media_type(each)[0] for each in (accept or "*/*").split(",")):
        if kind in ("", "*/*", "application/*"):
            return request_format
        if kind in FORMATS:
            return kind
    raise Rejected(406, f"Accept {accept[:100]} is not supported; accept one of {', '.join(FORMATS)}")


def _text(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset).removeprefix("\ufeff")
    except LookupError:
        raise Rejected(415, f"The charset {charset[:50]} is unknown; send UTF-8") from None
    except ValueError as error:
        raise Rejected(400, f"The request is no text in {charset[:50]}: {error}") from None


def _json(text: str) -> Iterator[tuple[Any, str, str]]:
    """Each instance, its field with the source, and where it stands."""
    document = _parse(text, "The request")
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list):
        raise Rejected(400, 'The request has to be {"instances": [{"data": "tokens with blanks between them"}, ...]}')
    for number, instance in enumerate(instances):
        yield instance, "data", f"instances[{number}]"


def _lines(text: str) -> list[str]:
    """An empty line too has its answer; after the last line's end there is none."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def _json_lines(text: str) -> Iterator[tuple[Any, str, str]]:
    for number, line in enumerate(_lines(text), start=1):
        if line.strip():
            yield _parse(line, f"Line {number}"), "source", f"Line {number}"


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Rejected(400, f"{place} is no JSON: {error}") from None


def _answer(translation: Translation) -> dict[str, Any]:
    answer: dict[str, Any] = {"target": translation.text}
    if translation.attention is not None:
        answer["matrix"] = translation.attention.astype(float).round(6).tolist()
    if translation.alternatives:
        answer["n_best"] = [{"target": each.text, "score": each.score} for each in translation.alternatives]
    return answer


def _json_text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
