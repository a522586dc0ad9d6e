"""Bodies that a client packed: read as they were meant, and bombs do not go off."""

import asyncio
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.wire.refusal import Refusal
from groundfog.wire.request import BODY_LIMIT, Message, Request


def content(body: bytes, encoding: str = "gzip") -> bytes:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-encoding", encoding.encode())]
    scope = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": headers}
    return asyncio.run(Request(scope, receive).content())


@given(st.binary())
def test_what_was_packed_is_unpacked(body: bytes) -> None:
    assert content(gzip.compress(body)) == body
    assert content(body, "identity") == body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no gzip", "SerializationException"),
        (gzip.compress(b"x" * 1000)[:-9], "SerializationException"),
        (gzip.compress(b"\0" * (BODY_LIMIT + 1)), "RequestEntityTooLargeException"),
    ],
    ids=["something else", "cut off", "too much"],
)
def test_what_cannot_be_unpacked_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        content(body)
    assert refused.value.code == code
