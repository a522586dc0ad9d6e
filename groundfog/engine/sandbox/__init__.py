"""User code behind a wall, with `/opt/ml` where it expects it.

    wall      what a program finds behind bubblewrap
    calls     what it may not ask of the kernel
    python    what must be in sight for an interpreter to run, and where it finds what is ours
    network   what it reaches
    limits    what it may take of the machine
    container another wall, around images that are not ours
    pod       what stands beside a container: its network, and its life

Nothing that a program leaves behind is to be believed: see `within`.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.engine.sandbox import limits, network, wall
from groundfog.engine.sandbox.container import Containers
from groundfog.engine.sandbox.limits import Amount, Limits
from groundfog.engine.sandbox.network import Door
from groundfog.engine.sandbox.python import TREATY, Interpreter
from groundfog.opt_ml.layout import Layout

__all__ = ["Amount", "Confined", "Containers", "Door", "Limits", "Sandbox", "prepare", "within"]

AGENT = Path(__file__).parents[1] / "launch" / "agent"
_STEERING = ("PYTHON", "LD_", "GLIBC_")
"""Variables by which a user could make a program of ours, where no wall is, load what is the user's."""
_NOTHING = Program(module="", arguments=())
_PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Confined:
    """A command as it is run: where `nested` processes stand between the one that is started and the program."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    nested: int
    network: Mapping[str, Any] | None
    """What the agent asks of the keeper of the host's network; None: it has the machine's."""
    keeper: Sequence[str] = ()
    """What keeps a container's network, whatever that is, and its life."""
    afterwards: Sequence[str] = ()
    """What the agent runs when all has ended, before it says so."""
    room: Mapping[str, Any]
    """What it may take of the machine, in the agent's words."""

    def order(self, program: Program, *, warm: bool = False) -> dict[str, Any]:
        """The agent's `order.json`. `warm`: a program that waits already may become this one."""
        handed_on = {"module": program.module, "arguments": program.arguments, "environment": dict(self.environment)}
        return {
            **asdict(self),
            "max_seconds": program.max_seconds,
            "grace_seconds": program.grace_seconds,
            # What runs in a container, its client has not started.
            "measured": not program.image,
            "warm": handed_on if warm else None,
        }


