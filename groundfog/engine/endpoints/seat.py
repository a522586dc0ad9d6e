"""A seat: one instance of a variant. While it is kept there is a healthy replica in it, or one on its way."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groundfog.engine.endpoints.deployment import Variant
from groundfog.engine.endpoints.furnishing import Furnisher, Unfurnished
from groundfog.engine.endpoints.replica import Replica
from groundfog.engine.launch import Launcher, Program
from groundfog.engine.resources import Document, Resources

if TYPE_CHECKING:
    from groundfog.engine.logs import Logs

log = logging.getLogger(__name__)

What = Literal["model", "archive", "code", "environment", "ping", "start"]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds, unless it says otherwise. The defaults are AWS's where AWS has one."""

    start: float = 240
    """From the start of a replica to its first good ping."""
    check: float = 1
    """Between two pings of a healthy replica."""
    ping: float = 2
    """For one ping."""
    misses: int = 3
    """So many bad pings in a row, and it is replaced."""
    attempts: int = 2
    """So many replicas that never got well, and the deployment has failed."""
    backoff: float = 0.5
    """Before the next replica; doubled after each failure."""
    longest_backoff: float = 30
    answer: float = 60
    """For one invocation."""
    stream: float = 480
    """For one whose answer is read as it comes, until its end."""
    patience: float = 2
    """How long an invocation waits for a healthy replica to appear."""


@dataclass(frozen=True, kw_only=True)
class House:
    """What every endpoint needs."""

    resources: Resources
    furnisher: Furnisher
    launcher: Launcher
    logs: "Logs"
    pace: Pace


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why there is no healthy replica.

    `model`: its archive is not there; `archive`: it cannot be unpacked; `code`, `environment`: the user's script and
    what it needs cannot be had; `ping`: the program never said that it is
    ready; `start`: it could not even be started.
    """

    what: What
    variant: str
    model: tuple[str, str] | None
    detail: str
    """What was said about it: the reason, or the program's last line."""


