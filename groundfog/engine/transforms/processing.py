"""Filters and joins: what of a record goes to the model, and what of record and answer comes out.

A record is JSON, or a line of CSV, which is then a list of texts. Joined, an answer stands in `SageMakerOutput` of the
record that is an object; beside any other JSON, in `SageMakerInput`; in CSV it follows the record's columns.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

import csv
import io
import json
from typing import Any

from groundfog.engine.errors import Unfit
from groundfog.engine.transforms.order import Transform
from groundfog.engine.transforms.paths import path
from groundfog.engine.transforms.records import Payload


class Processing:
    """Raises Unfit for a path that is none, and then for records and answers that cannot be read."""

    def __init__(self, order: Transform) -> None:
        self._input, self._output = path(order.input_filter), path(order.output_filter)
        self._filters_input = order.input_filter != "$"
        self._filters_output = order.output_filter != "$" or order.join
        self._content_type, self._join = order.content_type or "", order.join
        self._by_line = order.split == "Line"

    def incoming(self, data: bytes) -> bytes:
        """What the model is given of a record."""
        if not self._filters_input:
            return data
        end = b"\n" if data.endswith(b"\n") else b""
        return _written(self._input(_read(data, self._content_type)), self._content_type) + end

    def outgoing(self, payload: Payload, answer: bytes, content_type: str) -> bytes:
        """What is put away of the model's answer to a payload, in the answer's own format."""
        if not self._filters_output:
            return answer
        lines = [line for line in answer.split(b"\n") if line.strip()] if self._by_line else [answer]
        if len(lines) != len(payload):
            raise Unfit(f"the model gave {len(lines)} answers for {len(payload)} records, which cannot be joined")
        made = []
        for record, line in zip(payload, lines, strict=True):
            document = _read(line, content_type)
            if self._join:
                document = _joined(_read(record.data, self._content_type), document)
            made.append(_written(self._output(document), content_type))
        return b"".join(line + b"\n" for line in made) if self._by_line else made[0]


def is_csv(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "text/csv"


def is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in ("application/json", "application/jsonlines", "application/x-jsonlines")


def _joined(given: Any, answer: Any) -> Any:
    match given, answer:
        case dict(), _:
            return {**given, "SageMakerOutput": answer}
        case list(), _Row() if isinstance(given, _Row):
            return _Row([*given, *answer])
        case _:
            return {"SageMakerInput": given, "SageMakerOutput": answer}


class _Row(list[Any]):
    """Of CSV."""


def _read(data: bytes, content_type: str) -> Any:
    try:
        text = data.decode()
        if not is_csv(content_type):
            return json.loads(text)
        return _Row(next(csv.reader([text.rstrip("\r\n")], strict=True), []))
    except (ValueError, RecursionError, csv.Error) as error:
        what = "CSV" if is_csv(content_type) else "JSON"
        raise Unfit(f"it is no {what}, which filters and joins need ({error})") from None


def _written(document: Any, content_type: str) -> bytes:
    if not is_csv(content_type):
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    row = document if isinstance(document, list) else [document]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue().encode()
