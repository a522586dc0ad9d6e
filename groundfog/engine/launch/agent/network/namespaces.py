"""Namespaces joined by cables, as a keeper of a host's network makes them: see `__main__.py` and `contained.py`."""

import contextlib
import ctypes
import os
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundfog.engine.launch.agent.network import cables
else:
    import cables

PATIENCE = 60.0
"""Seconds for which a host waits for all the others: the server that starts them may be killed meanwhile."""
_COMPLETE = "complete"
"""A link in the hub that says that all cables have been there."""
_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def plug_in(hub: int | None, number: int, count: int) -> int:
    """Into the host's new network, with its cable in the hub, a new one if there is none yet. The descriptor that keeps
    the hub alive."""
    if hub is None:
        call(libc.unshare, _NEWNET)
        hub = _here()
        if count > 1:
            cables.make("hub", "bridge")
            cables.set_up("hub")
    call(libc.unshare, _NEWNET)
    mine, far_end = _here(), f"host-{number}"
    cables.set_up("lo")
    cables.make_cable(far_end, hub)
    cables.add_address(number)
    cables.set_up(cables.INTERFACE)
    _join(hub)
    cables.set_up(far_end, plugged_into="hub" if count > 1 else "")
    _join(mine)
    os.close(mine)
    return hub


def gather(hub: int, count: int) -> None:
    """Wait for the others, so that no host is done and gone, and the hub with it, before the last has come."""
    mine, end = _here(), time.monotonic() + PATIENCE
    _join(hub)
    while not (names := {name for _, name in socket.if_nameindex()}) & {_COMPLETE}:
        if names >= {f"host-{number}" for number in range(1, count + 1)}:
            # It stays when the first of them leaves, for those who have not looked yet.
            with contextlib.suppress(FileExistsError):
                cables.make(_COMPLETE, "bridge")
        elif time.monotonic() > end:
            raise TimeoutError("Not all hosts of the job have come.")
        else:
            time.sleep(0.02)
    _join(mine)
    os.close(mine)


def call(function: Any, *arguments: object) -> None:
    """Of libc. Raises OSError where it fails."""
    if function(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _here() -> int:
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _join(namespace: int) -> None:
    call(libc.setns, namespace, 0)
