"""A script's process: what it says passes through, SIGTERM is passed on, and its last words are kept."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

MOST_LINES = 200
"""Of standard error that are looked at when the script has failed."""
LONGEST_MESSAGE = 600
"""Of them in the failure text, so that the command behind it is within the 1,024 characters that are shown."""
_PATIENCE = 5.0
"""Seconds for what a script's own children still have to say."""
_TRACEBACK = "Traceback (most recent call last):"
_NAMES_AN_ERROR = re.compile(r"\b[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)\b")


class ScriptFailed(Exception):
    """In the toolkit's words."""

    def __init__(self, command: Sequence[str], code: int, said: str) -> None:
        lines = ["ExecuteUserScriptError:", f"ExitCode {code}", f'ErrorMessage "{said}"']
        if code == 128 + signal.SIGKILL:
            lines.append('ExtraInfo "OutOfMemory: Process killed by SIGKILL (signal 9)"')
        super().__init__("\n".join([*lines, f'Command "{shlex.join(command)}"']))


def run(command: Sequence[str], *, folder: Path, variables: Mapping[str, str]) -> None:
    """Until it has ended. Raises ScriptFailed unless with exit code 0."""
    process = subprocess.Popen(command, cwd=folder, env=dict(variables), stderr=subprocess.PIPE)
    before = signal.signal(signal.SIGTERM, lambda *_: _pass_on(process))
    assert process.stderr is not None
    lines: deque[str] = deque(maxlen=MOST_LINES)
    listener = threading.Thread(target=_listen, args=(process.stderr, lines), daemon=True)
    listener.start()
    code = process.wait()
    listener.join(_PATIENCE)
    signal.signal(signal.SIGTERM, before)
    if code:
        raise ScriptFailed(command, code if code > 0 else 128 - code, last_words(list(lines)))


def last_words(lines: list[str]) -> str:
    """The exception of the last traceback, with all that follows; else the end, from where it first names an error."""
    start = max((number for number, line in enumerate(lines[:-1]) if _TRACEBACK in line), default=None)
    if start is None:
        start = next((number for number, line in enumerate(lines) if _NAMES_AN_ERROR.search(line)), 0)
    else:
        start += 1
        while start < len(lines) - 1 and lines[start].startswith((" ", "\t")):
            start += 1
    said = "\n".join(lines[start:]).strip()
    return said if len(said) <= LONGEST_MESSAGE else "..." + said[-LONGEST_MESSAGE:]


def _pass_on(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()


def _listen(stream: IO[bytes], lines: deque[str]) -> None:
    """Pieces are passed on as they come: a progress bar never ends its line."""
    pending = b""
    while piece := os.read(stream.fileno(), 1 << 16):
        sys.stderr.buffer.write(piece)
        sys.stderr.buffer.flush()
        *whole, pending = (pending + piece).split(b"\n")
        lines.extend(_shown(line) for line in whole if line.strip())
        pending = pending[-(1 << 16) :]
    if pending.strip():
        lines.append(_shown(pending))


def _shown(line: bytes) -> str:
    """What a terminal would show of a line that goes back to its beginning."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
