"""Keeps the network of one host. A program of its own, `python -I -S network.py DIRECTORY WISH`, for the agent.

A host has a network namespace to itself: `lo`, and `eth0`, one end of a cable whose other end lies in the job's hub,
a namespace where nothing runs and a bridge joins the cables of all hosts. No route leads anywhere else. The server is
reached at the port that it has outside: this program listens there, on the host's own loopback, and carries what
comes to the socket on which the server listens too. It stands outside the sandbox, and ends with the agent. A server
that is down is waited for a while, since the next one listens at the same place.

WISH is a JSON object: `door`, the server's socket, and `port`, its port (0: there is none); `number`, which of `count`
hosts this is, from 1; `neighbour`, the directory of the first host. What others need to come along is written to
DIRECTORY/network.
"""

import contextlib
import ctypes
import errno
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from typing import Any

INTERFACE = "eth0"
MOST_CONNECTIONS = 1000
PATIENCE = 15.0
"""Seconds for which a connection waits for a server that is down, and a host for its neighbour's network."""
PATIENCE_WITH_ALL = 60.0
"""Seconds for which a host waits for all the others: the server that starts them may be killed meanwhile."""
_COMPLETE = "complete"
"""A link in the hub that says that all cables have been there."""
_CHUNK = 256 << 10
_MTU = 65521
_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_PDEATHSIG = 1
_NEWLINK, _NEWADDR = 16, 20
_REQUEST, _NEW = 0x1 | 0x4, 0x400 | 0x200
_IFNAME, _IFMTU, _MASTER, _LINKINFO, _NS_FD = 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_UP = 1

_libc = ctypes.CDLL(None, use_errno=True)


def address(number: int) -> str:
    """Of a job's host, counted from 1."""
    return f"10.0.{number >> 8}.{number & 255}"


def main(directory: str, wish: dict[str, Any]) -> None:
    agent = os.getppid()
    neighbour = _neighbour(wish["neighbour"]) if wish["neighbour"] else None
    if os.geteuid():
        _enter_user_namespace(neighbour)
    hub = _plug_in(neighbour, wish["number"], wish["count"])
    _libc.prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent:
        return
    with socket.create_server(("127.0.0.1", wish["port"]), backlog=128) as listening:
        _write(f"{directory}/network", json.dumps({"pid": os.getpid(), "hub": hub}))
        if wish["count"] > 1:
            _gather(hub, wish["count"])
        print("ready", flush=True)  # noqa: T201  the agent reads it
        folder, door = os.path.split(wish["door"])
        os.chdir(folder or "/")  # a socket's path must be short
        Forwarder(listening, door).run()


def _neighbour(directory: str) -> dict[str, int]:
    """What the first host's keeper wrote, once it has."""
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(FileNotFoundError), open(f"{directory}/network") as file:
            found: dict[str, int] = json.load(file)
            if os.path.exists(f"/proc/{found['pid']}/fd/{found['hub']}"):
                return found
        if time.monotonic() > end or not os.path.isdir(directory):
            raise TimeoutError("The job's first host has no network.")
        time.sleep(0.02)


def _enter_user_namespace(neighbour: dict[str, int] | None) -> None:
    """Where an ordinary user may make networks. The job's first host makes it, as the same user; the others join."""
    if neighbour is not None:
        _join(os.open(f"/proc/{neighbour['pid']}/ns/user", os.O_RDONLY))
        return
    user, group = os.geteuid(), os.getegid()
    _call(_libc.unshare, _NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _plug_in(neighbour: dict[str, int] | None, number: int, count: int) -> int:
    """Into the host's new network, with its cable in the hub. The descriptor that keeps the hub alive."""
    if neighbour is None:
        _call(_libc.unshare, _NEWNET)
        hub = _here()
        if count > 1:
            _make("hub", "bridge")
            _set_up("hub")
    else:
        hub = os.open(f"/proc/{neighbour['pid']}/fd/{neighbour['hub']}", os.O_RDONLY)
    _call(_libc.unshare, _NEWNET)
    mine, far_end = _here(), f"host-{number}"
    _set_up("lo")
    _make_cable(far_end, hub)
    _add_address(number)
    _set_up(INTERFACE)
    _join(hub)
    _set_up(far_end, _attribute(_MASTER, struct.pack("=I", socket.if_nametoindex("hub"))) if count > 1 else b"")
    _join(mine)
    os.close(mine)
    return hub


def _gather(hub: int, count: int) -> None:
    """Wait for the others, so that no host is done and gone, and the hub with it, before the last has come."""
    mine, end = _here(), time.monotonic() + PATIENCE_WITH_ALL
    _join(hub)
    while not (names := {name for _, name in socket.if_nameindex()}) & {_COMPLETE}:
        if names >= {f"host-{number}" for number in range(1, count + 1)}:
            # It stays when the first of them leaves, for those who have not looked yet.
            with contextlib.suppress(FileExistsError):
                _make(_COMPLETE, "bridge")
        elif time.monotonic() > end:
            raise TimeoutError("Not all hosts of the job have come.")
        else:
            time.sleep(0.02)
    _join(mine)
    os.close(mine)


def _make_cable(far_end: str, hub: int) -> None:
    """Both ends take packets as large as they come: there is no wire between."""
    mtu = _attribute(_IFMTU, struct.pack("=I", _MTU))
    peer = _link() + _name(far_end) + mtu + _attribute(_NS_FD, struct.pack("=I", hub))
    _make(INTERFACE, "veth", _attribute(_INFO_DATA, _attribute(_VETH_PEER, peer)), mtu)


def _make(name: str, kind: str, data: bytes = b"", further: bytes = b"") -> None:
    info = _attribute(_LINKINFO, _attribute(_INFO_KIND, kind.encode()) + data)
    _ask_kernel(_NEWLINK, _NEW, _link() + _name(name) + further + info)


def _set_up(name: str, further: bytes = b"") -> None:
    _ask_kernel(_NEWLINK, 0, _link(socket.if_nametoindex(name), _UP) + further)


def _add_address(number: int) -> None:
    at = socket.inet_aton(address(number))
    about = struct.pack("=BBBBi", socket.AF_INET, 16, 0, 0, socket.if_nametoindex(INTERFACE))
    _ask_kernel(_NEWADDR, _NEW, about + _attribute(_IFA_LOCAL, at) + _attribute(_IFA_ADDRESS, at))


def _link(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _name(name: str) -> bytes:
    return _attribute(_IFNAME, name.encode() + b"\0")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _ask_kernel(kind: int, flags: int, body: bytes) -> None:
    """By rtnetlink, which `ip` would speak if it were everywhere: man 7 rtnetlink."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, 1, 0) + body)
        (error,) = struct.unpack_from("=i", kernel.recv(1 << 16), 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def _here() -> int:
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _join(namespace: int) -> None:
    _call(_libc.setns, namespace, 0)


def _call(function: Any, *arguments: int) -> None:
    if function(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


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


def _write(name: str, text: str) -> None:
    with open(f"{name}.new", "w") as file:
        file.write(text)
    os.replace(f"{name}.new", name)


if __name__ == "__main__":
    try:
        main(os.path.abspath(sys.argv[1]), json.loads(sys.argv[2]))
    except (OSError, TimeoutError) as problem:
        print(problem)  # noqa: T201  the agent reads it
        raise SystemExit(1) from None
