"""On a node: the socket by which programs behind the wall reach the server, which is on another machine."""

import contextlib
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from groundfog.engine.sandbox import Door

_BLOCK = 1 << 16


class NodeDoor:
    def __init__(self, url: str, path: Path) -> None:
        there = urlsplit(url)
        self._server = there.hostname or "127.0.0.1", there.port or 80
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(128)
        self._path = path
        self.door = Door(self._server[1], path)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inside, _ = self._listening.accept()
                threading.Thread(target=self._join, args=(inside,), daemon=True).start()

    def _join(self, inside: socket.socket) -> None:
        with inside, contextlib.suppress(OSError), socket.create_connection(self._server, timeout=10) as server:
            server.settimeout(None)
            exchange(inside, server)


def exchange(one: socket.socket, other: socket.socket) -> None:
    """Hand on what each of two says to the other, until both have ended."""
    back = threading.Thread(target=_pump, args=(other, one), daemon=True)
    back.start()
    _pump(one, other)
    back.join()


def _pump(come: socket.socket, go: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := come.recv(_BLOCK):
            go.sendall(block)
    with contextlib.suppress(OSError):
        go.shutdown(socket.SHUT_WR)
