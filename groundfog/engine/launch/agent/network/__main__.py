"""Keeps the network of one host. A program of its own, `python -I -S network DIRECTORY WISH`, that the agent starts.

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
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

# What lies beside this file is found by its own name, so that nothing above it is loaded.
if TYPE_CHECKING:
    from groundfog.engine.launch.agent.network import namespaces
    from groundfog.engine.launch.agent.network.forwarder import Forwarder
else:
    import namespaces
    from forwarder import Forwarder

_NEWUSER = 0x10000000
_PDEATHSIG = 1


def main(directory: str, wish: dict[str, Any]) -> None:
    agent = os.getppid()
    neighbour = _neighbour(wish["neighbour"]) if wish["neighbour"] else None
    if os.geteuid():
        _enter_user_namespace(neighbour)
    plugged = os.open(f"/proc/{neighbour['pid']}/fd/{neighbour['hub']}", os.O_RDONLY) if neighbour else None
    hub = namespaces.plug_in(plugged, wish["number"], wish["count"])
    namespaces.libc.prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent:
        return
    with socket.create_server(("127.0.0.1", wish["port"]), backlog=128) as listening:
        _write(f"{directory}/network", json.dumps({"pid": os.getpid(), "hub": hub}))
        if wish["count"] > 1:
            namespaces.gather(hub, wish["count"])
        print("ready", flush=True)  # noqa: T201  the agent reads it
        folder, door = os.path.split(wish["door"])
        os.chdir(folder or "/")  # a socket's path must be short
        Forwarder(listening, door).run()


def _neighbour(directory: str) -> dict[str, int]:
    """What the first host's keeper wrote, once it has."""
    end = time.monotonic() + namespaces.PATIENCE
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
        namespaces.call(namespaces.libc.setns, os.open(f"/proc/{neighbour['pid']}/ns/user", os.O_RDONLY), 0)
        return
    user, group = os.geteuid(), os.getegid()
    namespaces.call(namespaces.libc.unshare, _NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


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
