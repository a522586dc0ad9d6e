"""Events as botocore's own parser reads them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from groundfog.wire import eventstream, model
from groundfog.wire.fit import Fitter, Unfit
from groundfog.wire.refusal import Refusal

STREAM = model.load("sagemaker-runtime").shape_for("ResponseStream")
NAMES = st.text(st.characters(codec="ascii", categories=("L",)), min_size=1, max_size=40)
HEADERS = st.dictionaries(NAMES, st.text(max_size=200), max_size=8)


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=5000)), max_size=5), st.integers(1, 700))
def test_messages_are_read_as_they_were_meant(messages: list[tuple[dict[str, str], bytes]], piece: int) -> None:
    sent = b"".join(eventstream.message(headers, payload) for headers, payload in messages)
    assert _read(sent, piece) == messages


def test_bytes_are_a_payload_of_their_own() -> None:
    sent = _written([{"PayloadPart": {"Bytes": b"one"}}, {"PayloadPart": {"Bytes": b"two"}}])
    assert [payload for _, payload in sent] == [b"one", b"two"]
    assert sent[0][0][":event-type"] == "PayloadPart"
    assert sent[0][0][":message-type"] == "event"


def test_a_refusal_is_the_last_message_with_its_own_type() -> None:
    refusal = Refusal("ModelStreamError", "It took too long.", ErrorCode="ModelInvocationTimeExceeded")
    *_, (headers, payload) = _written([{"PayloadPart": {"Bytes": b"one"}}], refusal)
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "ModelStreamError"
    assert payload == b'{"Message": "It took too long.", "ErrorCode": "ModelInvocationTimeExceeded"}'


def test_a_refusal_that_the_stream_does_not_know_is_an_error() -> None:
    ((headers, _),) = _written([], Refusal("Throttling", "Later."))
    assert headers == {":message-type": "error", ":error-code": "Throttling", ":error-message": "Later."}


def test_what_does_not_fit_the_model_never_leaves() -> None:
    ((headers, _),) = _written([{"PayloadPart": {"Byte": b"one"}}])
    assert headers[":error-code"] == "InternalFailure"


def test_an_answer_without_its_stream_does_not_fit() -> None:
    operation = model.operation("sagemaker-runtime", "InvokeEndpointWithResponseStream")
    assert operation is not None
    assert operation.output is not None
    with pytest.raises(Unfit, match="a stream of events is not"):
        Fitter().fit(operation.output, {"Body": b"bytes"})


def _written(events: list[dict[str, Any]], then: Exception | None = None) -> list[tuple[dict[str, str], bytes]]:
    async def stream() -> AsyncIterator[dict[str, Any]]:
        for event in events:
            yield event
        if then is not None:
            raise then

    async def collect() -> bytes:
        return b"".join([part async for part in eventstream.written(STREAM, stream())])

    return _read(asyncio.run(collect()), 1 << 20)


def _read(sent: bytes, piece: int) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    for start in range(0, len(sent), piece):
        buffer.add_data(sent[start : start + piece])
    return [(event.headers, event.payload) for event in buffer]
