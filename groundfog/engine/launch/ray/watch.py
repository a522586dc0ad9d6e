"""Ends a host whose actor is gone: `python -I -S watch.py LOCK FOLDER`, standard input a pipe from the actor."""

import fcntl
import os
import shutil
import struct
import sys
import time

_PATIENCE = 10.0


def main(lock: str, folder: str) -> None:
    sys.stdin.buffer.read()
    end = time.monotonic() + _PATIENCE
    while agent := _holder(lock):
        os.kill(agent, 9)
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def _holder(lock: str) -> int:
    """The agent's pid, for as long as it lives: it stands in the lock that it holds. See `launch/local.py`."""
    try:
        file = os.open(lock, os.O_RDWR)
        held = fcntl.fcntl(file, fcntl.F_OFD_GETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return int(os.read(file, 20)) if struct.unpack("hhqqi", held)[0] != fcntl.F_UNLCK else 0
    except (OSError, ValueError):
        return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
