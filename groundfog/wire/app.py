"""The pipeline: verify, route, parse, handler, render."""

import asyncio
import errno
import inspect
import logging
import re
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from groundfog.wire.caller import Caller, Handler, Handlers, Keys, Parameters, Result
from groundfog.wire.parse import parse
from groundfog.wire.refusal import Refusal
from groundfog.wire.render import Response, host_id, refuse, render
from groundfog.wire.request import Gone, Message, Receive, Request
from groundfog.wire.route import Dialect, Routed, dialect, is_prepared, prepare, route
from groundfog.wire.sign import Signed, verify

log = logging.getLogger("groundfog.wire")

Send = Callable[[Message], Awaitable[None]]

_THREADS = 32
_DRAIN, _PATIENCE = 8 * 2**20, 10
"""Bytes and seconds of an unwanted body that are read all the same, so that its sender lives to see the answer."""


class Wire:
    """An ASGI app that answers AWS requests from a table of handlers."""

    def __init__(self, handlers: Handlers, keys: Keys, account: str) -> None:
        self._handlers = handlers
        self._keys = keys
        self._account = account
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="handler")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        said = Dialect("rest-xml", "")
        try:
            said = dialect(request)
            response = await self.answer(request, said)
        except Gone:
            return
        except Refusal as refusal:
            response = refuse(refusal, said, request)
        except Exception as error:
            log.exception("%s %s failed, request id %s", request.method, request.path, request.id)
            response = refuse(_failure(said, error), said, request)
        await _send(response, said, request, send)

    async def answer(self, request: Request, said: Dialect) -> Response:
        await self._prepare(said)
        signed = await verify(request, self._keys, said.denials)
        routed = await route(request, said)
        try:
            parameters = await parse(request, routed, signed)
            result = await self._handle(request, routed, signed, parameters)
            return render(result, routed, request)
        except Refusal as refusal:
            return refuse(refusal, said._replace(service=routed.operation.service), request)

    async def _prepare(self, said: Dialect) -> None:
        """Loads, away from the event loop, the models that this is the first request for."""
        for service in said.services:
            if not is_prepared(service):
                await asyncio.get_running_loop().run_in_executor(self._threads, prepare, service)

    async def _handle(self, request: Request, routed: Routed, signed: Signed, parameters: Parameters) -> Result:
        operation = routed.operation
        handler = self._handlers.get(operation.service, {}).get(operation.method)
        if handler is None:
            raise Refusal("NotImplemented", f"{operation.name} is not implemented", 501)
        caller = Caller(
            account=self._account,
            region=signed.region,
            identity=signed.identity,
            access_key=signed.access_key,
            request_id=request.id,
        )
        return await self._call(handler, caller, parameters)

    async def _call(self, handler: Handler, caller: Caller, parameters: Parameters) -> Result:
        if not inspect.iscoroutinefunction(handler):
            loop = asyncio.get_running_loop()
            answered: Any = await loop.run_in_executor(self._threads, partial(handler, caller, parameters))
        else:
            answered = handler(caller, parameters)
        result: Result = await answered if inspect.isawaitable(answered) else answered
        return result


def _failure(said: Dialect, error: Exception) -> Refusal:
    """A bug of ours says nothing; a disk that is full says so, since only the user can help there."""
    is_s3 = said.protocol == "rest-xml"
    text = "The request processing has failed because of an unknown error."
    if is_s3:
        text = "We encountered an internal error. Please try again."
    if _is_full_disk(error):
        text = "The disk on which this server keeps its state is full: make room and try again."
    return Refusal("InternalError" if is_s3 else "InternalFailure", text, 500)


def _is_full_disk(error: Exception) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


async def _send(response: Response, said: Dialect, request: Request, send: Send) -> None:
    headers = response.headers | _identified(said, request)
    bare = request.method == "HEAD" or response.status in (204, 304)
    body = b"" if bare and isinstance(response.body, bytes) else response.body
    if isinstance(body, bytes) and not bare:
        headers["content-length"] = str(len(body))
    if not await _drained(request):
        headers["connection"] = "close"
    await send({"type": "http.response.start", "status": response.status, "headers": _encoded(headers)})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
    else:
        await _stream(body, request, send)


async def _stream(body: AsyncIterator[bytes], request: Request, send: Send) -> None:
    """Until it ends, fails or nobody listens any more; an answer that breaks off tells the client that it failed."""
    gone = asyncio.ensure_future(request.wait_until_gone())
    try:
        async for part in body:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": part, "more_body": True})
            # Once a connection broke, `send` never waits, nor does a body at hand: the loop would never learn of it.
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
    except Exception:
        log.exception("%s %s broke off, request id %s", request.method, request.path, request.id)
    finally:
        gone.cancel()
        if isinstance(body, AsyncGenerator):
            await body.aclose()


def _identified(said: Dialect, request: Request) -> dict[str, str]:
    if said.protocol == "rest-xml":
        return {"x-amz-request-id": request.id, "x-amz-id-2": host_id(request.id)}
    return {"x-amzn-requestid": request.id}


async def _drained(request: Request) -> bool:
    """Whether the connection is ready for the next request."""
    if request.complete or not request.has_body:
        return True
    if "expect" in request.headers:
        return False
    size = 0
    with suppress(Gone, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            async for part in request.stream():
                size += len(part)
                if size > _DRAIN:
                    return False
    return request.complete


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """What came in as bytes goes out as the same bytes; line ends in what a client said never do."""
    return [(name.encode("latin-1"), _latin(_CONTROL.sub(" ", value))) for name, value in headers.items()]


_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _latin(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()
