"""What the feeder of a host is told, and what stands in the host's directory because of it.

    feed.json                        which channels, whose share, from where
    input.json                       the same of all channels, where the host is to fetch them itself
    opt_ml/input/data/<channel>_<n>  the FIFO of epoch n, from 0
    feed.failure                     why no more can be fed, in words for the user

A FIFO whose last writer is gone has come to its end, as far as its reader can see; so a feeder that dies would pass for
the end of the data. Therefore the host's agent holds every FIFO open as well from before the first byte to after the
last, and when the feeder is gone before the program, it is the program that the agent ends.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundfog.engine.channels.channel import Channel, Share
from groundfog.opt_ml.layout import Layout

FAILURE = "feed.failure"
_ORDER, _INPUT = "feed.json", "input.json"


@dataclass(frozen=True, kw_only=True)
class Feed:
    """`source` is for `source_of`."""

    source: Mapping[str, Any]
    channels: tuple[Channel, ...]
    share: Share = Share()

    @classmethod
    def read(cls, directory: Path) -> "Feed":
        return cls.parse(json.loads((directory / _ORDER).read_text()))

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "Feed":
        return cls(
            source=document["source"],
            channels=tuple(Channel.read(channel) for channel in document["channels"]),
            share=Share(**document["share"]),
        )

    def write(self, directory: Path, name: str = _ORDER) -> None:
        (directory / name).write_text(json.dumps(asdict(self)))


def order_feed(
    directory: Path, channels: Sequence[Channel], source: Mapping[str, Any], share: Share | None = None
) -> None:
    """Whoever starts a program in the directory then also starts what feeds those of the channels that are pipes."""
    piped = tuple(channel for channel in channels if channel.mode == "Pipe")
    if piped:
        Feed(source=source, channels=piped, share=share or Share()).write(directory)


def order_input(directory: Path, channels: Sequence[Channel], share: Share) -> None:
    """For a host on another machine, which fetches them from a store that whoever starts it names."""
    Feed(source={}, channels=tuple(channels), share=share).write(directory, _INPUT)


def ordered_input(directory: Path) -> dict[str, Any] | None:
    """What `Feed.parse` takes; None if the host has no channels."""
    try:
        document: dict[str, Any] = json.loads((directory / _INPUT).read_text())
    except FileNotFoundError:
        return None
    return document


def command(directory: Path) -> list[str] | None:
    """Just before a program starts: lay the pipes, as if nothing had been read yet, and say how to run their feeder.

    Its standard input is a SEQPACKET socket; see `feeder.py`. None if nothing is to be fed.
    """
    if not (directory / _ORDER).exists():
        return None
    (directory / FAILURE).unlink(missing_ok=True)
    layout = Layout(directory / "opt_ml")
    _forget_epochs(layout)
    for left in [path for path in layout.data.iterdir() if path.is_fifo()]:
        left.unlink()
    for channel in Feed.read(directory).channels:
        make(layout.fifo(channel.name, 0))
    return [sys.executable, "-P", "-m", "groundfog.engine.channels.feeder", str(directory)]


def make(fifo: Path) -> None:
    """To be read by whoever the program is, and written by its owner alone."""
    if not fifo.exists():
        os.mkfifo(fifo, 0o600)
        fifo.chmod(0o644)


def failure(directory: Path) -> str:
    """Why no more could be fed; empty if the feeder did not say."""
    try:
        return (directory / FAILURE).read_text()
    except FileNotFoundError:
        return ""


def fail(directory: Path, reason: str) -> None:
    (directory / FAILURE).write_text(reason)


def _forget_epochs(layout: Layout) -> None:
    """A program that starts again reads from epoch 0, and `opt_ml.pipe` may have noted another."""
    if layout.pipe_state.is_symlink():
        layout.pipe_state.unlink()
    shutil.rmtree(layout.pipe_state, ignore_errors=True)
