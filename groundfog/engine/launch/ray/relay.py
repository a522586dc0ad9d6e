"""Between the hosts' directories on the server and their actors on the nodes: `python -m ...relay RUNS DESK ADDRESS`.

A process of its own: Ray ends a process that loses its cluster, and that must not be the server. Ends when the server
is gone (standard input says so) and no host is left, or when the cluster cannot be reached; another goes on from what
stands in the directories.
"""

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

from groundfog.engine.launch.ray import changes, parcels
from groundfog.engine.launch.ray.desk import Desk
from groundfog.engine.launch.ray.group import Group, give_up
from groundfog.engine.launch.ray.mirror import Mirror, Order
from groundfog.engine.launch.ray.node import News, Node, to_json
from groundfog.engine.launch.ray.tunnel import serve

SPACE = "groundfog"
"""The namespace of our actors' names."""
_GLANCE = 0.1
_LISTEN = 0.5
"""Seconds that a node waits for something to happen before it says that nothing has."""
_SAVE_EVERY = 10.0
"""Seconds between two copies of a host's checkpoints."""
_UNAVAILABLE = 30.0
"""Seconds in which a node that is out of reach may come back."""
_PROMPT = 2.0
"""Seconds in which an actor answers, if a node has it."""
_WRITTEN = ("opt_ml/model", "opt_ml/checkpoints", "opt_ml/output")

_log = logging.getLogger("groundfog.relay")


class Stopped(Exception):
    """Before a node had taken it."""


class Relay:
    def __init__(self, runs: Path, desk: Desk, server: "Server") -> None:
        self._runs, self._desk, self._server = runs, desk, server
        self._hosts: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[Path, asyncio.Task[None]] = {}

    async def run(self) -> None:
        while not self._server.gone or self._hosts or self._leaving:
            self._desk.see()
            self._take_on()
            self._let_go()
            await asyncio.sleep(_GLANCE)

    def _take_on(self) -> None:
        for name in [name for name, host in self._hosts.items() if host.done()]:
            self._hosts.pop(name)
        for directory in self._runs.iterdir():
            mirror = Mirror(directory)
            actor = mirror.actor if mirror.awaited else ""
            if actor not in ("", *self._hosts):
                self._hosts[actor] = asyncio.create_task(_see_through(mirror, actor))

    def _let_go(self) -> None:
        for note in self._desk.dismissed:
            if note not in self._leaving:
                self._leaving[note] = asyncio.create_task(asyncio.to_thread(_see_off, note))
        self._leaving = {note: leaving for note, leaving in self._leaving.items() if not leaving.done()}


def _see_off(note: Path) -> None:
    _dismiss(note.name)
    give_up(note.name)
    note.unlink(missing_ok=True)


async def _see_through(mirror: Mirror, actor: str) -> None:
    """One host, from wherever it is to its end."""
    with contextlib.suppress(FileNotFoundError):  # It may be removed at any time.
        try:
            await Seeing(mirror).run()
        except Stopped:
            mirror.end({"exit_code": 143, "because": "stopped", "started": time.time(), "ended": time.time()})
        except FileNotFoundError:
            raise
        except Exception as why:
            _log.warning("host %s is lost", actor, exc_info=True)
            if mirror.actor == actor:
                mirror.lose(f"{type(why).__name__}: {why}")
    await asyncio.to_thread(_dismiss, actor)


