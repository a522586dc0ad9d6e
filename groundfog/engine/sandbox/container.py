"""Real images, where Docker or Podman is: a container is another wall, with the same treaty inside.

The agent keeps the client of Docker alive, which passes on what the container says, and SIGTERM. A second container,
`pod.py` tells which, has the network and the first process of both, so that none outlives the agent. Their
names begin with that of their host's directory, for whoever clears away.
"""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.engine.sandbox import network, pod
from groundfog.engine.sandbox.network import Door

_ENGINES = ("docker", "podman")
_INSIDE = "/opt/ml"
_SHARED_MEMORY = "2g"
"""Loaders of PyTorch hand tensors on by it; Docker's own default of 64 MB is soon too little."""
_VARIABLES = "variables"
"""The file of them, in the host's directory; where it is, there was a container."""
_LABEL = "groundfog"
"""Of each container: the folder in which its host's directory is."""
_WHERE = ("DOCKER_", "CONTAINER", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
_PATIENCE = 30.0


@dataclass(frozen=True)
class Containers:
    """`executable` is Docker's or Podman's client."""

    executable: str
    most_processes: int = 4096
    most_bytes: int | None = None
    around: Mapping[str, str] = field(default_factory=dict)
    """The variables of whoever runs the server, some of which say where the engine is."""

    @classmethod
    def found(cls, around: Mapping[str, str], *, most_processes: int, most_bytes: int | None) -> "Containers":
        """Raises Unfit where there is neither."""
        executable = next(filter(None, map(shutil.which, _ENGINES)), None)
        if executable is None:
            raise Unfit(f"launcher is container, and there is no {' or '.join(_ENGINES)} here: install one of them")
        return cls(executable, most_processes, most_bytes, around)

    @property
    def environment(self) -> dict[str, str]:
        """Of the client."""
        given = {name: value for name, value in self.around.items() if name.startswith(_WHERE)}
        return {"PATH": os.defpath, "HOME": str(Path.home()), **given}

    @property
    def _is_docker(self) -> bool:
        return Path(self.executable).name == "docker"

    def describe(self) -> str:
        """One line for the one who starts the server."""
        return f"images of frameworks run in containers of {Path(self.executable).name}"

    def commands(self, directory: Path, program: Program, door: Door | None) -> tuple[list[str], list[str]]:
        """What keeps the container, and what runs the program in it once that is ready. Raises Unfit for what a
        container cannot be told, and where no engine answers."""
        given = directory / _VARIABLES
        given.touch(mode=0o600)
        given.write_text("".join(f"{line}\n" for line in _variables(program)))
        self.remove(directory)
        self._have_keepers()
        name = _new_name(directory)
        keeper = f"{name}-keeper"
        beside = pod.options(directory, program, door)
        return (
            [*self._run(directory, keeper), *beside],
            [*self._run(directory, name), *self._options(directory, program, keeper)],
        )

    def afterwards(self, directory: Path) -> list[str]:
        """What to run when the container has ended: it may have written as root what the server's user cannot read."""
        if os.geteuid() == 0:
            return []
        return [*self._run(directory, f"{_new_name(directory)}-after"), *pod.giving_back(directory)]

    def _run(self, directory: Path, name: str) -> list[str]:
        return [self.executable, "run", "--rm", "--name", name, "--label", f"{_LABEL}={directory.parent}"]

    def _options(self, directory: Path, program: Program, keeper: str) -> list[str]:
        return [
            *("--pid", f"container:{keeper}", *self._network(directory, program, keeper)),
            *("--env-file", str(directory / _VARIABLES), "--workdir", "/"),
            *("--security-opt", "no-new-privileges", "--pids-limit", str(self.most_processes)),
            *(("--memory", str(self.most_bytes)) if self.most_bytes is not None else ()),
            *("--shm-size", _SHARED_MEMORY),
            *self._devices(),
            *_mounts(directory / "opt_ml", program),
            *(("--entrypoint", program.entrypoint) if program.entrypoint else ()),
            program.image,
            *program.arguments,
        ]

    def remove(self, directory: Path) -> None:
        """The host's containers, if there are any still, since the engine takes its time to remove them itself. What
        they have left can be removed then, too."""
        if (directory / _VARIABLES).exists():
            self._remove(directory.parent, lambda host: host == directory)
            if _has_others_files(directory / "opt_ml"):
                self._ask(*self.afterwards(directory)[1:])

    def sweep(self, runs: Path) -> None:
        """Those of hosts whose directory in `runs` is gone: an engine may make one when nobody wants it any more."""
        self._remove(runs, lambda host: not host.exists())

    def _remove(self, runs: Path, is_doomed: Callable[[Path], bool]) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            listed = self._ask("ps", "--all", "--filter", f"label={_LABEL}={runs}", "--format", "{{.Names}}")
            names = [name for name in listed.stdout.decode().split() if is_doomed(runs / name.split("-")[1])]
            if not names:
                break
            self._ask("rm", "--force", "--volumes", *names)

    def _have_keepers(self) -> None:
        """Their image, which may have been removed meanwhile."""
        if self._ask("image", "inspect", pod.IMAGE).returncode:
            made = self._ask("import", "-", pod.IMAGE, given=pod.EMPTY)
            if made.returncode:
                raise Unfit(
                    f"{self.executable} runs no containers here: {made.stderr.decode(errors='replace').strip()}"
                )

    def _ask(self, *arguments: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        command, environment = [self.executable, *arguments], self.environment
        try:
            return subprocess.run(command, input=given, capture_output=True, env=environment, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, b"", b"it does not answer")

    def _network(self, directory: Path, program: Program, keeper: str) -> Iterator[str]:
        is_open = program.network == "open"
        yield from ("--network", "host" if is_open else f"container:{keeper}")
        if is_open or not self._is_docker:
            # From Docker, who shares a network has the name too, and must not say it.
            yield from ("--hostname", program.host)
        yield from ("--volume", f"{network.names(directory, program)}:{network.NAMES}:ro")

    def _devices(self) -> tuple[str, ...]:
        if not Path("/dev/nvidiactl").exists():
            return ()
        return ("--gpus", "all") if self._is_docker else ("--device", "nvidia.com/gpu=all")


def _new_name(directory: Path) -> str:
    """For each start another: the engine may still be making what was asked of it before an agent died."""
    return f"groundfog-{directory.name}-{secrets.token_hex(4)}"


def _has_others_files(folder: Path) -> bool:
    if os.geteuid() == 0:
        return False
    search = ["find", str(folder), "!", "-uid", str(os.geteuid()), "-print", "-quit"]
    return bool(subprocess.run(search, capture_output=True).stdout)


def _variables(program: Program) -> Iterator[str]:
    """In a file, for what stands in a command can be seen by every user of the machine: a key is among them."""
    for name, value in program.environment.items():
        if "\n" in name or "\n" in value or "=" in name or not name:
            raise Unfit(
                f"The variable {name!r} cannot be told to a container: it holds a line's end, or '=' in its name"
            )
        yield f"{name}={value}"


def _mounts(opt_ml: Path, program: Program) -> Iterator[str]:
    """As behind the wall: what it must not change is read-only."""
    yield from ("--volume", f"{opt_ml}:{_INSIDE}")
    scratch = [f"input/data/{channel}" for channel in program.scratch_channels]
    for shielded in ("input/config", "input/data") if scratch else ("input",):
        yield from ("--volume", f"{opt_ml / shielded}:{_INSIDE}/{shielded}:ro")
    for own in scratch:
        yield from ("--volume", f"{opt_ml / own}:{_INSIDE}/{own}")
