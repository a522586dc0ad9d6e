"""What a program writes, in whatever pieces, as lines with a time. For the agent: see `__main__.py`."""

import contextlib
import os
import time

MOST_IN_A_LINE = 64 << 10
MOST_IN_A_LOG = 256 << 20
PROGRESS_EVERY = 5.0
"""Seconds between two lines of a bar that only ever goes back to the line's beginning."""


class Lines:
    """Turns what a program writes, in whatever pieces, into lines with a time that never goes back."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._room = MOST_IN_A_LOG - os.fstat(self._file).st_size
        self._pending = b""
        self._last = 0
        self._shown = time.monotonic()

    def write(self, data: bytes) -> None:
        *whole, self._pending = (self._pending + data).split(b"\n")
        out = [line for text in whole for line in _split(_shown(text))]
        while len(self._pending) > MOST_IN_A_LINE:
            start, self._pending = self._pending[:MOST_IN_A_LINE], self._pending[MOST_IN_A_LINE:]
            out.append(_shown(start))
        bar, _, rest = self._pending.rpartition(b"\r")
        if not out and bar and time.monotonic() - self._shown > PROGRESS_EVERY:
            out, self._pending = [_shown(bar)], rest
        self._append(out)

    def close(self) -> None:
        if self._pending:
            self._append([_shown(self._pending)])
        os.close(self._file)

    def _append(self, lines: list[bytes]) -> None:
        if not lines or self._room <= 0:
            return
        self._shown = time.monotonic()
        self._last = max(self._last, int(time.time() * 1000))
        block = b"".join(b"%d\t%s\n" % (self._last, _text(line)) for line in lines)
        self._room -= len(block)
        if self._room <= 0:
            block += b"%d\tThe log is full (%d bytes): what follows is not kept.\n" % (self._last, MOST_IN_A_LOG)
        _write_all(self._file, block)


def _shown(line: bytes) -> bytes:
    """What a terminal would show of a line that goes back to its beginning: the last thing written."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def _split(line: bytes) -> list[bytes]:
    return [line[start : start + MOST_IN_A_LINE] for start in range(0, len(line), MOST_IN_A_LINE)] or [b""]


def _text(line: bytes) -> bytes:
    return line.decode("utf-8", "replace").encode()


def _write_all(file: int, block: bytes) -> None:
    """A full disk costs the program its log, not its life."""
    with contextlib.suppress(OSError):
        while block:
            block = block[os.write(file, block) :]
