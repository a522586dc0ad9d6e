"""What a program may take of the machine. For the agent: see `__main__.py`.

The limits are the order's `room`: `groups`, control groups that the launcher made for this host; where there are
none, `data`, bytes of memory for each process; `processes`; `disk`, bytes that may lie in `folders`.
"""

import contextlib
import os
import resource
import time
from collections.abc import Iterable
from typing import Any

PATIENCE = 2.0
"""Seconds that the kernel may take to clear away what was killed."""
LOOK_EVERY = 2.0
"""Seconds between two looks at the disk; more where a look takes long, so that looking never takes more than 5 %."""


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
    """How much lies in the folders, looked at now and then."""

    def __init__(self, room: dict[str, Any]) -> None:
        self._folders, self._most = room["folders"], room["disk"]
        self._next = time.monotonic() + LOOK_EVERY

    def is_full(self) -> bool:
        """Whether there is more than may be, as far as is known."""
        now = time.monotonic()
        if self._most is None or now < self._next:
            return False
        full: bool = sum(map(_size, self._folders)) > self._most
        end = time.monotonic()
        self._next = end + max(LOOK_EVERY, 20 * (end - now))
        return full


def _size(folder: str) -> int:
    """In bytes on the disk; what goes away meanwhile is not counted, and no link is followed."""
    size, folders = 0, [folder]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            size += _count(entries, folders)
    return size


def _count(entries: "Iterable[os.DirEntry[str]]", folders: list[str]) -> int:
    size = 0
    for entry in entries:
        with contextlib.suppress(OSError):
            size += entry.stat(follow_symlinks=False).st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
    return size
