"""Answers that come as events: each a binary message with headers, a payload, and a checksum of either part.

    <length of all><length of headers><crc32 of these> <headers> <payload> <crc32 of everything before>

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import json
import logging
import struct
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from botocore.model import Shape
from botocore.serialize import SERIALIZERS

from groundfog.wire.fit import Fitter
from groundfog.wire.refusal import Refusal

log = logging.getLogger("groundfog.wire")

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_TEXT = 7
"""The type of a header whose value is text."""
_JSON = SERIALIZERS["json"](timestamp_precision="millisecond")


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    written = b"".join(map(_header, headers, headers.values()))
    prelude = struct.pack("!II", 16 + len(written) + len(payload), len(written))
    checked = prelude + struct.pack("!I", zlib.crc32(prelude)) + written + payload
    return checked + struct.pack("!I", zlib.crc32(checked))


async def written(stream: Shape, events: AsyncIterator[Mapping[str, Any]]) -> AsyncGenerator[bytes]:
    """Messages for a stream of `{"PayloadPart": {"Bytes": b"..."}}`. A Refusal among them is its last message."""
    fitter = Fitter()
    try:
        async for event in events:
            yield _event(stream, fitter.fit(stream, event))
    except Refusal as refusal:
        yield _refused(stream, refusal)
    except Exception:
        log.exception("A stream of events broke off.")
        yield message({":message-type": "error", ":error-code": "InternalFailure", ":error-message": ""}, b"")
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _event(stream: Shape, event: Mapping[str, Any]) -> bytes:
    ((name, content),) = event.items()
    payload, content_type = _payload(stream.members[name], content)
    return message({":event-type": name, ":content-type": content_type, ":message-type": "event"}, payload)


def _payload(shape: Shape, content: Mapping[str, Any]) -> tuple[bytes, str]:
    """With its content type: the member that is the payload, or else all of them as a document."""
    for name, member in shape.members.items():
        if member.serialization.get("eventpayload") and member.type_name == "blob":
            return bytes(content.get(name, b"")), "application/octet-stream"
    document: dict[str, Any] = {}
    _JSON._serialize(document, content, shape)
    return json.dumps(document).encode(), "application/json"


def _refused(stream: Shape, refusal: Refusal) -> bytes:
    if refusal.code not in stream.members:
        said = {":error-code": refusal.code, ":error-message": refusal.message}
        return message({":message-type": "error", **said}, b"")
    document = {"Message": refusal.message, **refusal.fields}
    headers = {
        ":exception-type": refusal.code,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json.dumps(document).encode())


def _header(name: str, value: str) -> bytes:
    raw, text = name.encode(), value.encode()
    return struct.pack("!B", len(raw)) + raw + struct.pack("!BH", _TEXT, len(text)) + text
