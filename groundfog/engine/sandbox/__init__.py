"""User code behind a wall, with `/opt/ml` where it expects it.

Behind bubblewrap a program finds `/opt/ml` (its inputs read-only), a `/tmp` of its own, the system and the Python
environment read-only, and nothing else: no home, no other job, no network, no process but its own, no capability,
and it is no user of this machine. Nothing that it leaves behind is to be believed: see `within`.

    python    what must be in sight for an interpreter to run, and where it finds what is ours
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.engine.sandbox.python import TREATY, TREATY_INSIDE, Interpreter
from groundfog.opt_ml.layout import Layout

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_CONFIGURATION = (
    "/etc/alternatives",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
_DEVICES = ("/dev/nvidia*", "/dev/dri")
_STEERING = ("PYTHON", "LD_", "GLIBC_")
"""Variables by which a user could make a program of ours, where no wall is, load what is the user's."""
_MOST_PROCESSES = 4096
_NOTHING = Program(module="", arguments=())
_FIRST_USER, _USERS = 200_000, 100_000


@dataclass(frozen=True, kw_only=True)
class Confined:
    """A command as it is run: where `nested` processes stand between the one that is started and the program."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    nested: int
    most_processes: int | None


class Sandbox:
    """`mode` is `auto`, or `none`: everything as a plain process, users' code too, for machines of trusted users.

    `modules` are further folders of Python modules that programs may import.
    """

    def __init__(self, mode: str = "auto", *, modules: Sequence[Path] = ()) -> None:
        self._wanted, self._modules = mode != "none", [folder.resolve() for folder in modules]

    def describe(self) -> str:
        """One line, for the one who starts the server."""
        if not self._wanted:
            return "jobs run as plain processes, users' code too, because the settings say so"
        if not self.missing:
            return "jobs run behind bubblewrap"
        return (
            f"{self.missing}: built-in algorithms run as plain processes; user code is refused; "
            "`apt install bubblewrap` puts this right where the kernel allows it"
        )

    @functools.cached_property
    def missing(self) -> str:
        """Why there is no wall; empty if there is one. Tried once, by looking for this Python from behind it."""
        if _bubblewrap() is None:
            return "bubblewrap is not installed"
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder)
            prepare(directory)
            self.hand_over(directory)
            trial = self._walled(directory, _NOTHING, ["test", "-x", sys.executable])
            try:
                tried = subprocess.run(trial.command, env=dict(trial.environment), capture_output=True, timeout=30)
            except subprocess.TimeoutExpired:
                return "bubblewrap does not answer"
        said = tried.stderr.decode(errors="replace").strip().splitlines()
        return f"bubblewrap does not work here ({said[-1] if said else 'no reason given'})" if tried.returncode else ""

    @property
    def walled(self) -> bool:
        return self._wanted and not self.missing

    def confine(self, directory: Path, program: Program) -> Confined:
        """How to run the program in the host's directory. Raises Unfit where that would not be safe."""
        if self.walled:
            return self._walled(directory, program)
        if self._wanted and not program.trusted:
            raise Unfit(f"User code is not run without a sandbox, and {self.missing}")
        return self._plain(directory, program)

    def hand_over(self, directory: Path) -> None:
        """Let the program read what was put there, and own what it may write.

        Raises Unfit where an earlier run left a link in a folder's place.
        """
        layout = Layout(directory / "opt_ml")
        for path in _all_below(layout.root / "input"):
            path.chmod(0o755 if path.is_dir() else 0o444)
        for folder in layout.writable:
            within(directory, folder).mkdir(exist_ok=True)
        if os.geteuid() == 0 and self._wanted:
            user = _user(directory)
            os.chown(layout.root, user, user)
            for folder in (*layout.writable, directory / "tmp"):
                for path in _all_below(folder):
                    os.chown(path, user, user, follow_symlinks=False)

    def _plain(self, directory: Path, program: Program) -> Confined:
        root, interpreter = directory / "opt_ml", Interpreter(program, self._modules)
        given = {
            name: value
            for name, value in program.environment.items()
            if not (self._wanted and name.startswith(_STEERING))
        }
        treaty = directory / "treaty"
        for path in () if interpreter.is_ours else TREATY:
            treaty.joinpath(path.parent.name).mkdir(parents=True, exist_ok=True)
            link = treaty / path.parent.name / path.name
            link.unlink(missing_ok=True)
            link.symlink_to(path)
        return Confined(
            command=interpreter.command,
            environment={
                **_environment(directory / "tmp"),
                **interpreter.search(treaty),
                **given,
                "SAGEMAKER_BASE_DIR": str(root),
            },
            folder=root,
            nested=0,
            most_processes=None,
        )

    def _walled(self, directory: Path, program: Program, command: Sequence[str] = ()) -> Confined:
        as_root, interpreter = os.geteuid() == 0, Interpreter(program, self._modules)
        return Confined(
            command=[
                _bubblewrap() or "bwrap",
                *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
                *("--die-with-parent", "--new-session", "--hostname", program.host),
                *(_ROOT if as_root else ("--unshare-user", "--uid", "1000", "--gid", "1000")),
                *_mounts(directory, interpreter),
                *("--chdir", "/opt/ml", "--"),
                *(_become(_user(directory)) if as_root else ()),
                *(command or interpreter.command),
            ],
            environment={
                **_environment(Path("/tmp")),  # noqa: S108  its own
                **interpreter.search(TREATY_INSIDE),
                **program.environment,
            },
            folder=directory,
            nested=2,
            most_processes=_MOST_PROCESSES if as_root else None,
        )


def _mounts(directory: Path, interpreter: Interpreter) -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.exists():
            yield from ("--ro-bind", str(path), str(path))
    yield from ("--proc", "/proc", "--dev", "/dev")
    for pattern in _DEVICES:
        for device in Path("/").glob(pattern[1:]):
            yield from ("--dev-bind", str(device), str(device))
    # Before the readable folders: a checkout may well lie below /tmp.
    yield from ("--bind", str(directory / "tmp"), "/tmp")  # noqa: S108  its own
    readable = {path: path for path in (*map(Path, _CONFIGURATION), *interpreter.folders)}
    if not interpreter.is_ours:
        readable |= {TREATY_INSIDE / path.parent.name / path.name: path for path in TREATY}
    # bubblewrap would make the folders on the way for root alone.
    for folder in sorted({parent for path in (*readable, Path("/opt/ml")) for parent in path.parents[:-1]}):
        yield from ("--perms", "0755", "--dir", str(folder))
    for inside, path in readable.items():
        yield from ("--ro-bind-try", str(path), str(inside))
    opt_ml = directory / "opt_ml"
    yield from ("--bind", str(opt_ml), "/opt/ml", "--ro-bind", str(opt_ml / "input"), "/opt/ml/input")
    yield from ("--remount-ro", "/")


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


_ROOT = (
    *("--cap-drop", "ALL"),
    *("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"),
)
"""What is left is what `_become` needs, and that drops them too."""


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


def _bubblewrap() -> str | None:
    return shutil.which("bwrap")


def _become(user: int) -> list[str]:
    nobody = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return ["setpriv", *nobody, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]


def _user(directory: Path) -> int:
    """A number that no account has, and hardly another host at the same time."""
    return _FIRST_USER + int.from_bytes(directory.name.encode()[:8]) % _USERS


def _all_below(folder: Path) -> Iterator[Path]:
    yield folder
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _all_below(Path(entry.path))
        else:
            yield Path(entry.path)
