"""What lies in a folder that a program may change at any moment, links put in the place of what was looked at included.

So nothing is opened by its path: each step is taken from the folder before, and never along a link.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MOST_FILES = 100_000
DEEPEST = 64
"""Folders within one another; each is held open while what is in it is looked at."""

Mark = tuple[int, int, int]
"""Which file it is, how long, and when it was written: what has the same mark has not changed."""


@dataclass(frozen=True)
class Found:
    name: str
    """From the folder on, with `/`."""
    mark: Mark
    _folder: int
    _base: str

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Raises OSError if it is no file any more. Only while the folder is being walked."""
        file = os.open(self._base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FileNotFoundError(self.name)
            yield file
        finally:
            os.close(file)


def walk(directory: Path, folder: str, most: int = MOST_FILES) -> Iterator[Found]:
    """The files below a folder of the directory, in the order of names, and no more than `most` of them; links and what
    is no file are passed over."""
    opened = _open_below(directory, folder)
    if opened is None:
        return
    try:
        for number, found in enumerate(_files(opened, "", DEEPEST)):
            if number == most:
                return
            yield found
    finally:
        os.close(opened)


def mark_of(status: os.stat_result) -> Mark:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _open_below(directory: Path, folder: str) -> int | None:
    """None where there is no such folder, or a link on the way to it."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in folder.split("/"):
        below = _open_folder(part, opened)
        os.close(opened)
        if below is None:
            return None
        opened = below
    return opened


def _open_folder(name: str, within: int) -> int | None:
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    except OSError:
        return None


def _files(folder: int, before: str, deepest: int) -> Iterator[Found]:
    for name in _names(folder):
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield Found(before + name, mark_of(status), folder, name)
        elif stat.S_ISDIR(status.st_mode) and deepest:
            below = _open_folder(name, folder)
            if below is not None:
                try:
                    yield from _files(below, f"{before}{name}/", deepest - 1)
                finally:
                    os.close(below)


def _names(folder: int) -> list[str]:
    """Those that can be part of a key: the name of a file need not be text."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _is_text(entry.name))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
