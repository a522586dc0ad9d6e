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

from groundfog.engine.errors import Unfit
from groundfog.engine.launch.ray.actors import SPACE, dismiss
from groundfog.engine.launch.ray.desk import Desk
from groundfog.engine.launch.ray.group import give_up
from groundfog.engine.launch.ray.mirror import Mirror
from groundfog.engine.launch.ray.seeing import Seeing, Stopped

_GLANCE = 0.1
_PATIENCE = 30.0
"""Seconds in which the cluster may be about to start."""

_log = logging.getLogger("groundfog.relay")


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
    dismiss(note.name)
    give_up(note.name)
    note.unlink(missing_ok=True)


async def _see_through(mirror: Mirror, actor: str) -> None:
    """One host, from wherever it is to its end."""
    with contextlib.suppress(FileNotFoundError):  # It may be removed at any time.
        try:
            await Seeing(mirror).run()
        except Stopped:
            mirror.end(_before_it_began(143, "stopped"))
        except Unfit as unfit:
            mirror.end(_before_it_began(1, "input"), str(unfit))
        except FileNotFoundError:
            raise
        except Exception as why:
            _log.warning("host %s is lost", actor, exc_info=True)
            if mirror.actor == actor:
                mirror.lose(f"{type(why).__name__}: {why}")
    await asyncio.to_thread(dismiss, actor)


def _before_it_began(exit_code: int, because: str) -> dict[str, Any]:
    now = time.time()
    return {"exit_code": exit_code, "because": because, "started": now, "ended": now}


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
    end = time.monotonic() + _PATIENCE
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
