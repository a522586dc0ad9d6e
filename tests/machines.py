"""Machines of our own within this one: each has a network and a /tmp of its own, and a cable to the others.

with machines(2) as (address, started):   `address` is this machine's, by which those of `started` reach it
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

_NET = "10.78.0"
"""Of which this machine is number 1."""


def why_none() -> str:
    """Why there can be none here; empty if there can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and iproute2"
    tried = subprocess.run(["ip", "netns", "add", "groundfog-try"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "delete", "groundfog-try"], capture_output=True, check=False)
    return tried.stderr.strip()


class Machine:
    def __init__(self, number: int) -> None:
        self.name, self.address = f"groundfog-{number}", f"{_NET}.{number}"
        self._started: list[subprocess.Popen[bytes]] = []
        inner, outer = f"gfi{number}", f"gfo{number}"
        _ip("netns", "add", self.name)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
        _ip("link", "set", outer, "master", "gfbridge", "up")
        _ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", inner)
        for link in ("lo", inner):
            _ip("-n", self.name, "link", "set", link, "up")

    def start(self, command: Sequence[str], environment: dict[str, str]) -> None:
        """And again if it fails, with nothing in /tmp but what it puts there."""
        script = 'mount -t tmpfs tmpfs /tmp && until "$@"; do sleep 1; done'
        # `ip netns exec` would hide the control groups, which Ray looks for.
        within = [
            "nsenter",
            f"--net=/run/netns/{self.name}",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        self._started.append(
            subprocess.Popen([*within, "sh", "-c", script, "sh", *command], env=environment, stdout=subprocess.DEVNULL)
        )

    def turn_off(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        self._started.clear()

    def scrap(self) -> None:
        self.turn_off()
        _ip("netns", "delete", self.name)


@contextmanager
def machines(count: int) -> Iterator[tuple[str, list[Machine]]]:
    with ExitStack() as after:
        _ip("link", "add", "gfbridge", "type", "bridge")
        after.callback(_ip, "link", "delete", "gfbridge")
        _ip("addr", "add", f"{_NET}.1/24", "dev", "gfbridge")
        _ip("link", "set", "gfbridge", "up")
        _let_through(after)
        made = []
        for number in range(2, count + 2):
            made.append(Machine(number))
            after.callback(made[-1].scrap)
        yield f"{_NET}.1", made


def _let_through(after: ExitStack) -> None:
    """Where Docker is at work, nothing passes a bridge but by its leave."""
    rule = ["FORWARD", "-i", "gfbridge", "-o", "gfbridge", "-j", "ACCEPT"]
    if shutil.which("iptables") and subprocess.run(["iptables", "-I", *rule], capture_output=True).returncode == 0:
        after.callback(subprocess.run, ["iptables", "-D", *rule], check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
