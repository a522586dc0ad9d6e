"""One running model server: its directory, its socket, its health, and a line to call it on."""

import asyncio
import os
import re
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from groundfog.engine.archive import unpack
from groundfog.engine.endpoints.line import Answering, Body, Line, Reply, Unreached
from groundfog.opt_ml.layout import Layout

if TYPE_CHECKING:
    from groundfog.engine.objects import Objects

MAX_ANSWER = 6 * 1024 * 1024
"""Bytes of an answer: as many as a request may have."""


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
        self._line: Line | None = None
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

    async def call(self, body: Body, headers: Mapping[str, str], seconds: float) -> Reply:
        """The whole answer. Raises Unanswered."""
        answering = await self.ask(body, headers, seconds)
        try:
            read = await answering.read(self._most_bytes)
        except Unreached:
            self.healthy = False
            raise
        return Reply(status=answering.status, headers=answering.headers, body=read)

    async def ask(self, body: Body, headers: Mapping[str, str], seconds: float) -> Answering:
        """The answer as it comes, within so many seconds from here to its end. Raises Unanswered."""
        path = self._path()
        if path is None:
            raise Unreached("It has no socket.")
        if self._line is None:
            self._line = Line(path)
        self.outstanding += 1
        try:
            answering = await self._line.ask(body, headers, seconds)
        except BaseException as problem:
            self._answered()
            if isinstance(problem, Unreached):
                self.healthy = False
            raise
        answering.closed = self._answered
        return answering

    def hang_up(self) -> None:
        """For good, on the supervising thread. What still runs on the line ends there."""
        self._over = True
        line, self._line = self._line, None
        descriptor, self._socket = self._socket, None
        if line is not None:
            line.close(descriptor)
        elif descriptor is not None:
            os.close(descriptor)

    def _answered(self) -> None:
        self.outstanding -= 1

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
