"""What a program finds behind bubblewrap, and what it does not.

It finds `/opt/ml` (its inputs read-only), a `/tmp` of its own, the system and the Python environment read-only, and
nothing else: no home, no other job, no network but its host's, no process but its own, no capability, and it is no user
of this machine.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.launch import Program
from groundfog.engine.sandbox import calls, network
from groundfog.engine.sandbox import python as interpreters
from groundfog.engine.sandbox.python import Interpreter

TREATY = Path("/opt/groundfog")
"""Where an interpreter that is not ours finds what it may import of ours."""
NESTED = 2
"""So many processes stand between what is started and the program."""
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_CONFIGURATION = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki/tls/certs",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
_DEVICES = ("/dev/nvidia*", "/dev/dri")
_CALLS = "99"
"""The descriptor at which the agent hands on the file `calls`."""
_FIRST_USER, _USERS = 200_000, 100_000
_SEPARATE = (
    *("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--new-session"),
)
_AS_ROOT = (
    *("--cap-drop", "ALL"),
    *("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"),
)
"""What is left is what `_become` needs, and that drops them too."""
_AS_USER = ("--unshare-user", "--uid", "1000", "--gid", "1000")


@dataclass(frozen=True)
class Wall:
    directory: Path
    program: Program
    interpreter: Interpreter
    processes: int
    """It may have so many."""

    def command(self, inside: Sequence[str]) -> list[str]:
        """What to run so that the command runs behind the wall. The network is the one in which it is started."""
        is_root = os.geteuid() == 0
        # Of an ordinary user, the kernel counts all processes together, but those behind the wall by themselves.
        last = _become(user(self.directory)) if is_root else ["prlimit", f"--nproc={self.processes}", "--"]
        (self.directory / "calls").write_bytes(calls.refusals())
        return [
            bubblewrap() or "bwrap",
            *_SEPARATE,
            *(("--seccomp", _CALLS) if calls.refusals() else ()),
            *("--hostname", self.program.host),
            *(_AS_ROOT if is_root else _AS_USER),
            *self._mounts(),
            *("--chdir", "/opt/ml", "--"),
            *last,
            *inside,
        ]

    def _mounts(self) -> Iterator[str]:
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
        # Processes share memory and semaphores there, which bubblewrap would leave to root.
        yield from ("--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev")  # noqa: S108  its own
        # Before the readable folders: a checkout may well lie below /tmp.
        yield from ("--bind", str(self.directory / "tmp"), "/tmp")  # noqa: S108  its own
        readable = dict(self._readable())
        # bubblewrap would make the folders on the way for root alone.
        for folder in sorted({parent for path in (*readable, Path("/opt/ml")) for parent in path.parents[:-1]}):
            yield from ("--perms", "0755", "--dir", str(folder))
        for inside, path in readable.items():
            yield from ("--ro-bind-try", str(path), str(inside))
        opt_ml = self.directory / "opt_ml"
        yield from ("--bind", str(opt_ml), "/opt/ml")
        scratch = [f"input/data/{channel}" for channel in self.program.scratch_channels]
        for shielded in ("input/config", "input/data") if scratch else ("input",):
            yield from ("--ro-bind", str(opt_ml / shielded), f"/opt/ml/{shielded}")
        for own in scratch:
            yield from ("--bind", str(opt_ml / own), f"/opt/ml/{own}")
        yield from ("--remount-ro", "/")

    def _readable(self) -> Iterator[tuple[Path, Path]]:
        """Where the program finds it, and what it is."""
        for path in (*map(Path, _CONFIGURATION), *self.interpreter.folders):
            yield path, path
        yield from network.files(self.directory, self.program)
        for path in () if self.interpreter.is_ours else interpreters.TREATY:
            yield TREATY / path.parent.name / path.name, path


def bubblewrap() -> str | None:
    return shutil.which("bwrap")


def user(directory: Path) -> int:
    """A number that no account has, and hardly another host at the same time."""
    return _FIRST_USER + int.from_bytes(directory.name.encode()[:8]) % _USERS


def _become(number: int) -> list[str]:
    nobody = [f"--reuid={number}", f"--regid={number}", "--clear-groups"]
    return ["setpriv", *nobody, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]
