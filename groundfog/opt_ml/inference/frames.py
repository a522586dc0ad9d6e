"""What front and worker say to one another, over a socket pair: `<kind, 1 byte><length, 8 bytes><payload>`.

A request is HEAD, PART..., END; so is an answer. A head is JSON: of a request its headers, of an answer `status` and
`headers`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

READY = b"R"
"""From the worker, once: the model is loaded."""
HEAD = b"H"
PART = b"P"
END = b"E"
BROKEN = b"B"
"""Instead of END: the answer fails after its head."""

PREFIX = struct.Struct("!cQ")
MOST_IN_A_PART = 1 << 20


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return PREFIX.pack(kind, len(payload)) + payload


def head(document: dict[str, Any]) -> bytes:
    return frame(HEAD, json.dumps(document).encode())


def parts(body: bytes) -> Iterator[bytes]:
    """The frames of a body."""
    for start in range(0, len(body), MOST_IN_A_PART):
        yield frame(PART, body[start : start + MOST_IN_A_PART])


def read(file: BinaryIO) -> tuple[bytes, bytes]:
    """The next frame. Raises EOFError where the other side has gone."""
    kind, length = PREFIX.unpack(_exactly(file, PREFIX.size))
    return kind, _exactly(file, length)


def read_request(file: BinaryIO) -> tuple[dict[str, str], bytes]:
    """Headers and body. Raises EOFError where the other side has gone."""
    kind, payload = read(file)
    headers, body = json.loads(payload), []
    while kind != END:
        kind, payload = read(file)
        body.append(payload)
    return headers, b"".join(body)


def _exactly(file: BinaryIO, length: int) -> bytes:
    read = file.read(length)
    if len(read) < length:
        raise EOFError
    return read