class Seeing:
    """One host's way: placed, given what it needs, listened to, and what it leaves taken home."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror, self._order = mirror, mirror.order
        self._actor: Any = None
        self._kept = changes.kept(self._order["program"])
        self._brought: changes.Marks | None = None
        """What there was when changes were last brought home."""
        self._saved, self._saved_at = "", 0.0
        self._parcel = mirror.directory / "parcel.tar"
        self._serving: asyncio.Server | None = None

    async def run(self) -> None:
        self._actor = await asyncio.to_thread(_find, self._mirror) or await self._place()
        if not await self._ask("has_begun"):
            await self._send()
            await self._ask("begin", {**self._order, "addresses": await self._others()})
        try:
            news = await self._listen()
        finally:
            if self._serving is not None:
                self._serving.close()
        ran = news.host.started != news.host.ended
        if ran and self._serving is None:
            await self._bring_home(changes.outermost([*_WRITTEN, *self._kept]))
        self._mirror.end(to_json(news.host), news.failure)

    async def _place(self) -> Any:
        """Waits for a node with room for it. Raises Stopped."""
        while not await asyncio.to_thread(_most, "CPU"):
            if self._mirror.stopped:
                raise Stopped
            await asyncio.sleep(1)
        actor = await asyncio.to_thread(_make, self._mirror, self._order)
        taken = asyncio.ensure_future(_answer(actor.hello.remote()))
        while not taken.done():
            await asyncio.wait([taken], timeout=_GLANCE)
            if self._mirror.stopped and not taken.done():
                taken.cancel()
                raise Stopped
        self._mirror.place(taken.result())
        return actor

    async def _others(self) -> tuple[str, ...]:
        """Where the job's hosts are, once all are placed. Raises Stopped."""
        group = Group(self._mirror)
        while not group.is_alone:
            if addresses := group.addresses():
                return addresses
            if self._mirror.stopped:
                raise Stopped
            await asyncio.sleep(_GLANCE)
        return ()

    async def _send(self) -> None:
        directory = self._mirror.directory
        inside = [f"opt_ml/{entry.name}" for entry in os.scandir(self._mirror.layout.root)]
        folders = changes.outermost([*inside, *self._kept])
        await asyncio.to_thread(parcels.wrap, directory, folders, self._parcel)
        offset = 0
        await self._ask("take", 0, b"")
        while piece := parcels.take(self._parcel, offset):
            await self._ask("take", offset, piece)
            offset += len(piece)
        self._parcel.unlink()

    async def _listen(self) -> News:
        """What it says, until it has ended."""
        told = False
        while True:
            if self._mirror.stopped and not told:
                await self._ask("stop")
                told = True
            offset = self._mirror.log.stat().st_size - self._order["log"]
            patience = _LISTEN if told else _GLANCE
            began, served = self._mirror.began is not None, self._serving is not None
            news: News = await self._ask("look", offset, began, served, patience)
            self._mirror.say(news.lines)
            if news.port and not served:
                self._serving = await serve(self._mirror, news.port, self._order["word"])
            if news.host.started is not None:
                self._mirror.begin(news.host.started)
            if news.host.phase == "lost":
                if self._mirror.began is not None:
                    await self._bring_changes()
                raise LookupError(news.failure or "the program's agent is gone")
            if news.host.phase == "exited" and not news.lines:
                return news
            await self._save(news.saved)

    async def _save(self, saved: str) -> None:
        """The checkpoints, so that another node can go on from them, and whatever else is wanted."""
        now = asyncio.get_running_loop().time()
        if saved != self._saved and now - self._saved_at > _SAVE_EVERY:
            await self._bring_changes()
            self._saved, self._saved_at = saved, now

    async def _bring_changes(self) -> None:
        brought = await self._ask("wrap_changes", self._kept, self._brought)
        await self._fetch()
        await asyncio.to_thread(changes.merge, self._parcel, self._mirror.directory, self._kept, brought)
        self._brought = brought
        self._parcel.unlink()

    async def _bring_home(self, folders: list[str]) -> None:
        await self._ask("wrap", folders)
        await self._fetch()
        await asyncio.to_thread(parcels.unwrap, self._parcel, self._mirror.directory, folders)
        self._parcel.unlink()

    async def _fetch(self) -> None:
        """The parcel that the node has wrapped."""
        offset = 0
        parcels.put(self._parcel, 0, b"")
        while piece := await self._ask("give", offset):
            await asyncio.to_thread(parcels.put, self._parcel, offset, piece)
            offset += len(piece)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        """Raises RayActorError if the node is lost."""
        end = asyncio.get_running_loop().time() + _UNAVAILABLE
        while True:
            try:
                return await _answer(getattr(self._actor, method).remote(*arguments))
            except ActorUnavailableError:
                if asyncio.get_running_loop().time() > end:
                    raise
                await asyncio.sleep(1)


async def _answer(reference: Any) -> Any:
    return await reference


def _find(mirror: Mirror) -> Any:
    """The actor of this attempt; None if there never was one. Raises LookupError if there was."""
    try:
        return ray.get_actor(mirror.actor, namespace=SPACE)
    except ValueError:
        if mirror.placed:
            raise LookupError("its actor is gone") from None
        return None


def _make(mirror: Mirror, order: Order) -> Any:
    for earlier in mirror.actors[:-1]:
        _dismiss(earlier)
        give_up(earlier)
    program = order["program"]
    wanted = {"CPU": min(program["cpus"], _most("CPU")), "GPU": min(program["gpus"], _most("GPU"))}
    return (
        ray.remote(Node)
        .options(
            name=mirror.actor,
            namespace=SPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=0,
            max_concurrency=8,
            num_cpus=wanted["CPU"],
            num_gpus=wanted["GPU"],
            scheduling_strategy=Group(mirror).place(wanted),
        )
        .remote(mirror.actor)
    )


def _most(kind: str) -> float:
    """What the largest node has: more than that is never had, however long one waits."""
    return max((node["Resources"].get(kind, 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)


def _dismiss(name: str) -> None:
    try:
        actor = ray.get_actor(name, namespace=SPACE)
    except ValueError:
        return
    try:
        if ray.wait([actor.hello.remote()], timeout=_PROMPT)[0]:
            ray.get(actor.remove.remote(), timeout=_UNAVAILABLE)
    except (RayActorError, RayTaskError, GetTimeoutError):
        _log.warning("host %s did not clear up", name, exc_info=True)
    ray.kill(actor)


class Server:
    """It says nothing, but is heard to go. There is no use in a relay without a server and a cluster."""

    def __init__(self) -> None:
        self.gone = self.dispensable = False
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        while os.read(0, 512):
            pass
        self.gone = True
        if not self.dispensable:
            os._exit(0)


def _connect(address: str) -> None:
    """Patiently: it may be about to start."""
    end = time.monotonic() + _UNAVAILABLE
    while True:
        try:
            ray.init(address, namespace=SPACE, log_to_driver=False, logging_level=logging.WARNING)
            return
        except ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


def main(runs: str, desk: str, address: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    server = Server()
    _connect(address)
    server.dispensable = True
    asyncio.run(Relay(Path(runs), Desk(Path(desk)), server).run())
    # Ray takes its time to say goodbye, and the next relay waits for the lock.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
