"""One running model server: its directory, its socket, its health, and a line to call it on."""

import asyncio
import io
import os
import re
import stat
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groundfog.engine.archive import unpack
from groundfog.engine.errors import EngineError
from groundfog.opt_ml.layout import Layout

if TYPE_CHECKING:
    import aiohttp

    from groundfog.engine.objects import Objects

MAX_ANSWER = 6 * 1024 * 1024
"""Bytes of an answer: as many as a request may have."""
_LARGE = 1 << 20
"""Bytes from which on aiohttp wants a body as a file, and then sends it in pieces."""


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


class Replica:
    """Pinged by the supervising thread; called from the server's event loop, which alone counts `outstanding`."""

    def __init__(self, directory: Path, name: str | None = None, most_bytes: int = MAX_ANSWER) -> None:
        self.directory = directory
        self.name = name or f"i-{uuid.uuid4().hex[:17]}"
        self.layout = Layout(directory / "opt_ml")
        self.log = directory / "log"
        self.healthy = False
        self.outstanding = 0
        self._most_bytes = most_bytes
        self._socket: int | None = None
        self._line: _Line | None = None
        self._over = False

    def fill(self, objects: "Objects", bucket: str, key: str) -> None:
        """Unpack the model into the layout. Raises Missing, and Unfit where the archive cannot be unpacked."""
        archive = self.directory / "model.tar.gz"
        objects.fetch(objects.find(bucket, key), archive)
        unpack(archive, self.layout.model)
        archive.unlink()

    async def ping(self, seconds: float) -> bool:
        """Whether it says, within so long, that it can predict."""
        path = self._path()
        if path is None:
            return False
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    writer.write(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    return re.match(rb"HTTP/1\.[01] 200\b", await reader.readline()) is not None
                finally:
                    writer.close()
        except (OSError, ValueError):
            return False

    async def call(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        """Raises Unanswered."""
        path = self._path()
        if path is None:
            raise Unreached("It has no socket.")
        if self._line is None:
            self._line = _Line(path, self._most_bytes)
        self.outstanding += 1
        try:
            return await self._line.call(body, headers, seconds)
        except Unreached:
            self.healthy = False
            raise
        finally:
            self.outstanding -= 1

    def hang_up(self) -> None:
        """For good, on the supervising thread. What still runs on the line ends there."""
        self._over = True
        line, self._line = self._line, None
        descriptor, self._socket = self._socket, None
        if line is not None:
            line.close(descriptor)
        elif descriptor is not None:
            os.close(descriptor)

    def _path(self) -> str | None:
        """A short name for the socket, bound to the very file that was looked at: what runs there is not trusted.

        A symbolic link in its place could lead the server to any socket of this machine.
        """
        if self._over:
            return None
        if self._socket is None:
            try:
                descriptor = os.open(self.layout.socket, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return None
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                return None
            self._socket = descriptor
        return f"/proc/self/fd/{self._socket}"


class _Line:
    """Kept-alive connections to one replica. aiohttp is loaded with the first, not when the server starts."""

    def __init__(self, path: str, most_bytes: int) -> None:
        import aiohttp

        self._most_bytes = most_bytes
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path, limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type"),
            auto_decompress=False,
        )

    async def call(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        import aiohttp

        try:
            async with (
                asyncio.timeout(seconds),
                self._session.post(
                    "http://localhost/invocations",
                    data=body if len(body) < _LARGE else io.BytesIO(body),
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response,
            ):
                return Reply(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=await _read(response.content, self._most_bytes),
                )
        except TimeoutError:
            raise TooSlow(f"No answer in {seconds:g} s.") from None
        except (aiohttp.ClientConnectionError, OSError) as problem:
            raise Unreached(str(problem) or type(problem).__name__) from None
        except RuntimeError as closed:
            raise Unreached(str(closed)) from None
        except aiohttp.ClientError as problem:
            raise Unanswered(str(problem)) from None

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


async def _read(content: "aiohttp.StreamReader", most_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        size += len(chunk)
        if size > most_bytes:
            raise Unanswered(f"An answer may have {most_bytes} bytes at most.")
        chunks.append(chunk)
    return b"".join(chunks)
