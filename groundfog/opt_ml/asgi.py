"""What the model servers here have in common: where they listen, how much they read, how they answer.

A model server listens on the Unix socket of the layout, since a sandbox has no network, and on the loopback port
`SAGEMAKER_BIND_TO_PORT` where that is set.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from groundfog.opt_ml.layout import Layout

MAX_BODY = 6 * 1024 * 1024
"""Bytes of a request; AWS's own limit for InvokeEndpoint. `SAGEMAKER_MAX_PAYLOAD_IN_MB` is that of a transform job."""
_UNLIMITED = 1 << 30
FINISH_SECONDS = 25
"""How long the running requests have after SIGTERM; the host is given 30 s."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Refused(Exception):
    """The client's fault: it gets this HTTP status with this text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def most_bytes() -> int:
    """Of a request."""
    megabytes = os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB")
    return MAX_BODY if megabytes is None else (int(megabytes) << 20) or _UNLIMITED


def server(application: Application) -> uvicorn.Server:
    """To be run on `sockets(...)`."""
    config = uvicorn.Config(
        application,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        # Longer than any client keeps an idle connection, so that none is closed under a request.
        timeout_keep_alive=120,
        timeout_graceful_shutdown=FINISH_SECONDS,
        backlog=2048,
    )
    return uvicorn.Server(config)


def sockets(layout: Layout) -> list[socket.socket]:
    """Bound, and not listening yet: who connects before the model is loaded is refused."""
    port = os.environ.get("SAGEMAKER_BIND_TO_PORT")
    here = [_unix(layout.socket)]
    return [*here, _loopback(int(port))] if port else here


def _unix(path: Path) -> socket.socket:
    here = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    # A socket's name may have 107 bytes; the folder's descriptor stands in for a long path to it.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    here.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)
    return here


def _loopback(port: int) -> socket.socket:
    here = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    here.bind(("127.0.0.1", port))
    return here


async def route(scope: Message, receive: Receive, send: Send, invocation: Application) -> None:
    """`POST /invocations` is passed on, `GET /ping` answered: who listens has loaded its model."""
    if scope["path"] == "/ping" and scope["method"] in ("GET", "HEAD"):
        await reply(send, 200, b"", "text/plain")
    elif scope["path"] == "/invocations" and scope["method"] == "POST":
        await invocation(scope, receive, send)
    elif scope["path"] in ("/ping", "/invocations"):
        await refuse(send, 405, "Method Not Allowed")
    else:
        await refuse(send, 404, "Not Found")


async def read(receive: Receive, most: int) -> bytes | None:
    """The body; None where the client has gone. Raises Refused."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise Refused(413, f"A request may have {most} bytes at most.")
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


async def refuse(send: Send, status: int, text: str) -> None:
    await reply(send, status, text.encode(), "text/plain; charset=utf-8")


async def reply(send: Send, status: int, body: bytes, content_type: str) -> None:
    headers = [(b"content-type", content_type.encode("latin-1")), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def stream(send: Send, status: int, headers: dict[str, str], parts: AsyncIterator[bytes]) -> None:
    """Each part goes out as it comes. What the parts raise breaks the connection, which tells the client."""
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
