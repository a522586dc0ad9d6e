"""What a program may take of the machine. For the agent: see `__main__.py`.

The limits are the order's `room`: `groups`, control groups that the launcher made for this host; where there are
none, `data`, bytes of memory for each process; `processes`; `disk`, bytes that may lie in `folders`, without what is
`apart`.
"""

import contextlib
import os
import resource
import subprocess
import time
from typing import Any

PATIENCE = 2.0
"""Seconds that the kernel may take to clear away what was killed."""
LOOK_EVERY = 2.0
"""Seconds between two looks at the disk; more where a look takes long, so that no more than 5 % of the time go by."""
LAST_LOOK = 1.0
"""Seconds that one may take when the program has ended."""
_DU = ("--summarize", "--total", "--one-file-system", "--block-size=1")


def enter(room: dict[str, Any]) -> None:
    """In the child, before it becomes the program."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, most in ((resource.RLIMIT_NPROC, room["processes"]), (resource.RLIMIT_DATA, room["data"])):
        if most is not None:
            resource.setrlimit(kind, (most, most))
    for group in room["groups"]:
        with open(f"{group}/cgroup.procs", "w") as members:
            members.write("0")
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("500")


def was_short_of_memory(room: dict[str, Any]) -> bool:
    """Whether a process was killed because all of them together wanted more."""
    for group in room["groups"]:
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError), open(f"{group}/{name}") as file:
                if any(line.split()[:1] == ["oom_kill"] and line.split()[1] != "0" for line in file):
                    return True
    return False


def members(room: dict[str, Any]) -> list[int] | None:
    """The processes in the groups; None where there are no groups."""
    found = [_read(f"{group}/cgroup.procs") for group in room["groups"]]
    return [int(process) for text in found for process in text.split()] if found else None


def used_memory(room: dict[str, Any]) -> int | None:
    """What the groups hold, but for copies of files that can be read again; None where there are no groups."""
    used = None
    for group in room["groups"]:
        for name, idle in (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "total_inactive_file")):
            with contextlib.suppress(OSError):
                counted = dict(line.split() for line in _read(f"{group}/memory.stat").splitlines())
                used = (used or 0) + max(0, int(_read(f"{group}/{name}")) - int(counted.get(idle, 0)))
    return used


def spent(room: dict[str, Any]) -> float | None:
    """Seconds of a processor that the groups count, from their beginning; None where they do not."""
    for group in room["groups"]:
        with contextlib.suppress(OSError):
            counted = dict(line.split() for line in _read(f"{group}/cpu.stat").splitlines())
            if "usage_usec" in counted:
                return int(counted["usage_usec"]) / 1e6
    return None


def most_memory(room: dict[str, Any]) -> int:
    """What the host may have."""
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for group in room["groups"]:
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):
                most = min(most, int(_read(f"{group}/{name}")))
    return most


def leave(room: dict[str, Any]) -> None:
    """Remove the groups, whose processes have been killed; the launcher does, too, where the agent dies before."""
    end = time.monotonic() + PATIENCE
    for group in room["groups"]:
        while os.path.exists(group) and time.monotonic() < end:
            try:
                os.rmdir(group)
            except OSError:
                time.sleep(0.005)


class Disk:
    """How much lies in the folders, looked at now and then by `du`: there may be millions of files, put there to keep
    whoever looks from anything else, and links in the place of folders."""

    def __init__(self, room: dict[str, Any]) -> None:
        self._room = room
        self._most: int | None = room["disk"]
        self._look: subprocess.Popen[str] | None = None
        self._began, self._next = 0.0, time.monotonic() + LOOK_EVERY
        self.share: float | None = None
        """Of what may be there; None while nothing is known."""

    def is_full(self) -> bool:
        """Whether there is more than may be, as far as is known. Returns at once."""
        now = time.monotonic()
        if self._most is None:
            return False
        if self._look is None and now >= self._next:
            self._began, self._look = now, _du(self._room)
        if self._look is None or self._look.poll() is None:
            return False
        self._close(self._most)
        self._next = now + max(LOOK_EVERY, 20 * (now - self._began))
        return self.share is not None and self.share > 1

    def close(self) -> None:
        """With a look at what a program has left that was too short for one."""
        if self._most is not None and self.share is None:
            self._look = self._look or _du(self._room)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._look.wait(LAST_LOOK)
        if self._look is not None and self._most is not None:
            self._look.kill()
            self._close(self._most)

    def _close(self, most: int) -> None:
        """The look is over, whatever it has found."""
        assert self._look is not None
        said, _ = self._look.communicate()
        self._look = None
        if said.endswith("total\n"):
            self.share = int(said.split()[-2]) / max(1, most)


def _read(name: str) -> str:
    with open(name) as file:
        return file.read()


def _du(room: dict[str, Any]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["nice", "du", *_DU, f"--exclude={room['apart']}", *room["folders"]],
        env={"LC_ALL": "C", "PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
