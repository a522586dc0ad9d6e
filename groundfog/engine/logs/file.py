"""A log stream is a file of lines, in the order in which they came. Positions are offsets of bytes.

<milliseconds>\\t<text>                            an agent wrote it; it came when it was said
<milliseconds> <milliseconds> <text as JSON>      a client put it; the second time is when it came
"""

import io
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Event:
    """Times are milliseconds since the epoch."""

    timestamp: int
    message: str
    ingested: int


def append(file: Path, events: Iterable[Event]) -> None:
    lines = [f"{event.timestamp} {event.ingested} {json.dumps(event.message)}\n" for event in events]
    with file.open("r+b") as out:
        size = out.seek(0, os.SEEK_END)
        if size and os.pread(out.fileno(), 1, size - 1) != b"\n":
            # What a crash left of a line that nobody was told is kept.
            lines.insert(0, "\n")
        out.write("".join(lines).encode())


def say(file: Path, text: str) -> None:
    """A line of our own in a log that an agent writes: what is appended in one write is not mixed with the agent's."""
    with file.open("ab", buffering=0) as log:
        log.write(b"%d\t%s\n" % (time.time() * 1000, text.encode()))


def forward(file: Path, start: int = 0) -> Iterator[tuple[Event, int]]:
    """Events from an offset on, each with the offset after it. A line that is still being written is not there yet."""
    while block := _whole_lines(file, start):
        for line in io.BytesIO(block):
            start += len(line)
            if (event := _read(line)) is not None:
                yield event, start


def backward(file: Path, end: int | None = None) -> Iterator[tuple[Event, int]]:
    """Events before an offset (or the end), the last one first, each with its own offset."""
    with file.open("rb") as lines:
        end = lines.seek(0, os.SEEK_END) if end is None else end
        tail = b""
        """What was read already but belongs to a line that begins before `end`."""
        complete = False
        while end > 0:
            start = max(0, end - _BLOCK)
            lines.seek(start)
            tail, end = lines.read(end - start) + tail, start
            if not complete:
                tail, complete = tail[: tail.rfind(b"\n") + 1], b"\n" in tail
            found = _line_starts(tail, whole=start == 0)
            for line_start, line_end in zip(reversed(found[:-1]), reversed(found[1:]), strict=True):
                if (event := _read(tail[line_start:line_end])) is not None:
                    yield event, start + line_start
            tail = tail[: found[0]]


def end_of(file: Path) -> int:
    """The offset after the last whole line."""
    for _, start in backward(file):
        with file.open("rb") as lines:
            lines.seek(start)
            return start + len(lines.readline())
    return 0


def _whole_lines(file: Path, start: int) -> bytes:
    """Some lines from an offset on. The file is open no longer than that: many streams may be read together."""
    with file.open("rb") as lines:
        lines.seek(start)
        block = lines.read(_BLOCK)
        return block[: block.rfind(b"\n") + 1] or _unless_cut_off(block + lines.readline())


def _unless_cut_off(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else b""


def _line_starts(block: bytes, *, whole: bool) -> list[int]:
    """Where lines start in a block that ends with a line's end, and its length; without `whole`, not the first one."""
    starts = [0] if whole else []
    position = block.find(b"\n") + 1
    while 0 < position < len(block):
        starts.append(position)
        position = block.find(b"\n", position) + 1
    return [*starts, len(block)]


def _read(line: bytes) -> Event | None:
    """None for a line that a crash cut off."""
    try:
        head, tab, text = line.rstrip(b"\n").partition(b"\t")
        if tab and head.isdigit():
            return Event(int(head), text.decode("utf-8", "replace"), int(head))
        said, came, quoted = line.split(b" ", 2)
        return Event(int(said), str(json.loads(quoted)), int(came))
    except ValueError:
        return None
