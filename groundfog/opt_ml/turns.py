"""Whose turn it is to read a Pipe channel, and which epoch comes next.

In `/opt/ml/pipe_state`, since each epoch may be read by another process: a lock for as long as one is being read, and
beside it the next epoch and who read the last.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "HOROVOD_RANK", "PMI_RANK")
"""Where torchrun, Open MPI, Horovod and other MPIs say which worker this is."""
_PATIENCE = 10.0
"""Seconds for the one before, of the same reader, to let go: a worker of a DataLoader takes a moment to end."""


class PipeModeError(Exception):
    """The channel cannot be read like this; the text says what to change."""


@dataclass(frozen=True)
class Reader:
    """A process, and which worker of the job it is, if that is known."""

    process: int
    born: str
    """A process's number may be given again."""
    rank: str | None

    @classmethod
    def this_process(cls) -> Reader:
        rank = next((os.environ[name] for name in _RANKS if os.environ.get(name)), None)
        return cls(os.getpid(), _born(os.getpid()), rank)

    @property
    def lives(self) -> bool:
        return self.born != "" and _born(self.process) == self.born

    def __str__(self) -> str:
        process = f"process {self.process}"
        return process if self.rank is None else f"rank {self.rank} ({process})"


@dataclass(frozen=True)
class Turns:
    folder: Path
    channel: str

    @contextlib.contextmanager
    def taken(self, reader: Reader) -> Iterator[int]:
        """The epoch that is next, nobody else's meanwhile. Raises PipeModeError if the channel is another's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{self.channel}-pipe_mode-lock").open("w") as lock:
            self._take(lock, reader)
            epoch, last = self._read()
            if last is not None and last != reader and last.lives:
                raise self._shared(last, reader)
            self._write(epoch, reader)
            yield epoch

    def begun(self, reader: Reader, epoch: int) -> None:
        """Now the one after it is next."""
        self._write(epoch + 1, reader)

    def _take(self, lock: TextIO, reader: Reader) -> None:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _, last = self._read()
                if last != reader or time.monotonic() > end:
                    raise self._shared(last, reader) from None
                time.sleep(0.01)
            else:
                return

    def _shared(self, last: Reader | None, reader: Reader) -> PipeModeError:
        if last == reader:
            return PipeModeError(
                f"Channel {self.channel!r} is being read already, by {reader} itself: an epoch is read to its end, or "
                "its iterator is let go of, before the next begins"
            )
        return PipeModeError(
            f"Channel {self.channel!r} has two readers: {last or 'another process'}, and {reader} wants to read it "
            "too. A pipe has one. Give each worker a channel of its own, for example "
            f"{self.channel}_0, {self.channel}_1 and so on, named by its rank; `groundfog shard` prepares them"
        )

    def _read(self) -> tuple[int, Reader | None]:
        try:
            state: dict[str, Any] = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return 0, None
        return state["epoch"], Reader(**state["reader"])

    def _write(self, epoch: int, reader: Reader) -> None:
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_text(json.dumps({"epoch": epoch, "reader": asdict(reader)}))
        new.replace(self._file)

    @property
    def _file(self) -> Path:
        return self.folder / f".{self.channel}-pipe_mode-state"


def _born(process: int) -> str:
    """When it began, in the kernel's words; empty if it is gone, or there is no such file."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
