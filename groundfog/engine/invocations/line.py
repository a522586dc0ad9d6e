"""The line before one endpoint: first come, first served, so many at a time."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from groundfog.engine.errors import Missing
from groundfog.engine.invocations.invocation import Invocation

log = logging.getLogger(__name__)

_GLANCE = 0.2
"""Seconds between two looks for room, where there is none: instances come and go without saying so."""

Do = Callable[[str, Invocation], Awaitable[None]]


class Line:
    """Ends when nobody waits or runs any more. `room` raises Missing where the endpoint is no more."""

    def __init__(self, room: Callable[[], int], do: Do) -> None:
        self._room, self._do = room, do
        self._waiting: deque[tuple[str, Invocation]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self.over = asyncio.ensure_future(self._keep())

    def stand(self, name: str, invocation: Invocation) -> None:
        self._waiting.append((name, invocation))
        self._begin()

    async def close(self) -> None:
        """What runs is broken off."""
        tasks = (self.over, *self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self) -> None:
        while self._waiting or self._running:
            await asyncio.sleep(_GLANCE)
            self._begin()

    def _begin(self) -> None:
        """Those there is room for, and those whose time is over: they need none."""
        room = self._places()
        while self._waiting and (len(self._running) < room or self._waiting[0][1].is_expired):
            task = asyncio.ensure_future(self._run(*self._waiting.popleft()))
            self._running.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not self.over.done():
            self._begin()

    def _places(self) -> float:
        """All at once, where nobody will answer them: they are told so."""
        try:
            return self._room()
        except Missing:
            return float("inf")

    async def _run(self, name: str, invocation: Invocation) -> None:
        try:
            await self._do(name, invocation)
        except Exception:
            log.exception("Invocation %s of endpoint %s is left to the next server.", name, invocation.endpoint)
