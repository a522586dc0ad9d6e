"""What stands beside a container: a second one, of ours, whose network and process namespace the first one shares.

Its image is empty, and made here: all that it finds is of this machine, and read-only. It runs
`launch/agent/network/contained.py`, and the other lives as long as it does. Where the server is no root, a third one
clears up after them.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from groundfog.engine.launch import Program
from groundfog.engine.sandbox import network
from groundfog.engine.sandbox.network import Door

IMAGE = "localhost/groundfog-keeper:1"
EMPTY = bytes(10240)
"""What its image is made of: a tar archive with nothing in it."""
_NETWORK = Path(__file__).parents[1] / "launch" / "agent" / "network"
_INSIDE = Path("/groundfog")
_LIBRARIES = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")
_ANY_FILE = "DAC_OVERRIDE"
"""This machine's files may be readable to the server's user alone, and here one is root, without root's rights."""
_TO_PLUG_IN = ("NET_ADMIN", "SYS_ADMIN", "NET_BIND_SERVICE")
"""Capabilities that it gives up once the network is there."""
_CHOWN = Path("/usr/bin/chown")


def options(directory: Path, program: Program, door: Door | None) -> Iterator[str]:
    """Of `run`, with the image and its command. It lives for as long as its standard input is open."""
    is_open = program.network == "open"
    yield from ("--interactive", "--hostname", program.host)
    yield from ("--network", "host" if is_open else "none")
    python = Path(sys.executable).resolve()
    yield from _of_this_machine(python, () if is_open else _TO_PLUG_IN)
    yield from _bind(_NETWORK, _INSIDE / "network")
    wish = None
    if not is_open:
        wish = network.wish(program, door)
        if door is not None:
            yield from _bind(door.socket.parent, _INSIDE / "door")
            wish["door"] = str(_INSIDE / "door" / door.socket.name)
        if len(program.hosts) > 1:
            yield from _bind(_hub(directory, program), _INSIDE / "hub", ())
            wish["hub"] = str(_INSIDE / "hub" / "socket")
    yield from ("--entrypoint", str(python), IMAGE)
    yield from ("-I", "-S", str(_INSIDE / "network" / "contained.py"), json.dumps(wish))


def giving_back(directory: Path) -> Iterator[str]:
    """Of `run`: all that a container left in the host's directory is its owner's then, whoever wrote it."""
    yield from ("--network", "none", *_of_this_machine(_CHOWN, ("CHOWN",)))
    yield from _bind(directory, _INSIDE / "host", ())
    yield from ("--entrypoint", str(_CHOWN), IMAGE, "--recursive", "--no-dereference")
    yield from (f"--reference={_INSIDE / 'host'}", str(_INSIDE / "host" / "opt_ml"))


def _of_this_machine(executable: Path, capabilities: tuple[str, ...]) -> Iterator[str]:
    """What it needs to run, and no more."""
    # Where somebody has removed the image meanwhile, nobody is asked for one of this name.
    yield from ("--pull", "never", "--read-only", "--cap-drop", "ALL")
    yield from ("--security-opt", "no-new-privileges", "--security-opt", "label=disable")
    for capability in (_ANY_FILE, *capabilities):
        yield from ("--cap-add", capability)
    for path in _readable(executable):
        yield from _bind(path, path)


def _readable(executable: Path) -> list[Path]:
    homes = {executable.parents[1], Path(sys.base_prefix).resolve()}
    apart = sorted(home for home in homes if not home.is_relative_to("/usr"))
    return [*(path for path in map(Path, _LIBRARIES) if path.exists()), *apart]


def _hub(directory: Path, program: Program) -> Path:
    """The folder of the job's first host where the others find the hub of its network."""
    if program.neighbour:
        return Path(program.neighbour) / "hub"
    folder = directory / "hub"
    folder.mkdir(exist_ok=True)
    return folder


def _bind(path: Path, inside: Path, further: tuple[str, ...] = ("readonly",)) -> Iterator[str]:
    """Unlike `--volume`, this makes no folder where there is none."""
    yield from ("--mount", ",".join(("type=bind", f"source={path}", f"target={inside}", *further)))
