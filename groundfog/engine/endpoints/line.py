"""A line to one model server: kept-alive connections over its socket, and answers as they come."""

import asyncio
import io
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from groundfog.engine.errors import EngineError

if TYPE_CHECKING:
    import aiohttp

_LARGE = 1 << 20
"""Bytes from which on aiohttp wants a body as a file, and then sends it in pieces."""

Body = bytes | Callable[[], IO[bytes]]
"""What is sent: a file is opened anew for each try."""


class Unanswered(EngineError):
    """The replica died under the request, cannot be reached, or did not answer in time; the text says which."""


class Unreached(Unanswered):
    """The connection broke before an answer: another replica may be asked."""


class TooSlow(Unanswered):
    """The time limit passed."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Answering:
    """An answer whose head is there. To be read to its end, or closed; the time limit is for all of it."""

    def __init__(self, response: "aiohttp.ClientResponse", deadline: float, seconds: float) -> None:
        self._response, self._deadline, self._seconds = response, deadline, seconds
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self.closed: Callable[[], None] = lambda: None
        """Called once, when it is over."""

    async def parts(self) -> AsyncGenerator[bytes]:
        """As they come. Raises Unanswered."""
        try:
            while part := await self._part():
                yield part
        finally:
            self.close()

    async def read(self, most_bytes: int) -> bytes:
        """Raises Unanswered, also for more than so many."""
        chunks: list[bytes] = []
        size = 0
        try:
            while part := await self._part():
                size += len(part)
                if size > most_bytes:
                    raise Unanswered(f"An answer may have {most_bytes} bytes at most.")
                chunks.append(part)
        finally:
            self.close()
        return b"".join(chunks)

    def when_over(self, do: Callable[[], None]) -> None:
        """Also call this once, when it is over."""
        before = self.closed

        def closed() -> None:
            before()
            do()

        self.closed = closed

    def close(self) -> None:
        """What was not read by now never is."""
        self._response.release()
        closed, self.closed = self.closed, lambda: None
        closed()

    async def _part(self) -> bytes:
        with _failures(self._seconds):
            async with asyncio.timeout_at(self._deadline):
                return await self._response.content.readany()


class Line:
    """aiohttp is loaded with the first, not when the server starts."""

    def __init__(self, path: str) -> None:
        import aiohttp

        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path, limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type"),
            auto_decompress=False,
        )

    async def ask(self, body: Body, headers: Mapping[str, str], seconds: float) -> Answering:
        """Raises Unanswered."""
        import aiohttp

        deadline = self._loop.time() + seconds
        with _failures(seconds):
            async with asyncio.timeout_at(deadline):
                response = await self._session.post(
                    "http://localhost/invocations",
                    data=_payload(body),
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                )
        return Answering(response, deadline, seconds)

    def close(self, descriptor: int | None) -> None:
        """From any thread. The descriptor that the path names is closed last, on the loop that uses the path.

        Otherwise its number might already name another replica's socket when a connection is made.
        """
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hang_up, descriptor)

    def _hang_up(self, descriptor: int | None) -> None:
        self._closing = self._loop.create_task(self._session.close())
        if descriptor is not None:
            self._closing.add_done_callback(lambda _: os.close(descriptor))


def _payload(body: Body) -> bytes | IO[bytes]:
    if not isinstance(body, bytes):
        return body()
    return body if len(body) < _LARGE else io.BytesIO(body)


@contextmanager
def _failures(seconds: float) -> Iterator[None]:
    """aiohttp's, in our words."""
    import aiohttp

    try:
        yield
    except TimeoutError:
        raise TooSlow(f"No answer in {seconds:g} s.") from None
    except (aiohttp.ClientConnectionError, OSError) as problem:
        raise Unreached(str(problem) or type(problem).__name__) from None
    except RuntimeError as closed:
        raise Unreached(str(closed)) from None
    except aiohttp.ClientError as problem:
        raise Unanswered(str(problem)) from None
