"""A request as it came in, before anybody has said what it means."""

import functools
import uuid
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote, unquote_plus

from groundfog.wire.refusal import Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

BODY_LIMIT = 10 * 2**20
"""Bytes that are held in memory at most for one request; streaming operations have no limit."""


class Gone(Exception):
    """The client hung up before its request was complete."""


class Request:
    """Method, path as sent (still percent-encoded), headers by lower-case name, and a body that is read once."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.id = str(uuid.uuid4())
        self.method: str = scope["method"]
        raw = scope.get("raw_path")
        self.path: str = raw.decode("latin-1") if raw else quote(scope["path"])
        self.query_string: str = scope["query_string"].decode("latin-1")
        self.headers: dict[str, str] = _headers(scope["headers"])
        self.complete = False
        self._receive = receive
        self._held: bytes | None = None
        self._form: dict[str, str] | None = None

    @functools.cached_property
    def query(self) -> dict[str, list[str]]:
        """Parameters of the query string, decoded, each with its values."""
        return pairs(self.query_string)

    @property
    def length(self) -> int | None:
        declared = self.headers.get("content-length", "")
        return int(declared) if declared.isascii() and declared.isdigit() else None

    @property
    def has_body(self) -> bool:
        return bool(self.length) or "transfer-encoding" in self.headers

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it arrives, or as it was held by `read`."""
        if self._held is not None:
            yield self._held
            return
        while not self.complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            self.complete = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def read(self, limit: int = BODY_LIMIT) -> bytes:
        """The whole body, which stays at hand for `stream`."""
        if self._held is None:
            parts, size = [], 0
            async for part in self.stream():
                size += len(part)
                if size > limit:
                    raise Refusal("RequestEntityTooLargeException", f"Request must be smaller than {limit} bytes", 413)
                parts.append(part)
            self._held = b"".join(parts)
        return self._held

    async def content(self) -> bytes:
        """The whole body, unpacked where the client packed it: botocore does so with large ones of some operations."""
        body = await self.read()
        return _unpacked(body) if self.headers.get("content-encoding") == "gzip" else body

    async def form(self) -> dict[str, str]:
        """Parameters of the query protocol, from the URL and from the body."""
        if self._form is None:
            sent = self.query | pairs((await self.content()).decode("latin-1"))
            self._form = {name: values[-1] for name, values in sent.items()}
        return self._form

    async def wait_until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(body, BODY_LIMIT + 1)
    except zlib.error as error:
        raise Refusal("SerializationException", f"The body is not gzipped as Content-Encoding says ({error})") from None
    if len(content) > BODY_LIMIT:
        raise Refusal(
            "RequestEntityTooLargeException", f"Request must be smaller than {BODY_LIMIT} bytes when unpacked", 413
        )
    if not unpacking.eof:
        raise Refusal("SerializationException", "The gzipped body ends too early")
    return content


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def pairs(form: str) -> dict[str, list[str]]:
    """What a query string or a form says, each name with its values."""
    found: dict[str, list[str]] = {}
    for pair in form.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            found.setdefault(_decoded(name), []).append(_decoded(value))
    return found


def _decoded(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise Refusal("InvalidURI", "Couldn't parse the specified URI.", 400) from None
