"""A script's process: what it says passes through, SIGTERM is passed on, and its last words are kept."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

MOST_LINES = 200
"""Of standard error that are looked at when the script has failed."""
LONGEST_MESSAGE = 600
"""Of them in the failure text, so that the command behind it is within the 1,024 characters that are shown."""
_PATIENCE = 5.0
"""Seconds for what a script's own children still have to say."""
_TRACEBACK = "Traceback (most recent call last):"
_PROCESS = re.compile(r"(?:\[\d+(?:,[^\]]*)?\]<\w+>:)?(?:\[rank\d+\]:)? ?")
"""Before what one of many says, by mpirun or horovodrun, and by torch."""
RESOLVER = Path("/etc/resolv.conf")
"""A host that reaches nothing but the server and its job's other hosts has none."""
_NOBODY_THERE = re.compile(r"in name resolution|Name or service not known|Network is unreachable")
"""What the C library says, which frameworks pass on: a hub's are not the last words that follow."""
_ALONE = (
    "Jobs reach nothing beyond this server. "
    "They do where it runs with --network open, and the job without EnableNetworkIsolation."
)
_CHILD_FAILED = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError"
_LOGGED_BY_TORCHRUN = re.compile(r"[EWI]\d{4} [\d:.]+ ")
_NAMES_AN_ERROR = re.compile(r"\b[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)\b")


Line = Callable[[bytes], bytes]


class ScriptFailed(Exception):
    """In the toolkit's words."""

    def __init__(self, command: Sequence[str], code: int, said: str, why: str = "") -> None:
        lines = ["ExecuteUserScriptError:", f"ExitCode {code}", f'ErrorMessage "{said}"']
        if why:
            lines.append(f'ExtraInfo "{why}"')
        super().__init__("\n".join([*lines, f'Command "{shlex.join(command)}"']))


def terminate(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)


def run(
    command: Sequence[str],
    *,
    folder: Path,
    variables: Mapping[str, str],
    change: Line | None = None,
    end: Callable[[int], None] = terminate,
) -> None:
    """Until it has ended; `change` makes of each line what is passed on, and `end` asks the process to end. Raises
    ScriptFailed for an exit code that is not 0."""
    out = None if change is None else subprocess.PIPE
    process = subprocess.Popen(command, cwd=folder, env=dict(variables), stdout=out, stderr=subprocess.PIPE)
    before = signal.signal(signal.SIGTERM, lambda *_: end(process.pid) if process.poll() is None else None)
    lines: deque[str] = deque(maxlen=MOST_LINES)
    streams = [(process.stderr, sys.stderr.buffer, lines), (process.stdout, sys.stdout.buffer, None)]
    listeners = [threading.Thread(target=_listen, args=(*one, change), daemon=True) for one in streams if one[0]]
    for listener in listeners:
        listener.start()
    code = process.wait()
    for listener in listeners:
        listener.join(_PATIENCE)
    signal.signal(signal.SIGTERM, before)
    if code:
        raise ScriptFailed(command, code if code > 0 else 128 - code, last_words(list(lines)), explain(code, lines))


def explain(code: int, lines: Iterable[str]) -> str:
    """What the script itself does not say of its end."""
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return "OutOfMemory: Process killed by SIGKILL (signal 9)"
    return _ALONE if not RESOLVER.exists() and any(_NOBODY_THERE.search(line) for line in lines) else ""


def last_words(lines: list[str]) -> str:
    """The exception of the last traceback, with all that follows; else the end, from where it first names an error.
    Of many processes, the one that says so first."""
    lines = _before_torchrun(_of_one_process(lines))
    start = max((number for number, line in enumerate(lines[:-1]) if _TRACEBACK in line), default=None)
    if start is None:
        start = next((number for number, line in enumerate(lines) if _NAMES_AN_ERROR.search(line)), 0)
    else:
        start += 1
        while start < len(lines) - 1 and lines[start].startswith((" ", "\t")):
            start += 1
    said = "\n".join(lines[start:]).strip()
    return said if len(said) <= LONGEST_MESSAGE else "..." + said[-LONGEST_MESSAGE:]


def _of_one_process(lines: list[str]) -> list[str]:
    """Of the first with a traceback, where many speak, each with its own mark; else what all said."""
    marked = [(mark[0], line[mark.end() :]) for line in lines if (mark := _PROCESS.match(line))]
    first = next((mark.strip() for mark, line in marked if mark.strip() and _TRACEBACK in line), "")
    return [line for mark, line in marked if mark.strip() == first] if first else lines


def _before_torchrun(lines: list[str]) -> list[str]:
    """What the script said, where it told an error: torchrun adds a traceback of its own, which does not say why."""
    end = next((number for number, line in enumerate(lines) if line.startswith(_CHILD_FAILED)), 0)
    start = max((number for number, line in enumerate(lines[:end]) if _TRACEBACK in line), default=0)
    said = [line for line in lines[:start] if not _LOGGED_BY_TORCHRUN.match(line)]
    return said if any(_TRACEBACK in line or _NAMES_AN_ERROR.search(line) for line in said) else lines


def _listen(stream: IO[bytes], out: IO[bytes], lines: deque[str] | None, change: Line | None) -> None:
    """Pieces are passed on as they come, since a progress bar never ends its line, unless lines are to be changed."""
    pending = b""
    while piece := os.read(stream.fileno(), 1 << 16):
        *whole, pending = (pending + piece).split(b"\n")
        out.write(piece if change is None else b"".join(change(line) + b"\n" for line in whole))
        out.flush()
        if lines is not None:
            lines.extend(_shown(line) for line in whole if line.strip())
        pending = pending[-(1 << 16) :]
    if pending and change is not None:
        out.write(change(pending))
        out.flush()
    if pending.strip() and lines is not None:
        lines.append(_shown(pending))


def _shown(line: bytes) -> str:
    """What a terminal would show of a line that goes back to its beginning."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