class Seat:
    """Everything here runs on the supervising loop. Each directory is recorded before anything starts in it."""

    def __init__(
        self, endpoint: str, variant: Variant, generation: str, house: House, adopted: Replica | None = None
    ) -> None:
        self.variant, self.generation, self.replica = variant, generation, adopted
        self.failures = 0
        """Replicas in a row that never got well."""
        self.failure: Failure | None = None
        self._endpoint, self._house = endpoint, house
        self._keeping: asyncio.Task[None] | None = None
        self._step: asyncio.Task[None] | None = None
        self._abandoned = False

    @property
    def healthy(self) -> bool:
        return self.replica is not None and self.replica.healthy

    def keep(self) -> None:
        self._keeping = asyncio.create_task(self._keep())

    async def leave(self) -> None:
        """Finish the requests that run, and end. Others must have stopped choosing it."""
        await self.abandon()
        replica = self.replica
        if replica is None:
            return
        replica.healthy = False
        await wait_until(lambda: replica.outstanding == 0, self._house.pace.answer)
        await self._stop(replica, self.variant.program.grace_seconds + 5)
        await self._remove(replica)

    async def abandon(self) -> None:
        """Keep it no longer; the replica runs on."""
        self._abandoned = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        if self._step is not None:
            await asyncio.wait({self._step})

    async def switch_off(self, seconds: float) -> None:
        """Stop the replica; where it takes longer than this, the record says that it is not to be adopted."""
        await self.abandon()
        if self.replica is not None:
            self._record(self.replica, stopped=True)
            self.replica.hang_up()
            if await self._stop(self.replica, seconds):
                await self._remove(self.replica)

    async def _keep(self) -> None:
        while True:
            if await self._settle():
                self.failures, self.failure = 0, None
                await self._until_ill()
            else:
                self.failures += 1
            if self.replica is not None:
                await self._whole(self._remove(self.replica))
            pause = self._house.pace.backoff * 2 ** max(0, self.failures - 1)
            await asyncio.sleep(min(pause, self._house.pace.longest_backoff) if self.failures else 0)

    async def _settle(self) -> bool:
        """Whether there is a healthy replica now; otherwise the failure says why not."""
        try:
            if self.replica is None:
                await self._whole(self._start())
            return await self._until_healthy()
        except _Unstartable as unstartable:
            self.failure = unstartable.failure
        except Exception as problem:
            log.exception("A replica of endpoint %s did not start.", self._endpoint)
            self.failure = self._failure("start", str(problem))
        return False

    async def _whole(self, step: Coroutine[Any, Any, None]) -> None:
        """Not to be broken off half-way: that would leave a process that nobody knows. `abandon` waits for it."""
        self._step = asyncio.create_task(step)
        await asyncio.shield(self._step)

    async def _start(self) -> None:
        replica = Replica(await asyncio.to_thread(self._house.launcher.make))
        self._record(replica)
        self.replica = replica
        self._house.logs.attach(*self._stream(replica), replica.log)
        program = await asyncio.to_thread(self._furnish, replica)
        await asyncio.to_thread(self._house.launcher.start, replica.directory, program)

    def _furnish(self, replica: Replica) -> Program:
        try:
            return self._house.furnisher.furnish(replica, self.variant, lambda: self._abandoned)
        except Unfurnished as lacking:
            raise self._unstartable(lacking.what, str(lacking)) from None

    async def _until_healthy(self) -> bool:
        replica, pace = self.replica, self._house.pace
        assert replica is not None
        deadline = time.monotonic() + (self.variant.start_seconds or pace.start)
        step = 0.01
        while time.monotonic() < deadline:
            if await replica.ping(pace.ping):
                replica.healthy = True
                return True
            if self._ended(replica):
                break
            await asyncio.sleep(step)
            step = min(step * 1.3, 0.25)
        raise self._unstartable("ping", _last_line(replica.log))

    async def _until_ill(self) -> None:
        replica, pace = self.replica, self._house.pace
        assert replica is not None
        missed = 0
        while missed < pace.misses:
            await asyncio.sleep(pace.check)
            if self._ended(replica):
                log.warning("Replica %s of endpoint %s ended by itself.", replica.name, self._endpoint)
                return
            if await replica.ping(pace.ping):
                missed, replica.healthy = 0, True
            else:
                missed += 1
        log.warning("Replica %s of endpoint %s no longer answers its pings.", replica.name, self._endpoint)

    async def _stop(self, replica: Replica, seconds: float) -> bool:
        self._house.launcher.stop(replica.directory)
        return await wait_until(lambda: self._ended(replica), seconds)

    async def _remove(self, replica: Replica) -> None:
        replica.healthy = False
        replica.hang_up()
        await asyncio.to_thread(remove, self._house, self._endpoint, replica)
        if self.replica is replica:
            self.replica = None

    def _ended(self, replica: Replica) -> bool:
        return self._house.launcher.poll(replica.directory).phase in ("exited", "lost")

    def _record(self, replica: Replica, *, stopped: bool = False) -> None:
        record = {
            "name": replica.name,
            "directory": str(replica.directory),
            "generation": self.generation,
            "variant": self.variant.name,
            "stopped": stopped,
        }
        self._house.resources.change("endpoint", self._endpoint, lambda document: _with(document, replica, record))

    def _stream(self, replica: Replica) -> tuple[str, str]:
        return log_group(self._endpoint), f"{self.variant.name}/{replica.name}"

    def _unstartable(self, what: What, detail: str) -> "_Unstartable":
        return _Unstartable(self._failure(what, detail))

    def _failure(self, what: What, detail: str) -> Failure:
        return Failure(what=what, variant=self.variant.name, model=self.variant.model, detail=detail)


class _Unstartable(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what)
        self.failure = failure


def log_group(endpoint: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def remove(house: House, endpoint: str, replica: Replica) -> None:
    """Kill what runs there, delete the directory, and only then forget that it was."""
    house.launcher.remove(replica.directory)
    house.resources.change("endpoint", endpoint, lambda document: _with(document, replica, None))


def _with(document: Document, replica: Replica, record: Document | None) -> Document:
    others = [one for one in document["replicas"] if one["name"] != replica.name]
    return {**document, "replicas": others if record is None else [*others, record]}


async def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in so many seconds. What is waited for happens in other threads and processes."""
    deadline = time.monotonic() + seconds
    while not (so := true()) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return so


def _last_line(file: Path) -> str:
    """What a program said last; nothing where it said nothing."""
    try:
        with file.open("rb") as written:
            written.seek(max(0, file.stat().st_size - 4096))
            lines = written.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    said = (line.partition("\t")[2].strip() for line in reversed(lines))
    return next((line for line in said if line), "")
