"""Workers: so many processes, each request to an idle one. One that dies or takes too long is replaced.

Pool       the queue of requests, and a keeper for each worker
Job        a request on its way to a worker, and the frames of its answer
Worker     one process
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from groundfog.opt_ml.inference import frames
from groundfog.opt_ml.inference.handler import fault

_HOPELESS = 3
"""So many workers in a row that could not load a model that others had loaded, and the pool is broken."""
_AHEAD = 16
"""Frames of an answer that wait for a slow reader before the worker has to wait too."""

log = logging.getLogger(__name__)


class Failed(Exception):
    """The worker died, took too long, or broke off its answer: the text says which."""


class Job:
    """Its answer is read by `head` and then `parts`; `leave` says that nobody reads on."""

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers, self.body = headers, body
        self.left = False
        self._frames: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue(_AHEAD)

    async def tell(self, kind: bytes, payload: bytes = b"") -> None:
        if not self.left:
            await self._frames.put((kind, payload))

    def leave(self) -> None:
        self.left = True
        while not self._frames.empty():
            self._frames.get_nowait()

    async def head(self) -> dict[str, Any]:
        """`status` and `headers`. Raises Failed."""
        kind, payload = await self._frames.get()
        if kind == frames.BROKEN:
            raise Failed(payload.decode())
        told: dict[str, Any] = json.loads(payload)
        return told

    async def parts(self) -> AsyncIterator[bytes]:
        """Raises Failed."""
        while True:
            kind, payload = await self._frames.get()
            if kind == frames.END:
                return
            if kind == frames.BROKEN:
                raise Failed(payload.decode())
            yield payload


class Worker:
    """One process, and the line to it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        over: asyncio.Future[int],
        heard: asyncio.StreamReader,
        said: asyncio.StreamWriter,
    ) -> None:
        self.over = over
        self._process, self._heard, self._said = process, heard, said

    @classmethod
    async def start(cls, command: Sequence[str], threads: ThreadPoolExecutor) -> Worker:
        """`command` and the descriptor of the line. One of the threads waits for its end."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            line = theirs.fileno()
            process = await loop.run_in_executor(threads, _spawn, [*command, str(line)], line)
        heard, said = await asyncio.open_connection(sock=ours)
        return cls(process, loop.run_in_executor(threads, process.wait), heard, said)

    async def is_ready(self) -> bool:
        """False where it ended before its model was loaded."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            return (await self._frame())[0] == frames.READY
        return False

    async def answer(self, job: Job, seconds: float) -> None:
        """Raises Failed, after which the worker is of no more use. The time is for each part of the answer."""
        try:
            await asyncio.wait_for(self._ask(job), seconds)
            kind = frames.HEAD
            while kind not in (frames.END, frames.BROKEN):
                kind, payload = await asyncio.wait_for(self._frame(), seconds)
                await asyncio.wait_for(job.tell(kind, payload), seconds)
        except TimeoutError:
            raise Failed(f"The worker did not answer in {seconds:g} s, and was ended.") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Failed("Worker died.") from None

    async def end(self) -> None:
        self._said.close()
        self._process.kill()
        await self.over

    async def _ask(self, job: Job) -> None:
        self._said.write(frames.head(job.headers))
        for part in frames.parts(job.body):
            self._said.write(part)
            await self._said.drain()
        self._said.write(frames.frame(frames.END))
        await self._said.drain()

    async def _frame(self) -> tuple[bytes, bytes]:
        kind, length = frames.PREFIX.unpack(await self._heard.readexactly(frames.PREFIX.size))
        return kind, await self._heard.readexactly(length)


def _spawn(command: Sequence[str], line: int) -> subprocess.Popen[bytes]:
    """Not asyncio's, whose `kill` and whose watcher may both wait for the same process."""
    return subprocess.Popen(command, pass_fds=(line,), stdin=subprocess.DEVNULL)


class Pool:
    """`command` starts a worker; `seconds` is the time for an answer's next part."""

    def __init__(self, command: Sequence[str], workers: int, seconds: float) -> None:
        self._command, self._workers, self._seconds = command, workers, seconds
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._ready = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(2 * workers, thread_name_prefix="worker")

    def start(self) -> None:
        self._keepers = [asyncio.ensure_future(self._keep()) for _ in range(self._workers)]

    async def is_ready(self) -> bool:
        """Wait for the first worker; False where there will be none."""
        ready = asyncio.ensure_future(self._ready.wait())
        await asyncio.wait({ready, *self._keepers}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        return self._ready.is_set()

    async def until_broken(self) -> None:
        await asyncio.wait(self._keepers, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def submit(self, headers: dict[str, str], body: bytes) -> Job:
        job = Job(headers, body)
        self._jobs.put_nowait(job)
        return job

    async def _keep(self) -> None:
        """A worker, and after it the next; ends where they cannot load the model."""
        unloaded = 0
        while unloaded < (_HOPELESS if self._ready.is_set() else 1):
            worker = await Worker.start(self._command, self._threads)
            try:
                if not await worker.is_ready():
                    unloaded += 1
                    continue
                self._ready.set()
                unloaded = 0
                while await self._serve(worker):
                    pass
            finally:
                await worker.end()

    async def _serve(self, worker: Worker) -> bool:
        """One request; False where the worker must be replaced."""
        job = await self._next(worker)
        if job is None:
            log.warning("A worker ended by itself; it is replaced.")
            return False
        try:
            await worker.answer(job, self._seconds)
        except Failed as failed:
            log.warning("%s It is replaced.", failed)
            await job.tell(frames.BROKEN, str(failed).encode())
            return False
        return True

    async def _next(self, worker: Worker) -> Job | None:
        """None where the idle worker ends instead; who has left is passed over."""
        while True:
            getting = asyncio.ensure_future(self._jobs.get())
            try:
                either: set[asyncio.Future[Any]] = {getting, worker.over}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # A request that was just taken goes back: this worker cannot answer it.
                if not getting.done():
                    getting.cancel()
                elif worker.over.done():
                    self._jobs.put_nowait(getting.result())
            if worker.over.done():
                return None
            if not getting.result().left:
                return getting.result()


def failure(failed: Failed) -> tuple[int, bytes, str]:
    """Status, body and content type, as the multi-model server answers for a worker that is no more."""
    said = fault(500, str(failed))
    assert isinstance(said.body, bytes)
    return said.status, said.body, said.content_type
