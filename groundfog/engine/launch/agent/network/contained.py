"""Keeps the network of a host that is a container. A program of its own, `python -I -S contained.py WISH`: the first
process of a container in which nothing is but what this program needs of the machine, all of it read-only.

The host's own container shares the network that this program makes, which is as `__main__.py` has it, and the process
namespace, of which this is the first process: as such it takes over children whose parents have ended, and when it
ends, so does all else that runs there. It ends when its standard input does, whose other end the agent holds. So
nothing of a host outlives its agent, whatever happened to that.

WISH is as in `__main__.py`, the door where it is in the container; null for a host with the machine's network. Where
there are several hosts, at `hub` the first hands on the hub, which others cannot find by its process: each sees only
its own.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from groundfog.engine.launch.agent.network import namespaces
    from groundfog.engine.launch.agent.network.forwarder import Forwarder
else:
    # -I leaves out the folder of a program that is a file.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import namespaces
    from forwarder import Forwarder

_ANY_FILE = 1 << 1
"""CAP_DAC_OVERRIDE: the server's socket belongs to whoever runs the server."""
_CAPABILITIES_3, _DUMPABLE = 0x20080522, 4


def main(wish: dict[str, Any] | None) -> None:
    # What has no handler does not reach the first process of a namespace from within.
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    # As the same user the host's program could look at this process otherwise, and at its files.
    namespaces.call(namespaces.libc.prctl, _DUMPABLE, 0)
    threading.Thread(target=_end_with_the_agent, daemon=True).start()
    if wish is None:
        _keep_capabilities(0)
        _ready()
        while True:
            signal.pause()
    hub = namespaces.plug_in(_find_hub(wish["hub"]) if wish["neighbour"] else None, wish["number"], wish["count"])
    with socket.create_server(("127.0.0.1", wish["port"]), backlog=128) as listening:
        if wish["count"] > 1:
            if not wish["neighbour"]:
                threading.Thread(target=_hand_on, args=(_listen(wish["hub"]), hub), daemon=True).start()
            namespaces.gather(hub, wish["count"])
        _keep_capabilities(_ANY_FILE)
        _ready()
        folder, door = os.path.split(wish["door"])
        os.chdir(folder or "/")
        Forwarder(listening, door).run()


def _end_with_the_agent() -> NoReturn:
    _keep_capabilities(0)
    while os.read(0, 512):
        pass
    os._exit(0)


def _find_hub(at: str) -> int:
    end = time.monotonic() + namespaces.PATIENCE
    while True:
        with contextlib.suppress(FileNotFoundError, ConnectionError), socket.socket(socket.AF_UNIX) as asking:
            asking.connect(at)
            _, received, _, _ = socket.recv_fds(asking, 1, 1)
            if received:
                return received[0]
        if time.monotonic() > end:
            raise TimeoutError("The job's first host has no network.")
        time.sleep(0.02)


def _listen(at: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(at)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(at)
    listening.listen()
    return listening


def _hand_on(listening: socket.socket, hub: int) -> NoReturn:
    _keep_capabilities(0)
    while True:
        asking, _ = listening.accept()
        with asking, contextlib.suppress(ConnectionError):
            socket.send_fds(asking, [b"+"], [hub])


def _keep_capabilities(kept: int) -> None:
    """Of this thread: the others have their own."""
    words = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    namespaces.call(namespaces.libc.capset, (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0), words)


def _ready() -> None:
    print("ready", flush=True)  # noqa: T201  the agent reads it


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (OSError, TimeoutError) as problem:
        print(problem, flush=True)  # noqa: T201  the agent reads it
        os._exit(1)
