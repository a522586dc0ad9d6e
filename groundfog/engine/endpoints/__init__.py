"""Endpoints: model servers that are kept alive, and requests that find one.

    Endpoints     create, update, delete: a row is written, and its supervisor told to look
    supervise     one endpoint: bring a deployment up, switch to it, let the old one leave
    seat          one instance of a variant: start a replica, watch it, replace it
    furnishing    what a replica has before it starts: model, code, environment
    replica       one model server: its directory, its socket, its health
    line          connections to it, and answers as they come
    routing       which replica answers
    deployment    what is to run
    ledger        what is measured

The supervisors share one thread with an event loop of its own. Invocations run on the server's loop and only read
the routes.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from groundfog.engine.endpoints.deployment import Deployment, Queueing, Variant
from groundfog.engine.endpoints.furnishing import Furnisher
from groundfog.engine.endpoints.ledger import Ledger, Seated, Visit
from groundfog.engine.endpoints.line import Answering, Body, Reply, TooSlow, Unanswered, Unreached
from groundfog.engine.endpoints.replica import Replica
from groundfog.engine.endpoints.routing import UnknownVariant
from groundfog.engine.endpoints.seat import House, Pace, log_group, wait_until
from groundfog.engine.endpoints.supervise import IN_PROGRESS, SERVING, Supervisor, running_of, wanted_of
from groundfog.engine.environments import Environments
from groundfog.engine.errors import Busy, EngineError, Missing, Unreachable
from groundfog.engine.launch import Launcher
from groundfog.engine.measurements import Measurements
from groundfog.engine.objects import Objects
from groundfog.engine.resources import Document, Resource, Resources

if TYPE_CHECKING:
    from groundfog.engine.logs import Logs

__all__ = [
    "Answer",
    "Answering",
    "Deployment",
    "Endpoints",
    "Pace",
    "Question",
    "Queueing",
    "Reply",
    "TooSlow",
    "Unanswered",
    "Unhealthy",
    "UnknownVariant",
    "Unreached",
    "Variant",
    "log_group",
    "running_of",
    "wanted_of",
]

Told = TypeVar("Told")
STATUSES = (*IN_PROGRESS, "InService", "Deleting", "Failed")
_GOODBYE = 3.0
"""Seconds that the replicas are waited for when the server ends."""


class Unhealthy(EngineError):
    """No replica of the endpoint can answer at the moment."""


@dataclass(frozen=True)
class Question:
    body: Body
    headers: Mapping[str, str]
    variant: str | None = None
    """Whose replicas are asked; None: one is drawn, by their weights."""
    since: float | None = None
    """When it came, by the monotonic clock; None: now."""


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[Told]):
    """What a replica answered, and where it sits."""

    variant: str
    stream: str
    reply: Told


class Endpoints:
    def __init__(
        self,
        resources: Resources,
        objects: Objects,
        launcher: Launcher,
        logs: "Logs",
        *,
        environments: Environments | None = None,
        measurements: Measurements | None = None,
        wait: float = 5.0,
        pace: Pace | None = None,
    ) -> None:
        self._resources, self._wait, self._pace = resources, wait, pace or Pace()
        furnisher = Furnisher(objects, environments)
        self._house = House(resources=resources, furnisher=furnisher, launcher=launcher, logs=logs, pace=self._pace)
        self._ledger = Ledger(measurements)
        self._keeping: Future[None] | None = None
        self._live: dict[str, Supervisor] = {}
        self._tasks: dict[str, Future[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._supervise, name="endpoints", daemon=True)

    def start(self) -> None:
        """Take up what the last server left: its replicas, where they still run."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        for endpoint in self._resources.in_status("endpoint", *STATUSES):
            self._look_after(endpoint)
        self._keeping = asyncio.run_coroutine_threadsafe(self._ledger.keep(self._seated), self._loop)

    def close(self, *, stop_replicas: bool = True) -> None:
        """With `stop_replicas=False` they run on, and the next server finds them."""
        if self._loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._leave(stop_replicas), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop = None

    def create(self, name: str, deployment: Deployment, tags: dict[str, str]) -> Resource:
        """Raises Taken."""
        document: Document = {"running": None, "wanted": deployment.to_json(), "failure": None, "replicas": []}

        def add() -> Resource:
            endpoint = self._resources.add("endpoint", name, document, status="Creating", tags=tags)
            self._look_after(endpoint)
            return endpoint

        return self._in_turn(add)

    def update(self, name: str, deployment: Deployment) -> Resource:
        """Beside the running deployment, then instead of it. Raises Missing, and Busy unless it is in service."""
        document = {"wanted": deployment.to_json(), "failure": None}
        return self._change(name, lambda before: {**before, **document}, "Updating", ("InService",))

    def adjust(self, name: str, weights: Mapping[str, float], instances: Mapping[str, int]) -> Resource:
        """Other shares or sizes for some variants. Raises Missing, UnknownVariant, and Busy unless it is in service."""

        def change(document: Document) -> Document:
            running = running_of(document)
            if running is None:
                return document
            known = {variant.name for variant in running.variants}
            for variant in (*weights, *instances):
                if variant not in known:
                    raise UnknownVariant(variant)
            return {**document, "wanted": running.adjusted(weights, instances).to_json(), "failure": None}

        return self._change(name, change, "Updating", ("InService",))

    def delete(self, name: str) -> None:
        """Requests that run are answered still. Raises Missing, and Busy while it is created or updated."""
        self._change(name, lambda document: document, "Deleting", ("InService", "Failed"))

    def instances(self, name: str) -> dict[str, int]:
        """How many can answer now, by variant."""
        supervisor = self._live.get(name)
        return {} if supervisor is None else supervisor.routes.healthy()

    def queueing(self, name: str) -> Queueing | None:
        """How it takes requests; None where it answers at once, and where there is none of this name."""
        supervisor = self._live.get(name)
        return None if supervisor is None else supervisor.queueing

    async def until_settled(self, name: str) -> None:
        """Wait for the end of what was just asked for, but not longer than the setting says."""

        def settled() -> bool:
            supervisor = self._live.get(name)
            return supervisor is None or supervisor.status not in (*IN_PROGRESS, "Deleting")

        await wait_until(settled, self._wait)

    async def invoke(self, name: str, question: Question) -> Answer[Reply]:
        """Raises Missing, Busy where the endpoint is not in service, UnknownVariant, Unhealthy and Unanswered."""

        def ask(replica: Replica, left: float) -> Awaitable[Reply]:
            return replica.call(question.body, question.headers, left)

        answer, visit = await self._ask(name, question, self._pace.answer, ask)
        visit.end(answer.reply.status)
        return answer

    async def stream(self, name: str, question: Question, seconds: float | None = None) -> Answer[Answering]:
        """The same, but the answer as it comes; its end may be as many seconds away."""

        def ask(replica: Replica, left: float) -> Awaitable[Answering]:
            return replica.ask(question.body, question.headers, left)

        answer, visit = await self._ask(name, question, seconds or self._pace.stream, ask)
        answer.reply.when_over(lambda: visit.end(answer.reply.status))
        return answer

    async def _ask(
        self,
        name: str,
        question: Question,
        seconds: float,
        ask: Callable[[Replica, float], Awaitable[Told]],
    ) -> tuple[Answer[Told], Visit]:
        """A request is tried twice where the connection broke: its replica may just have died."""
        supervisor = self._live.get(name)
        if supervisor is None:
            raise Missing(name)
        if supervisor.status not in SERVING:
            raise Busy(supervisor.status)
        began = time.monotonic()
        chosen, replica = await self._choose(supervisor, question.variant, None)
        visit = self._ledger.visit(name, chosen, max(1, supervisor.routes.instances(chosen)), question.since or began)
        try:
            try:
                reply = await ask(replica, seconds)
            except Unreached:
                chosen, replica = await self._choose(supervisor, question.variant, replica)
                reply = await ask(replica, max(0.1, began + seconds - time.monotonic()))
        except EngineError:
            visit.end()
            raise
        return Answer(variant=chosen, stream=f"{chosen}/{replica.name}", reply=reply), visit

    async def _choose(self, supervisor: Supervisor, variant: str | None, avoid: Replica | None) -> tuple[str, Replica]:
        """A replica that was lost is being replaced, so it is worth a moment's wait. Raises Unhealthy."""

        def choose() -> tuple[str, Replica] | None:
            return supervisor.routes.choose(variant, () if avoid is None else (avoid,))

        found = choose()
        if found is None and await wait_until(lambda: choose() is not None, self._pace.patience):
            found = choose()
        if found is None:
            raise Unhealthy(supervisor.name)
        return found

    def _change(
        self, name: str, change: Callable[[Document], Document], status: str, only_from: Collection[str]
    ) -> Resource:
        def apply() -> Resource:
            changed = self._resources.change("endpoint", name, change, status=status, only_from=only_from)
            self._live[name].look(status)
            return changed

        return self._in_turn(apply)

    def _in_turn(self, do: Callable[[], Resource]) -> Resource:
        """On the supervising loop, so that row and supervisor change together."""
        assert self._loop is not None, "start() comes first"

        async def turn() -> Resource:
            return do()

        return asyncio.run_coroutine_threadsafe(turn(), self._loop).result()

    def _look_after(self, endpoint: Resource) -> None:
        assert self._loop is not None, "start() comes first"
        supervisor = Supervisor(endpoint, self._house, self._forget)
        self._live[endpoint.name] = supervisor
        self._tasks[endpoint.name] = asyncio.run_coroutine_threadsafe(supervisor.run(), self._loop)

    def _seated(self) -> Iterator[Seated]:
        for supervisor in list(self._live.values()):
            for variant, replica in supervisor.routes.sitting():
                yield supervisor.name, variant, replica

    def _forget(self, name: str) -> None:
        self._live.pop(name, None)
        self._tasks.pop(name, None)

    def _supervise(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _leave(self, stop_replicas: bool) -> None:
        for task in (*self._tasks.values(), *filter(None, (self._keeping,))):
            task.cancel()
        await asyncio.sleep(0)
        leaving = [one.switch_off(_GOODBYE, stop=stop_replicas) for one in list(self._live.values())]
        await asyncio.gather(*leaving, return_exceptions=True)
        with contextlib.suppress(Unreachable):
            await asyncio.to_thread(self._ledger.write)
