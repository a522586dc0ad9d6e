"""Connections that are carried from a host's network to the server's socket."""

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from groundfog.engine.launch.agent.network import forwarder

SECONDS = 20.0


Connect = Callable[[], tuple[socket.socket, socket.socket]]


class Slow(selectors.DefaultSelector):
    """Looks for news only while `may_look`: what came meanwhile comes at once."""

    may_look = threading.Event()
    over = False

    def select(self, timeout: float | None = None) -> list[Any]:
        assert self.may_look.wait(SECONDS)
        if self.over and len(self.get_map()) == 1:
            self.close()
            raise InterruptedError
        return super().select(0.01)


def carry(listening: socket.socket) -> None:
    with contextlib.suppress(InterruptedError):
        forwarder.Forwarder(listening, "door").run()


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Makes connections: the program's end, and the server's."""
    monkeypatch.setattr(forwarder.selectors, "DefaultSelector", Slow)
    monkeypatch.setattr(Slow, "over", False)
    monkeypatch.chdir(tmp_path)
    Slow.may_look.set()
    with socket.socket(socket.AF_UNIX) as door, socket.create_server(("127.0.0.1", 0)) as listening:
        door.bind("door")
        door.listen()
        door.settimeout(SECONDS)
        carrying = threading.Thread(target=carry, args=(listening,))
        carrying.start()

        def connected() -> tuple[socket.socket, socket.socket]:
            inside = socket.create_connection(listening.getsockname(), SECONDS)
            outside, _ = door.accept()
            outside.settimeout(SECONDS)
            return inside, outside

        yield connected
        Slow.over = True
        carrying.join()


def test_what_is_said_arrives_and_so_does_the_end(connect: Connect) -> None:
    inside, outside = connect()
    said = os.urandom(3_000_000)
    with inside, outside:
        saying = threading.Thread(target=lambda: (inside.sendall(said), inside.shutdown(socket.SHUT_WR)))
        saying.start()
        assert b"".join(iter(lambda: outside.recv(1 << 20), b"")) == said
        outside.sendall(b"heard")
        assert inside.recv(9) == b"heard"
        saying.join()


def test_it_lives_on_when_both_ends_are_closed_at_once(connect: Connect) -> None:
    """A server that is killed while its clients go: the next one must be found."""
    inside, outside = connect()
    inside.sendall(b"carried")
    assert outside.recv(9) == b"carried"
    Slow.may_look.clear()
    time.sleep(0.1)  # for it to have looked for the last time
    inside.close()
    outside.close()
    Slow.may_look.set()
    inside, outside = connect()
    with inside, outside:
        inside.sendall(b"carried")
        assert outside.recv(9) == b"carried"
