"""Several processes that listen on the same sockets: each answers what it accepts; one that is killed is replaced."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def run(count: int, work: Callable[[], None]) -> None:
    """Call `work` in so many forked processes, until SIGTERM, which they get too, or until one ends by itself.

    Raises SystemExit with the code of the first that did. To be called before anything has made threads.
    """
    family = _Family(work)
    signal.signal(signal.SIGTERM, family.stop)
    for _ in range(count):
        family.grow()
    raise SystemExit(family.wait())


class _Family:
    def __init__(self, work: Callable[[], None]) -> None:
        self._work, self._children, self._stopping = work, set[int](), False

    def stop(self, *_: object) -> None:
        self._stopping = True
        for child in list(self._children):
            os.kill(child, signal.SIGTERM)

    def grow(self) -> None:
        # SIGTERM waits until the child is known, or would be lost on it.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        child = os.fork()
        if not child:
            self._begin()
        self._children.add(child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def wait(self) -> int:
        """The exit code, when all are gone."""
        code = 0
        while self._children:
            child, status = os.wait()
            self._children.discard(child)
            if os.WIFSIGNALED(status) and not self._stopping:
                self.grow()
            elif not self._stopping:
                code = os.waitstatus_to_exitcode(status)
                self.stop()
        return code

    def _begin(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        code = 1
        try:
            self._work()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
