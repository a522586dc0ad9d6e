"""What feeds a host's pipes. For the agent: see `__main__.py`; the other end is `engine/channels/feeder.py`."""

import contextlib
import os
import selectors
import socket
import subprocess


class Feeder:
    """The process that writes, and a second hold on what it is writing.

    A reader takes the death of the last writer for the end of the data, so the feeder must not be the last one: it
    hands over each FIFO that it opens, and says when all has been written.
    """

    def __init__(self, command: list[str], selector: selectors.BaseSelector) -> None:
        self._selector, self._held = selector, dict[int, int]()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={"PATH": os.defpath},
                start_new_session=True,
            )
        self._socket.setblocking(False)
        selector.register(self._socket, selectors.EVENT_READ, self._hear)

    def has_ended(self) -> bool:
        """Which by itself it never should."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Once there is no reader any more."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._socket)
        self._socket.close()
        for pipe in self._held.values():
            os.close(pipe)

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            message, pipes, _, _ = socket.recv_fds(self._socket, 32, 1)
            if message[:1] == b"+":
                self._held[int(message[1:])] = pipes[0]
            elif message[:1] == b"-":
                os.close(self._held.pop(int(message[1:])))
            else:
                self._selector.unregister(self._socket)
