"""An endpoint's life: Creating, InService, Updating, Deleting, as its row says.

Every change is in the row before it is done, so a server that was killed reads there what to go on with: the
deployment that `running` names serves, the one that `wanted` names is being brought up beside it, and a replica
that belongs to neither is removed.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from groundfog.engine.endpoints.deployment import Deployment, Queueing, Variant
from groundfog.engine.endpoints.replica import Replica
from groundfog.engine.endpoints.routing import Routes
from groundfog.engine.endpoints.seat import Failure, House, Seat, remove
from groundfog.engine.resources import Document, Resource

log = logging.getLogger(__name__)

IN_PROGRESS = ("Creating", "Updating", "RollingBack")
SERVING = ("InService", "Updating", "RollingBack")


class Supervisor:
    """One endpoint. Any thread may read `status`, `routes` and `queueing`; the rest is the supervising loop's."""

    def __init__(self, endpoint: Resource, house: House, gone: Callable[[str], None]) -> None:
        self.name, self.status, self.routes = endpoint.name, endpoint.status, Routes({}, {})
        self.queueing: Queueing | None = None
        self._house, self._gone = house, gone
        self._news, self._over = asyncio.Event(), False
        self._seats: list[Seat] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._orphans: list[Replica] = []
        self._adopt(endpoint)

    async def run(self) -> None:
        """Until the endpoint is deleted."""
        for orphan in self._orphans:
            await asyncio.to_thread(remove, self._house, self.name, orphan)
        for seat in self._seats:
            seat.keep()
        while not self._over:
            try:
                await self._step()
            except Exception:
                log.exception("Endpoint %s cannot be looked after; trying again.", self.name)
                await asyncio.sleep(1)

    def look(self, status: str) -> None:
        """The row has changed. On the supervising loop."""
        self.status = status
        self._news.set()

    async def switch_off(self, seconds: float, *, stop: bool) -> None:
        """For the end of the server."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=seconds)
        await asyncio.gather(*(seat.switch_off(seconds) if stop else seat.abandon() for seat in self._seats))
        for seat in self._seats:
            if seat.replica is not None:
                seat.replica.hang_up()

    def _adopt(self, endpoint: Resource) -> None:
        """Seats for the replicas that ran when the server ended."""
        lives = endpoint.status in (*IN_PROGRESS, "InService")
        running = running_of(endpoint.document) if lives else None
        wanted = wanted_of(endpoint.document) if lives else None
        for record in endpoint.document["replicas"]:
            replica = Replica(Path(record["directory"]), record["name"])
            variant = _variant([running, wanted], record["generation"], record["variant"])
            runs = self._house.launcher.poll(replica.directory).phase == "running"
            if variant is None or record["stopped"] or not runs:
                self._orphans.append(replica)
            else:
                self._seats.append(Seat(self.name, variant, record["generation"], self._house, replica))
        if running is not None:
            self._fill_seats(running, keep=False)
            self._route(running)

    async def _step(self) -> None:
        self._news.clear()
        endpoint = self._house.resources.find("endpoint", self.name)
        self.status = endpoint.status
        if endpoint.status in ("Creating", "Updating"):
            await self._deploy(endpoint)
        elif endpoint.status == "RollingBack":
            await self._roll_back()
        elif endpoint.status == "Deleting":
            await self._delete()
        else:
            await self._news.wait()

    async def _deploy(self, endpoint: Resource) -> None:
        """Bring up what is wanted, then switch to it at once."""
        wanted = wanted_of(endpoint.document)
        assert wanted is not None
        failure = await self._until_up(self._fill_seats(wanted))
        if failure is None:
            # Routed before it is recorded: whoever reads InService can invoke at once.
            self._route(wanted)
            self._record("InService", running=wanted.to_json(), wanted=None, failure=None)
            self._clear_out([wanted])
        elif endpoint.status == "Updating":
            self._record("RollingBack", wanted=None, failure=dataclasses.asdict(failure))
        else:
            self._record("Failed", failure=dataclasses.asdict(failure))
            self._clear_out([])

    async def _roll_back(self) -> None:
        running = running_of(self._house.resources.find("endpoint", self.name).document)
        assert running is not None
        self._route(running)
        self._clear_out([running])
        self._record("InService")

    async def _delete(self) -> None:
        self.routes = Routes({}, {})
        self._clear_out([])
        while self._leaving:
            await asyncio.wait(self._leaving)
        # In one turn: the name's next owner comes onto the list when we are off it, and is told so no sooner.
        self._house.resources.delete("endpoint", self.name)
        self._gone(self.name)
        self._over = True

    def _fill_seats(self, deployment: Deployment, *, keep: bool = True) -> list[Seat]:
        """The seats of a deployment, as many as it wants."""
        for variant in deployment.variants:
            for _ in range(variant.instances - len(self._seats_of(deployment, variant))):
                seat = Seat(self.name, variant, deployment.generation, self._house)
                self._seats.append(seat)
                if keep:
                    seat.keep()
        return [seat for variant in deployment.variants for seat in self._seats_of(deployment, variant)]

    async def _until_up(self, seats: list[Seat]) -> Failure | None:
        """None when all are healthy; otherwise why one of them never will be."""
        while not all(seat.healthy for seat in seats):
            for seat in seats:
                if seat.failure is not None and _is_final(seat.failure, seat.failures, self._house.pace.attempts):
                    return seat.failure
            await asyncio.sleep(0.01)
        return None

    def _route(self, deployment: Deployment) -> None:
        self.queueing = deployment.queueing
        self.routes = Routes(
            {variant.name: variant.weight for variant in deployment.variants},
            {variant.name: self._seats_of(deployment, variant)[: variant.instances] for variant in deployment.variants},
        )

    def _clear_out(self, staying: Iterable[Deployment]) -> None:
        """Seats that no deployment here wants leave when they have answered what they were asked."""
        wanted = {id(seat) for deployment in staying for seat in self._wanted_seats(deployment)}
        leaving = [seat for seat in self._seats if id(seat) not in wanted]
        self._seats = [seat for seat in self._seats if id(seat) in wanted]
        for seat in leaving:
            task = asyncio.create_task(seat.leave())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _wanted_seats(self, deployment: Deployment) -> list[Seat]:
        return [
            seat for variant in deployment.variants for seat in self._seats_of(deployment, variant)[: variant.instances]
        ]

    def _seats_of(self, deployment: Deployment, variant: Variant) -> list[Seat]:
        return [
            seat
            for seat in self._seats
            if seat.generation == deployment.generation and seat.variant.name == variant.name
        ]

    def _record(self, status: str, **fields: Document | None) -> None:
        self._house.resources.change("endpoint", self.name, lambda document: {**document, **fields}, status=status)
        self.status = status


def running_of(document: Document) -> Deployment | None:
    return None if document["running"] is None else Deployment.from_json(document["running"])


def wanted_of(document: Document) -> Deployment | None:
    return None if document["wanted"] is None else Deployment.from_json(document["wanted"])


def _variant(deployments: Iterable[Deployment | None], generation: str, name: str) -> Variant | None:
    for deployment in deployments:
        if deployment is not None and deployment.generation == generation:
            return next((variant for variant in deployment.variants if variant.name == name), None)
    return None


def _is_final(failure: Failure, failures: int, attempts: int) -> bool:
    return failure.what in ("model", "archive", "code") or failures >= attempts
