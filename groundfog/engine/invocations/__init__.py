"""Requests that wait in line for an endpoint, and whose answers become objects.

Each is a row before it is acknowledged, and goes when its answer is an object: a server that dies in between leaves
the row to the next one, which asks again. So an answer may be made twice, and is never lost.

    Invocation    one request: what is asked, where the answer goes, how long it may take
    Invocations   the rows, and a line for each endpoint
    line          which of an endpoint's requests run now
    carrying      one request: to the model, and its answer to its place
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict

from groundfog.engine.endpoints import Endpoints
from groundfog.engine.errors import Missing
from groundfog.engine.invocations.carrying import Carrier
from groundfog.engine.invocations.invocation import Invocation
from groundfog.engine.invocations.line import Line
from groundfog.engine.logs import Logs
from groundfog.engine.objects import Objects
from groundfog.engine.resources import Resources

__all__ = ["Invocation", "Invocations"]

KIND = "invocation"
_WAITING = "Waiting"


class Invocations:
    """Lives on the server's event loop, as the lines to the replicas do."""

    def __init__(self, resources: Resources, objects: Objects, endpoints: Endpoints, logs: Logs) -> None:
        self._resources, self._endpoints = resources, endpoints
        self._carrier = Carrier(objects, endpoints, logs)
        self._lines: dict[str, Line] = {}

    def start(self) -> None:
        """Go on with what an earlier server left. On the event loop."""
        for resource in self._resources.in_status(KIND, _WAITING):
            self._stand(resource.name, Invocation.read(resource.document))

    async def close(self) -> None:
        """What runs is broken off, and asked again by the next server."""
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(line.close() for line in lines))

    async def submit(self, name: str, invocation: Invocation) -> None:
        """It is done from here on, whatever happens to this server. Raises Taken."""
        await asyncio.to_thread(self._resources.add, KIND, name, asdict(invocation), status=_WAITING, tags={})
        self._stand(name, invocation)

    def _stand(self, name: str, invocation: Invocation) -> None:
        line = self._lines.get(invocation.endpoint)
        if line is None or line.over.done():
            line = self._lines[invocation.endpoint] = Line(lambda: self._room(invocation.endpoint), self._do)
        line.stand(name, invocation)

    def _room(self, endpoint: str) -> int:
        """How many may run at a time now. Raises Missing."""
        queueing = self._endpoints.queueing(endpoint)
        if queueing is None:
            raise Missing(endpoint)
        return queueing.at_once * sum(self._endpoints.instances(endpoint).values())

    async def _do(self, name: str, invocation: Invocation) -> None:
        await self._carrier.carry(invocation)
        with contextlib.suppress(Missing):
            await asyncio.to_thread(self._resources.delete, KIND, name)
