"""What a host may take of the machine, and the control groups that see to it.

Memory is limited for all processes of a host together where control groups can be made (version 1 or 2, as root);
elsewhere for each process by itself. https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

import contextlib
import functools
import glob
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.opt_ml.layout import Layout

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AMOUNT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?:(?P<share>%)|(?P<unit>[KMGT]?)(?:i?B)?)", re.IGNORECASE)
_FOLDER = "groundfog"
_PATIENCE = 1.0
"""Seconds that the kernel may take to notice that a group's processes are gone."""


@dataclass(frozen=True)
class Amount:
    """Bytes, or a share of what there is: `16G`, `512 MB`, `90%`; `none` is no limit."""

    text: str

    def __post_init__(self) -> None:
        if self.text != "none" and not _AMOUNT.fullmatch(self.text):
            raise Unfit(f"{self.text!r} is no amount: give bytes, as 16G, a share, as 90%, or none")

    def of(self, whole: int) -> int | None:
        """In bytes."""
        given = _AMOUNT.fullmatch(self.text)
        if given is None:
            return None
        number = float(given["number"])
        return int(whole * number / 100) if given["share"] else int(number * _UNITS[(given["unit"] or "").upper()])


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of each host by itself: `memory` of the machine's, `disk` of what is free when it starts."""

    memory: Amount = field(default_factory=lambda: Amount("90%"))
    disk: Amount = field(default_factory=lambda: Amount("90%"))
    processes: int = 4096

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Limits":
        """What `asdict` made of some, also by way of JSON; what is not in it has its default."""
        amounts = {name: Amount(given["text"]) for name, given in document.items() if name != "processes"}
        return cls(**{**document, **amounts})

    def describe(self) -> str:
        """How well memory is limited, for the one who starts the server; nothing where there is nothing to say."""
        if self.most_memory is None or _groups() is not None:
            return ""
        return "the memory of each process is limited, not of a job as a whole: no control group can be made here"

    def room(self, directory: Path, program: Program) -> dict[str, Any]:
        """The agent's `room`, for a host that is about to start."""
        layout, group = Layout(directory / "opt_ml"), self._group(directory)
        scratch = map(layout.channel, program.scratch_channels)
        return {
            "groups": [str(group)] if group else [],
            "data": None if group else self.most_memory,
            "processes": self.processes if os.geteuid() == 0 else None,
            "disk": self.disk.of(shutil.disk_usage(directory).free),
            "folders": [str(folder) for folder in (layout.root, directory / "tmp", *scratch)],
            "apart": glob.escape(str(layout.data.parent)),
        }

    @property
    def most_memory(self) -> int | None:
        return self.memory.of(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

    def _group(self, directory: Path) -> Path | None:
        """A new one, or the one that an earlier start has left."""
        groups, most = _groups(), self.most_memory
        if groups is None or most is None:
            return None
        group = groups / _name(directory)
        group.mkdir(exist_ok=True)
        _limit(group, most)
        return group


def release(directory: Path) -> None:
    """Remove the host's group; its processes have been killed."""
    groups = _groups()
    if groups is None:
        return
    group, end = groups / _name(directory), time.monotonic() + _PATIENCE
    while group.exists() and time.monotonic() < end:
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.01)


def sweep(runs: Path) -> None:
    """Remove the groups of hosts that are no more."""
    groups = _groups()
    prefix = _name(runs / "-")[:-1]
    for group in () if groups is None else groups.glob(f"{prefix}*"):
        if not (runs / group.name.removeprefix(prefix)).exists():
            with contextlib.suppress(OSError):
                group.rmdir()


def _name(directory: Path) -> str:
    """Servers over other folders share the machine."""
    return f"{hashlib.sha256(str(directory.parent).encode()).hexdigest()[:8]}-{directory.name}"


@functools.cache
def _groups() -> Path | None:
    """Where this process may make groups that limit memory; found by making one."""
    for base in (*_second_version(), *_first_version()):
        trial = base / _FOLDER / f"trial-{os.getpid()}"
        try:
            trial.parent.mkdir(exist_ok=True)
            _pass_on(base)
            _pass_on(trial.parent)
            trial.mkdir()
            try:
                _limit(trial, 1 << 30)
                return trial.parent
            finally:
                trial.rmdir()
        except OSError:
            continue
    return None


def _second_version() -> Iterator[Path]:
    for mount in _mounts("cgroup2"):
        with contextlib.suppress(OSError):
            if "memory" in (mount / "cgroup.controllers").read_text().split():
                yield mount


def _first_version() -> Iterator[Path]:
    """Below our own group, whose limits then hold too; else, where that is out of sight, below what is in sight."""
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for mount in _mounts("cgroup", "memory"):
        for _, controllers, path in own:
            if "memory" in controllers.split(","):
                yield mount / path.lstrip("/")
        yield mount


def _mounts(kind: str, option: str = "") -> Iterator[Path]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, path, found, options, *_ = line.split()
        if found == kind and (not option or option in options.split(",")):
            yield Path(path)


def _pass_on(group: Path) -> None:
    """What is below may limit memory too; version 1 has no such file, and needs none."""
    control = group / "cgroup.subtree_control"
    if control.exists() and "memory" not in control.read_text().split():
        control.write_text("+memory")


def _limit(group: Path, most: int) -> None:
    """Swap is memory too, where it is counted."""
    second = (group / "memory.max").exists()
    (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(most))
    swap, value = ("memory.swap.max", 0) if second else ("memory.memsw.limit_in_bytes", most)
    with contextlib.suppress(OSError):
        (group / swap).write_text(str(value))
