"""What a program takes of the machine, measured now and then. For the agent: see `__main__.py`.

Each line of JSON in the file `usage` has `at`, seconds since the epoch, and percentages by CloudWatch's names for them:
of the processor since the line before, of one core, so that four busy ones are 400; of the memory and the
disk that the host may have; of GPUs, 100 for each. A program that ends soon leaves one line too.
"""

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundfog.engine.launch.agent import processes, room
    from groundfog.engine.launch.agent.gpus import Gpus
else:
    import processes
    import room
    from gpus import Gpus

FIRST, GROWTH, MOST = 0.1, 3, 10.0
"""Seconds until the first look, and between two later ones; more where looks would take more than 2 % of a core."""
SHORTEST = 1.0
"""Seconds that are worth a line of their own."""


class Meter:
    """Over one program, from now on; `order` says whether its processes are ours to see at all."""

    def __init__(self, order: dict[str, Any], disk: room.Disk) -> None:
        self._room, self._disk, self._is_nested = order["room"], disk, bool(order["nested"])
        self._gpus = Gpus(order["environment"].get("CUDA_VISIBLE_DEVICES"))
        self._known: dict[str, float] = {}
        """Since the last line."""
        self._told: set[str] = set()
        self._line = self._last = (time.monotonic(), self._processor(self._running()))
        """When, and how many seconds of a processor were spent by then: at the last line, at the last look."""
        self._pause, self._next = FIRST, self._line[0] + FIRST if order.get("measured") else float("inf")

    @property
    def patience(self) -> float:
        """Seconds until there is something to do."""
        return 1.0 if self._gpus.are_asked else max(0.0, self._next - time.monotonic())

    def look(self) -> None:
        """Returns at once where it is not time."""
        began = time.monotonic()
        if self._gpus.are_asked:
            if self._gpus.are_silent():
                return
            self._known.update(self._gpus.answer())
            self._write()
        elif began >= self._next:
            cost = time.thread_time()
            self._measure(self._running())
            if not self._gpus.ask():
                self._write()
            self._pause = min(MOST, GROWTH * self._pause)
            self._next = began + max(self._pause, 50 * (time.thread_time() - cost))

    def close(self) -> None:
        """The program has ended, with all that it started."""
        self._gpus.close()
        if self._next == float("inf"):
            return
        # Behind a wall, nobody waits for what has ended, and so nobody is told what it has spent.
        if not self._is_nested or room.spent(self._room) is not None:
            self._measure([])
        if self._disk.share is not None:
            self._known["DiskUtilization"] = 100 * self._disk.share
        self._write(at_least=SHORTEST if "DiskUtilization" in self._told else 0.0)

    def _measure(self, running: list[int]) -> None:
        now, spent = self._last = time.monotonic(), self._processor(running)
        since, before = self._line
        self._known["CPUUtilization"] = 100 * max(0.0, spent - before) / max(1e-3, now - since)
        if running:
            used = room.used_memory(self._room)
            used = sum(map(processes.own_memory, running)) if used is None else used
            self._known["MemoryUtilization"] = 100 * used / room.most_memory(self._room)
        if self._disk.share is not None:
            self._known["DiskUtilization"] = 100 * self._disk.share

    def _running(self) -> list[int]:
        members = room.members(self._room)
        return processes.started_below(os.getpid()) if members is None else members

    def _processor(self, running: list[int]) -> float:
        counted = room.spent(self._room)
        if counted is not None:
            return counted
        return processes.spent(running) + (0.0 if self._is_nested else processes.spent_before())

    def _write(self, at_least: float = SHORTEST) -> None:
        """What is known now, if it is of so many seconds."""
        if not self._known or self._last[0] - self._line[0] < at_least:
            return
        look = {"at": time.time(), **{name: round(value, 4) for name, value in self._known.items()}}
        with contextlib.suppress(OSError), open("usage", "a") as file:
            file.write(json.dumps(look) + "\n")
        self._told.update(self._known)
        self._line, self._known = self._last, {}
