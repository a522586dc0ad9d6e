"""The pipeline: verify, route, parse, handler, render."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from groundfog.wire.caller import Caller, Handler, Handlers, Keys, Parameters, Result
from groundfog.wire.parse import parse
from groundfog.wire.refusal import Refusal
from groundfog.wire.render import Response, host_id, refuse, render
from groundfog.wire.request import Gone, Message, Receive, Request
from groundfog.wire.route import Dialect, Routed, dialect, route
from groundfog.wire.sign import Signed, verify

log = logging.getLogger("groundfog.wire")

Send = Callable[[Message], Awaitable[None]]

_THREADS = 32
_DRAIN = 8 * 2**20
"""Bytes of an unwanted body that are read all the same, so that its sender lives to see the answer."""


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
        except Exception:
            log.exception("%s %s failed, request id %s", request.method, request.path, request.id)
            response = refuse(_failure(said), said, request)
        await _send(response, said, request, send)

    async def answer(self, request: Request, said: Dialect) -> Response:
        signed = await verify(request, self._keys, said.denials)
        routed = await route(request, said)
        parameters = await parse(request, routed, signed)
        result = await self._handle(request, routed, signed, parameters)
        return render(result, routed, request)

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


def _failure(said: Dialect) -> Refusal:
    if said.protocol == "rest-xml":
        return Refusal("InternalError", "We encountered an internal error. Please try again.", 500)
    return Refusal("InternalFailure", "The request processing has failed because of an unknown error.", 500)


async def _send(response: Response, said: Dialect, request: Request, send: Send) -> None:
    headers = response.headers | _identified(said, request)
    body = response.body
    if isinstance(body, bytes) and not (request.method == "HEAD" or response.status in (204, 304)):
        headers["content-length"] = str(len(body))
    if not await _drained(request):
        headers["connection"] = "close"
    await send({"type": "http.response.start", "status": response.status, "headers": _encoded(headers)})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
        return
    async for part in body:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


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
    async for part in request.stream():
        size += len(part)
        if size > _DRAIN:
            return False
    return True


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
