"""The way to a model server on a node: a port that hands connections on to its socket, for whoever knows the word."""

import contextlib
import hmac
import os
import socket
import stat
import threading
from pathlib import Path

from groundfog.engine.launch.ray.door import exchange

WORD = 64
"""Bytes that come first on each connection."""
_PATIENCE = 10.0


class Window:
    def __init__(self, path: Path, word: str) -> None:
        self._path, self._word = path, word.encode()
        self._listening = socket.create_server(("", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                come, _ = self._listening.accept()
                threading.Thread(target=self._join, args=(come,), daemon=True).start()

    def _join(self, come: socket.socket) -> None:
        with come, contextlib.suppress(OSError):
            come.settimeout(_PATIENCE)
            if not hmac.compare_digest(come.recv(WORD, socket.MSG_WAITALL), self._word):
                return
            come.settimeout(None)
            with reach(self._path) as inside:
                exchange(come, inside)


def is_open(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISSOCK(path.lstat().st_mode)
    return False


def reach(path: Path) -> socket.socket:
    """By way of the very file: a link in its place could lead to any socket of this machine."""
    file = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    inside = socket.socket(socket.AF_UNIX)
    try:
        inside.connect(f"/proc/self/fd/{file}")
    except BaseException:
        inside.close()
        raise
    finally:
        os.close(file)
    return inside
