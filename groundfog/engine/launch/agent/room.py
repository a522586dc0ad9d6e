"""What a program may take of the machine. For the agent: see `__main__.py`.

The limits are the order's `room`: `groups`, control groups that the launcher made for this host; where there are
none, `data`, bytes of memory for each process; `processes`; `disk`, bytes that may lie in `folders`.
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
    """How much lies in the folders, looked at now and then by `du`: there may be millions of files, put there to keep
    whoever looks from anything else, and links in the place of folders."""

    def __init__(self, room: dict[str, Any]) -> None:
        self._folders: list[str] = room["folders"]
        self._most: int | None = room["disk"]
        self._look: subprocess.Popen[str] | None = None
        self._began, self._next = 0.0, time.monotonic() + LOOK_EVERY

    def is_full(self) -> bool:
        """Whether there is more than may be, as far as is known. Returns at once."""
        now = time.monotonic()
        if self._most is None:
            return False
        if self._look is None and now >= self._next:
            self._began, self._look = now, _du(self._folders)
        if self._look is None or self._look.poll() is None:
            return False
        size = self._close()
        self._next = now + max(LOOK_EVERY, 20 * (now - self._began))
        return size > self._most

    def close(self) -> None:
        if self._look is not None:
            self._look.kill()
            self._close()

    def _close(self) -> int:
        """What the look has found, which is then over."""
        assert self._look is not None
        said, _ = self._look.communicate()
        self._look = None
        return int(said.split()[-2]) if said.endswith("total\n") else 0


def _du(folders: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["nice", "du", "--summarize", "--total", "--one-file-system", "--block-size=1", *folders],
        env={"LC_ALL": "C", "PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
