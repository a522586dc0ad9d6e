"""What is to be done at a certain time: one thread for all of it."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Clock:
    """`at` a time, since the epoch, something is called that returns soon. Nothing survives the process."""

    def __init__(self, name: str) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def at(self, moment: float, do: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (moment, next(self._numbers), do))
            if not self._thread.is_alive() and not self._closed:
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (do := self._wait()) is not None:
            try:
                do()
            except Exception:
                _log.exception("what was due failed")

    def _wait(self) -> Callable[[], None] | None:
        """What is due, once it is; None at the end."""
        with self._changed:
            while not self._closed:
                left = self._due[0][0] - time.time() if self._due else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._due)[2]
                # Not for longer than an hour: somebody may set the machine's clock.
                self._changed.wait(None if left is None else min(left, 3600))
        return None
