"""What a host reaches: the job's other hosts by name, and the server; the whole machine's network only where asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundfog.engine.launch import Network, Program
from groundfog.engine.launch.agent.network.cables import INTERFACE, address

NAMES = Path("/etc/hosts")
_LOCAL = "127.0.0.1 localhost\n::1 localhost\n::ffff:127.0.0.1 localhost\n"
"""Addresses are there as IPv6 has them too: PyTorch looks for names by these, and where it finds none, says so."""
_RESOLVING = (Path("/etc/resolv.conf"), Path("/etc/gai.conf"), Path("/etc/host.conf"))


@dataclass(frozen=True)
class Door:
    """Where the server listens: `port` on the machine's loopback, and the socket, for those who have their own."""

    port: int
    socket: Path


def interface(network: Network) -> str:
    """By which hosts behind the wall find each other."""
    return "lo" if network == "open" else INTERFACE


def wish(program: Program, door: Door | None) -> dict[str, Any]:
    """As `launch/agent/network` takes it."""
    return {
        "door": str(door.socket) if door else "",
        "port": door.port if door else 0,
        "number": program.hosts.index(program.host) + 1,
        "count": len(program.hosts),
        "neighbour": program.neighbour,
    }


def files(directory: Path, program: Program) -> Iterator[tuple[Path, Path]]:
    """What says who is who: where the program finds it, and where it lies on this machine."""
    yield NAMES, names(directory, program)
    if program.network == "open":
        for path in _RESOLVING:
            yield path, path.resolve()


def names(directory: Path, program: Program) -> Path:
    """The file of the job's hosts' names."""
    file = directory / "hosts"
    file.unlink(missing_ok=True)
    file.write_text(_hosts(program))
    file.chmod(0o444)
    return file


def _hosts(program: Program) -> str:
    is_open = program.network == "open"
    machine = NAMES.read_text() if is_open and NAMES.exists() else _LOCAL
    # In the machine's own network all of 127/8 is this machine, and an address for each keeps their ports apart.
    numbers = range(1, len(program.hosts) + 1)
    own = program.addresses or [f"127.0.0.{number + 1}" if is_open else address(number) for number in numbers]
    hosts = "".join(f"{at} {name}\n::ffff:{at} {name}\n" for at, name in zip(own, program.hosts, strict=True))
    return machine.rstrip("\n") + "\n" + hosts
