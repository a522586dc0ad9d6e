"""Connections from a host's network to the server's socket outside. For the network's keeper: see `__main__.py`."""

import contextlib
import errno
import selectors
import socket
import time

MOST_CONNECTIONS = 1000
PATIENCE = 15.0
"""Seconds for which a connection waits for a server that is down."""
_CHUNK = 256 << 10


class Forwarder:
    """Carries connections from a listening socket to the socket at `door`, all in one thread."""

    def __init__(self, listening: socket.socket, door: str) -> None:
        self._listening, self._door = listening, door
        self._selector = selectors.DefaultSelector()
        self._waiting: list[tuple[socket.socket, float]] = []
        """Who came while the server was down, and until when they wait."""
        self._count = 0
        listening.setblocking(False)
        self._selector.register(listening, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select(0.1 if self._waiting else None):
                if key.data is None:
                    self._accept()
                else:
                    self._carry(key.data)
            waiting, self._waiting = self._waiting, []
            for inside, until in waiting:
                self._connect(inside, until)

    def _accept(self) -> None:
        try:
            inside, _ = self._listening.accept()
        except OSError:
            return
        self._count += 1
        if self._count >= MOST_CONNECTIONS:
            self._selector.unregister(self._listening)
        self._connect(inside, time.monotonic() + PATIENCE)

    def _connect(self, inside: socket.socket, until: float) -> None:
        outside = socket.socket(socket.AF_UNIX)
        for end in (inside, outside):
            end.setblocking(False)
        try:
            outside.connect(self._door)
        except OSError:
            outside.close()
            if time.monotonic() < until:
                self._waiting.append((inside, until))
            else:
                self._forget(inside)
            return
        self._carry((_Way(inside, outside), _Way(outside, inside)))

    def _carry(self, ways: "tuple[_Way, _Way]") -> None:
        # Both ends may have had news at once, and the first was the last.
        if ways[0].source.fileno() < 0:
            return
        try:
            for way in ways:
                way.move()
        except OSError:
            self._forget(ways[0].source, ways[1].source)
            return
        if all(way.done for way in ways):
            self._forget(ways[0].source, ways[1].source)
            return
        for way, other in (ways, ways[::-1]):
            self._watch(way.source, way.wants_more, bool(other.pending), ways)

    def _watch(self, end: socket.socket, read: bool, write: bool, ways: "tuple[_Way, _Way]") -> None:
        events = read * selectors.EVENT_READ | write * selectors.EVENT_WRITE
        known = self._selector.get_map().get(end.fileno())
        if known is None and events:
            self._selector.register(end, events, ways)
        elif known is not None and not events:
            self._selector.unregister(end)
        elif known is not None and known.events != events:
            self._selector.modify(end, events, ways)

    def _forget(self, *ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)
            end.close()
        if self._count == MOST_CONNECTIONS:
            self._selector.register(self._listening, selectors.EVENT_READ)
        self._count -= 1


class _Way:
    """From one end to the other, a chunk at a time."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self._sink = source, sink
        self.pending = b""
        self._ended = self.done = False

    @property
    def wants_more(self) -> bool:
        return not self._ended and not self.pending

    def move(self) -> None:
        """As far as it goes without waiting. Raises OSError where an end is gone."""
        try:
            if self.wants_more:
                self.pending = self.source.recv(_CHUNK)
                self._ended = not self.pending
            if self.pending:
                self.pending = self.pending[self._sink.send(self.pending) :]
        except BlockingIOError:
            return
        if self._ended and not self.pending and not self.done:
            self.done = True
            try:
                self._sink.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise
