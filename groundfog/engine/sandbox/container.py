"""Real images, where Docker or Podman is: a container is another wall, with the same treaty inside.

The agent keeps the client of Docker alive, which passes on what the container says, and SIGTERM. A container outlives
its client, though: it has the name of its host's directory, so that whoever clears that away finds it.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program

_ENGINES = ("docker", "podman")
_INSIDE = "/opt/ml"
_SHARED_MEMORY = "2g"
"""Loaders of PyTorch hand tensors on by it; Docker's own default of 64 MB is soon too little."""
_VARIABLES = "variables"
"""The file of them, in the host's directory; where it is, there was a container."""


@dataclass(frozen=True)
class Containers:
    """`executable` is Docker's or Podman's client."""

    executable: str
    most_processes: int = 4096
    most_bytes: int | None = None

    @classmethod
    def found(cls, most_processes: int = 4096, most_bytes: int | None = None) -> "Containers":
        """Raises Unfit where there is neither."""
        executable = next(filter(None, map(shutil.which, _ENGINES)), None)
        if executable is None:
            raise Unfit(f"launcher is container, and there is no {' or '.join(_ENGINES)} here: install one of them")
        return cls(executable, most_processes, most_bytes)

    def describe(self) -> str:
        """One line for the one who starts the server."""
        return f"images of frameworks run in containers of {Path(self.executable).name}"

    def command(self, directory: Path, program: Program) -> list[str]:
        """What runs the program. Raises Unfit for what a container cannot be told."""
        self.remove(directory)
        given = directory / _VARIABLES
        given.touch(mode=0o600)
        given.write_text("".join(f"{line}\n" for line in _variables(program)))
        return [
            self.executable,
            *("run", "--rm", "--init", "--name", _name(directory), "--hostname", program.host),
            *("--env-file", str(given), "--workdir", "/"),
            *("--security-opt", "no-new-privileges", "--pids-limit", str(self.most_processes)),
            *(("--memory", str(self.most_bytes)) if self.most_bytes is not None else ()),
            *("--shm-size", _SHARED_MEMORY),
            *self._devices(),
            *_network(program),
            *_mounts(directory / "opt_ml", program),
            *(("--entrypoint", program.entrypoint) if program.entrypoint else ()),
            program.image,
            *program.arguments,
        ]

    def remove(self, directory: Path) -> None:
        """The host's container, if there is one still."""
        if (directory / _VARIABLES).exists():
            subprocess.run([self.executable, "rm", "--force", _name(directory)], capture_output=True)

    def _devices(self) -> tuple[str, ...]:
        if not Path("/dev/nvidiactl").exists():
            return ()
        return ("--gpus", "all") if Path(self.executable).name == "docker" else ("--device", "nvidia.com/gpu=all")


def _name(directory: Path) -> str:
    return f"groundfog-{directory.name}"


def _variables(program: Program) -> Iterator[str]:
    """In a file, for what stands in a command can be seen by every user of the machine: a key is among them."""
    for name, value in program.environment.items():
        if "\n" in name or "\n" in value or "=" in name or not name:
            raise Unfit(
                f"The variable {name!r} cannot be told to a container: it holds a line's end, or '=' in its name"
            )
        yield f"{name}={value}"


def _network(program: Program) -> Iterator[str]:
    """A container's network cannot have this server alone in it: it has all that the machine reaches, or nothing."""
    if program.network != "open":
        if len(program.hosts) > 1:
            raise Unfit("Containers on several instances find each other only if the server runs with --network open")
        yield from ("--network", "none")
        return
    yield from ("--network", "host")
    for number, host in enumerate(program.hosts, start=2):
        yield from ("--add-host", f"{host}:127.0.0.{number}")


def _mounts(opt_ml: Path, program: Program) -> Iterator[str]:
    """As behind the wall: what it must not change is read-only."""
    yield from ("--volume", f"{opt_ml}:{_INSIDE}")
    scratch = [f"input/data/{channel}" for channel in program.scratch_channels]
    for shielded in ("input/config", "input/data") if scratch else ("input",):
        yield from ("--volume", f"{opt_ml / shielded}:{_INSIDE}/{shielded}:ro")
    for own in scratch:
        yield from ("--volume", f"{opt_ml / own}:{_INSIDE}/{own}")
