"""Feeds the Pipe channels of one host: `python -m groundfog.engine.channels.feeder DIRECTORY`, beside its agent.

A thread for each channel, so that none waits for another. On standard input is a SEQPACKET socket to the agent:

    b"+<number>" and the FIFO's file descriptor   hold it, it is being written
    b"-<number>"                                  let go of it: this was all

When the agent is gone, so is the feeder. What the user can put right is left in `feed.failure`, with exit code 1.
"""

import itertools
import logging
import os
import socket
import sys
import threading
from pathlib import Path

from groundfog.engine.channels.channel import Channel
from groundfog.engine.channels.feed import Feed, fail, make
from groundfog.engine.channels.pouring import pour
from groundfog.engine.channels.source import Item, Source, source_of
from groundfog.engine.errors import Unfit
from groundfog.opt_ml.layout import Layout

_log = logging.getLogger(__name__)


class Feeder:
    def __init__(self, directory: Path, agent: socket.socket) -> None:
        self._directory, self._agent = directory, agent
        self._layout, self._feed = Layout(directory / "opt_ml"), Feed.read(directory)
        self._source: Source[Item] = source_of(self._feed.source)
        self._numbers = itertools.count()

    def run(self) -> None:
        """Until the agent is gone."""
        for channel in self._feed.channels:
            threading.Thread(target=self._serve, args=(channel,), name=channel.name, daemon=True).start()
        self._agent.recv(1)

    def _serve(self, channel: Channel) -> None:
        """Ends with the process: whether a reader will come for another epoch cannot be known."""
        try:
            for epoch in itertools.count():
                self._epoch(channel, epoch)
        except Unfit as unfit:
            fail(self._directory, f"Channel {channel.name!r}: {unfit}")
        except BrokenPipeError:
            os._exit(0)  # The agent is gone; a reader who has had enough is no end of it.
        except BaseException:
            _log.exception("channel %s", channel.name)
        os._exit(1)

    def _epoch(self, channel: Channel, epoch: int) -> None:
        fifo = self._layout.fifo(channel.name, epoch)
        make(fifo)
        pipe = os.open(fifo, os.O_WRONLY)
        number = self._hold(pipe)
        # Before the end of this one is seen, so that a reader who goes on at once finds the next.
        make(self._layout.fifo(channel.name, epoch + 1))
        try:
            pour(self._source, channel, self._feed.share, epoch, pipe)
        except BrokenPipeError:
            pass  # The reader has had enough of this epoch, which is its right.
        fifo.unlink(missing_ok=True)
        os.close(pipe)
        self._agent.send(b"-%d" % number)

    def _hold(self, pipe: int) -> int:
        number = next(self._numbers)
        socket.send_fds(self._agent, [b"+%d" % number], [pipe])
        return number


def main(directory: str) -> None:
    with socket.socket(fileno=os.dup(0)) as agent:
        Feeder(Path(directory), agent).run()
    # Threads wait in open() for readers that do not come any more.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