class Sandbox:
    """`mode` is `auto`, or `none`: everything as a plain process, users' code too, for machines of trusted users.

    `modules` are further folders of Python modules that programs may import; `door` is where the server listens.
    """

    def __init__(
        self,
        mode: str = "auto",
        *,
        modules: Sequence[Path] = (),
        door: Door | None = None,
        limits: Limits | None = None,
        containers: Containers | None = None,
    ) -> None:
        self._wanted, self._modules = mode != "none", [folder.resolve() for folder in modules]
        self._door, self._limits, self._containers = door, limits or Limits(), containers

    def describe(self) -> str:
        """One line, for the one who starts the server."""
        return "; ".join(filter(None, (self._wall(), self._containers.describe() if self._containers else "")))

    def _wall(self) -> str:
        if not self._wanted:
            return "jobs run as plain processes, users' code too, because the settings say so"
        if not self.missing:
            return "; ".join(filter(None, ("jobs run behind bubblewrap", self._limits.describe())))
        return (
            f"{self.missing}: built-in algorithms run as plain processes; user code is refused; "
            "`apt install bubblewrap` puts this right where the kernel allows it"
        )

    @functools.cached_property
    def missing(self) -> str:
        """Why there is no wall; empty if there is one. Tried once, by looking for this Python from behind it."""
        if wall.bubblewrap() is None:
            return "bubblewrap is not installed"
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder)
            prepare(directory)
            self.hand_over(directory)
            trial = self._walled(directory, _NOTHING, ["test", "-x", sys.executable]).order(_NOTHING)
            (directory / "order.json").write_text(json.dumps(trial))
            command = [sys.executable, "-I", "-S", str(AGENT), folder]
            try:
                subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                return "bubblewrap does not answer"
            return _what_came_of(directory)

    @property
    def walled(self) -> bool:
        return self._wanted and not self.missing

    def is_apart(self, program: Program) -> bool:
        """Whether the program's hosts have a network of their own."""
        return program.network != "open" and (bool(program.image) or self.walled)

    def interface(self, program: Program) -> str:
        """The name of the network interface by which a job's hosts find each other."""
        return network.interface(program.network if self.is_apart(program) else "open")

    def confine(self, directory: Path, program: Program) -> Confined:
        """How to run the program in the host's directory. Raises Unfit where that would not be safe."""
        if program.image:
            return self._contained(directory, program)
        if self.walled:
            return self._walled(directory, program)
        if self._wanted and not program.trusted:
            raise Unfit(f"User code is not run without a sandbox, and {self.missing}")
        return self._plain(directory, program)

    def hand_over(self, directory: Path, program: Program = _NOTHING) -> None:
        """Let the program read what was put there, and own what it may write.

        Raises Unfit where an earlier run left a link in a folder's place.
        """
        layout = Layout(directory / "opt_ml")
        for folder in layout.readable:
            for path in _all_below(within(directory, folder)):
                # An earlier run may have left links where it could write, and a mode is changed along them.
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() else 0o444)
        scratch = [within(directory, layout.channel(channel)) for channel in program.scratch_channels]
        for folder in layout.writable:
            within(directory, folder).mkdir(exist_ok=True)
        if os.geteuid() == 0 and self._wanted:
            user = wall.user(directory)
            for folder in (layout.root, *([layout.config.parent] if scratch else ())):
                os.chown(folder, user, user)
            for folder in (*layout.writable, *scratch, directory / "tmp"):
                for path in _all_below(folder):
                    os.chown(path, user, user, follow_symlinks=False)

    def clear(self, directory: Path) -> None:
        """What the machine holds for a host whose processes are gone, beside its directory."""
        limits.release(directory)
        if self._containers is not None:
            self._containers.remove(directory)

    def sweep(self, runs: Path) -> None:
        """The same for hosts whose directory in `runs` is gone."""
        limits.sweep(runs)
        if self._containers is not None:
            self._containers.sweep(runs)

    def _contained(self, directory: Path, program: Program) -> Confined:
        if self._containers is None:
            raise Unfit(f"The image {program.image} runs where the server was started with --launcher container")
        keeper, command = self._containers.commands(directory, program, self._door)
        return Confined(
            command=command,
            # Of the client: nothing that a user says may steer it.
            environment=self._containers.environment,
            folder=str(directory),
            nested=0,
            network=None,
            keeper=keeper,
            afterwards=self._containers.afterwards(directory),
            room=self._limits.room(directory, program),
        )

    def _plain(self, directory: Path, program: Program) -> Confined:
        root, interpreter = directory / "opt_ml", Interpreter(program, self._modules)
        given = {
            name: value
            for name, value in program.environment.items()
            if not (self._wanted and name.startswith(_STEERING))
        }
        return Confined(
            command=interpreter.command,
            environment={
                **_environment(directory / "tmp"),
                **interpreter.search(_treaty(directory), given),
                "SAGEMAKER_BASE_DIR": str(root),
            },
            folder=str(root),
            nested=0,
            network=None,
            room=self._limits.room(directory, program),
        )

    def _walled(self, directory: Path, program: Program, command: Sequence[str] = ()) -> Confined:
        interpreter = Interpreter(program, self._modules)
        behind = wall.Wall(directory, program, interpreter, self._limits.processes)
        return Confined(
            command=behind.command(command or interpreter.command),
            environment={
                **_environment(Path("/tmp")),  # noqa: S108  its own
                **interpreter.search(wall.TREATY, program.environment),
            },
            folder=str(directory),
            nested=wall.NESTED,
            network=None if program.network == "open" else network.wish(program, self._door),
            room=self._limits.room(directory, program),
        )


def _what_came_of(directory: Path) -> str:
    """Why the trial failed; nothing if it did not."""
    limits.release(directory)
    said = (directory / "log").read_text(errors="replace").strip().splitlines()
    try:
        if json.loads((directory / "exit.json").read_text())["exit_code"] == 0:
            return ""
    except FileNotFoundError:
        pass
    return f"bubblewrap does not work here ({said[-1].partition(chr(9))[2] if said else 'no reason given'})"


def _treaty(directory: Path) -> Path:
    """A folder where an interpreter that is not ours finds the treaty, and nothing else of ours."""
    folder = directory / "treaty" / TREATY[0].parent.name
    folder.mkdir(parents=True, exist_ok=True)
    for path in TREATY:
        link = folder / path.name
        if not link.is_symlink():
            link.symlink_to(path)
    return folder.parent


def _environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "TMPDIR": str(home),
        "USER": "algo",
        "LOGNAME": "algo",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # Threads that wait asleep: where others work too, spinning ones make everything several times slower.
        # It is read once, when the threads' library is loaded, so a warm interpreter must be born with it.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def prepare(directory: Path) -> None:
    """The folders of a host."""
    Layout(directory / "opt_ml").lay_out()
    (directory / "tmp").mkdir(exist_ok=True)
    (directory / "log").touch()


def within(directory: Path, path: Path) -> Path:
    """The path, if no link stands on the way to it. Raises Unfit: it may lead anywhere on this machine.

    For paths below `directory` that a program could write. Ask after it has ended, or it may change its mind.
    """
    step = directory
    for part in path.relative_to(directory).parts:
        step /= part
        if step.is_symlink():
            raise Unfit(f"/{step.relative_to(directory)} is a symbolic link")
    return path


def _all_below(folder: Path) -> Iterator[Path]:
    yield folder
    folders = [folder]
    while folders:
        for entry in list(os.scandir(folders.pop())):
            path = Path(entry.path)
            yield path
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
