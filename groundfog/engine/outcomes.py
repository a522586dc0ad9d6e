"""How a program's end reads: what became of the job, and why in words that say what to do."""

import codecs
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from groundfog.engine.channels import feed
from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Host
from groundfog.engine.logs.file import backward
from groundfog.engine.sandbox import within
from groundfog.opt_ml.layout import Layout

Status = Literal["InProgress", "Stopping", "Completed", "Failed", "Stopped"]
Secondary = Literal[
    "Starting",
    "Downloading",
    "DownloadingTrainingImage",
    "Training",
    "Interrupted",
    "Uploading",
    "Stopping",
    "Stopped",
    "MaxRuntimeExceeded",
    "MaxWaitTimeExceeded",
    "Completed",
    "Failed",
]

LONGEST_REASON = 1024
LONGEST_MESSAGE = 1024
"""Bytes."""
_KILLED = 137
_BY_ITSELF = ("", "memory", "disk")
_SHORT_OF = {
    "memory": "The program needed more memory than a job may have here (the server's setting job_memory). "
    "Try smaller batches or a smaller model.",
    "disk": "The program wrote more than a job may here (the server's setting job_disk).",
}
_KILLED_FROM_OUTSIDE = (
    "The program was killed, most likely because it needed more memory than there was. "
    "Try smaller batches, a smaller model or fewer jobs at once."
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    status: Status
    secondary: Secondary
    reason: str | None = None


STOPPED = Outcome(status="Stopped", secondary="Stopped")
WAITED_TOO_LONG = Outcome(status="Stopped", secondary="MaxWaitTimeExceeded")


def failed(reason: str) -> Outcome:
    return Outcome(status="Failed", secondary="Failed", reason=reason[:LONGEST_REASON])


def judge(ends: Sequence[Host], directories: Mapping[str, Path], *, asked_to_stop: float | None) -> Outcome | None:
    """Of hosts of which none runs any more, and their directories by name; None if the work was lost with one.

    The first that failed by itself decides. What fails after the job was asked to stop misses who stopped before it.
    """
    until = math.inf if asked_to_stop is None else asked_to_stop
    failures = [
        (host.ended or 0.0, name, host.exit_code or 0, host.because)
        for host, name in zip(ends, directories, strict=True)
        if (host.because == "input" or (host.exit_code and host.because in _BY_ITSELF)) and (host.ended or 0.0) < until
    ]
    if failures:
        _, name, exit_code, because = min(failures)
        if because == "input":
            return failed(f"ClientError: {feed.failure(directories[name])}")
        return failed(_reason(exit_code, because, directories[name], name if len(directories) > 1 else ""))
    if any(host.because == "time limit" for host in ends):
        return Outcome(status="Stopped", secondary="MaxRuntimeExceeded")
    if asked_to_stop is not None:
        return STOPPED
    if any(host.phase == "lost" for host in ends):
        return None
    return Outcome(status="Completed", secondary="Completed")


def _reason(exit_code: int, because: str, directory: Path, name: str) -> str:
    left = _left(directory, Layout(directory / "opt_ml").failure, 4 * LONGEST_REASON)
    said = left.decode("utf-8", "replace").strip() or _last_line(directory)
    if said.startswith("ClientError:") and not because:
        return said
    why = _SHORT_OF.get(because) or (_KILLED_FROM_OUTSIDE if exit_code == _KILLED else "")
    said = f"{why} {said}".strip()
    code = f", exit code: {exit_code}" + (f" on {name}" if name else "")
    return f"AlgorithmError: {said}"[: LONGEST_REASON - len(code)] + code


def message(directories: Sequence[Path]) -> str:
    """What the program of a processing job left as a last word, on all hosts together. Raises Unfit for no text."""
    words = [_left(directory, Layout(directory / "opt_ml").message, LONGEST_MESSAGE) for directory in directories]
    try:
        # The last character may have been cut in two.
        return codecs.getincrementaldecoder("utf-8")().decode(b"".join(words)[:LONGEST_MESSAGE])
    except UnicodeDecodeError:
        raise Unfit("/opt/ml/output/message is no text in UTF-8") from None


def _left(directory: Path, file: Path, most: int) -> bytes:
    """The beginning of what a program left in a file; nothing if there is none."""
    try:
        opened = os.open(within(directory, file), os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, Unfit):
        return b""
    try:
        return os.read(opened, most)
    except OSError:
        # A folder, or a pipe that somebody writes to.
        return b""
    finally:
        os.close(opened)


def _last_line(directory: Path) -> str:
    """What a program says last tells most, where it left no failure file."""
    return next((event.message.strip() for event, _ in backward(directory / "log") if event.message.strip()), "")
