"""Ends what runs for a host whose actor is gone: `python -I -S watch.py FOLDER`, standard input a pipe from the actor.

The folder is the actor's, with the directories of its hosts, and goes too.
"""

import fcntl
import json
import os
import shutil
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PATIENCE = 10.0


def main(folder: str) -> None:
    sys.stdin.buffer.read()
    clear(Path(folder))


def clear(folder: Path) -> None:
    """Of an actor that is gone: end what still runs, and remove everything."""
    for directory in (folder / "runs").glob("*"):
        _until(_is_killed, directory / "lock")
        for group in _groups(directory / "order.json"):
            _until(_is_removed, group)
    shutil.rmtree(folder, ignore_errors=True)


def _until(done: Callable[[Path], bool], path: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not done(path) and time.monotonic() < end:
        time.sleep(0.05)


def _is_killed(lock: Path) -> bool:
    """An agent's pid stands in the lock that it holds for as long as it lives: see `launch/local.py`."""
    try:
        with lock.open("r+b") as file:
            held = fcntl.fcntl(file, fcntl.F_OFD_GETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            if struct.unpack("hhqqi", held)[0] == fcntl.F_UNLCK:
                return True
            os.kill(int(file.read()), 9)
    except (OSError, ValueError):
        return True
    return False


def _groups(order: Path) -> list[Path]:
    """The control groups that limited its memory."""
    try:
        return [Path(group) for group in json.loads(order.read_text())["room"]["groups"]]
    except (OSError, ValueError, KeyError):
        return []


def _is_removed(group: Path) -> bool:
    """The kernel takes a moment to notice that all its processes are gone."""
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
