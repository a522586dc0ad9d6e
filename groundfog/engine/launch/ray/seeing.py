"""One host's way: placed, given what it needs, listened to, and what it leaves taken home."""

import asyncio
import os
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import ActorUnavailableError

from groundfog.engine.errors import Unfit
from groundfog.engine.launch.ray import actors, changes, parcels
from groundfog.engine.launch.ray.group import Group
from groundfog.engine.launch.ray.mirror import Mirror
from groundfog.engine.launch.ray.node import News, to_json
from groundfog.engine.launch.ray.tunnel import serve

_GLANCE = 0.1
_LISTEN = 0.5
"""Seconds that a node waits for something to happen before it says that nothing has."""
_SAVE_EVERY = 10.0
"""Seconds between two copies of what is kept of a host."""
_UNAVAILABLE = 30.0
"""Seconds in which a node that is out of reach may come back."""
_WRITTEN = ("opt_ml/model", "opt_ml/checkpoints", "opt_ml/output")


class Stopped(Exception):
    """Before a node had taken it."""


class Seeing:
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
        self._actor = await asyncio.to_thread(actors.find, self._mirror) or await self._place()
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
        while not await asyncio.to_thread(actors.most, "CPU"):
            if self._mirror.stopped:
                raise Stopped
            await asyncio.sleep(1)
        actor = await asyncio.to_thread(actors.make, self._mirror, self._order)
        taken = asyncio.ensure_future(_answer(actor.hello.remote()))
        while not taken.done():
            await asyncio.wait([taken], timeout=_GLANCE)
            if self._mirror.stopped and not taken.done():
                taken.cancel()
                raise Stopped
        self._mirror.place(taken.result())
        _require_a_way(self._order["store"].get("url", ""), self._mirror.address)
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
            said = self._mirror.log.stat().st_size - self._order["log"]
            measured = self._mirror.usage.stat().st_size - self._order["usage"]
            patience = _LISTEN if told else _GLANCE
            began, served = self._mirror.began is not None, self._serving is not None
            news: News = await self._ask("look", said, measured, began, served, patience)
            self._mirror.say(news.lines, news.usage)
            if news.port and not served:
                self._serving = await serve(self._mirror, news.port, self._order["word"])
            if news.host.started is not None:
                self._mirror.begin(news.host.started)
            if news.host.phase == "lost":
                if self._mirror.began is not None:
                    await self._bring_changes()
                raise LookupError(news.failure or "the program's agent is gone")
            if news.host.phase == "exited" and not (news.lines or news.usage):
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


def _require_a_way(url: str, node: str) -> None:
    """Raises Unfit where a node could wait long for a server that listens to its own machine alone."""
    if urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost") and node != ray.util.get_node_ip_address():
        raise Unfit(
            f"The node {node} cannot reach the server at {url}. Start the server with --host and an address that the "
            "nodes reach, or say with --reached-at where they do."
        )


async def _answer(reference: Any) -> Any:
    return await reference
