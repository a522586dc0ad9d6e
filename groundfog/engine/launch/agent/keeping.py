"""What keeps a host's network: a process of its own, or a container's. For the agent: see `__main__.py`."""

import contextlib
import json
import os
import subprocess
import sys
from typing import Any

_NETWORK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "network")
_MOMENT = 2.0
_PATIENCE = 30.0
"""Seconds that an engine may take to clear its containers away."""


class Keeper:
    """The order's `network` is what is to be kept behind the wall, its `keeper` what keeps a container's."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Returns when the network is there. Raises OSError where it cannot be had."""
        self._contained = bool(order["keeper"])
        own = [sys.executable, "-I", "-S", _NETWORK, os.getcwd(), json.dumps(order["network"])]
        self._process = subprocess.Popen(
            order["keeper"] or own,
            env=order["environment"] if self._contained else None,
            stdin=subprocess.PIPE if self._contained else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if self._contained else None,
            text=True,
        )
        assert self._process.stdout is not None
        said = []
        with self._process.stdout as output:
            for line in output:
                if line == "ready\n":
                    return
                said.append(line.strip())
        self.close()
        raise OSError(" ".join(filter(None, said)) or "no reason given")

    @property
    def way_in(self) -> list[str]:
        """What to put before a command so that it runs there. A container finds its own."""
        if self._contained:
            return []
        pid = self._process.pid
        user = [f"--user=/proc/{pid}/ns/user", "--preserve-credentials"] if os.geteuid() else []
        return ["nsenter", *user, f"--net=/proc/{pid}/ns/net", "--"]

    def has_failed(self) -> bool:
        """Whether a container's program was killed because its keeper ended. Either end may be heard of first."""
        if self._contained:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_MOMENT)
                return True
        return False

    def close(self) -> None:
        """And of a container all that still runs in it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
        self._process.kill()
        self._process.wait()
