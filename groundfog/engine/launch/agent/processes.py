"""What the processes take that a process has started, and those in turn. For the agent: see `__main__.py`."""

import contextlib
import os
import resource
from collections.abc import Iterator

PAGE, _TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def started_below(parent: int) -> list[int]:
    """All that it has started, and what those have."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := _stat(int(name))):
            children.setdefault(int(stat[1]), []).append(int(name))
    return list(_below(parent, children))


def _below(parent: int, children: dict[int, list[int]]) -> Iterator[int]:
    waiting = list(children.get(parent, ()))
    while waiting:
        process = waiting.pop()
        yield process
        waiting += children.get(process, ())


def _stat(process: int) -> list[str]:
    """From the third field on: the second may have spaces and parentheses in it. Empty for one that is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()
    return []


def spent(processes: list[int]) -> float:
    """Seconds of a processor: of these with what they have waited for."""
    return sum(int(ticks) for process in processes for ticks in _stat(process)[11:15]) / _TICKS


def spent_before() -> float:
    """Of what we have waited for."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def own_memory(process: int) -> int:
    """What it shares with nobody, or at least not with a file."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/statm") as file:
        _, resident, shared, *_ = map(int, file.read().split())
        return max(0, resident - shared) * PAGE
    return 0
