"""Something that is due again and again, however often one asks; the longer it takes, the rarer."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Rounds:
    """`every` so many seconds at most, and never for more than a fifth of the time."""

    every: float
    _next: float = field(default_factory=time.monotonic)

    def due(self, do: Callable[[], None]) -> None:
        started = time.monotonic()
        if started >= self._next:
            do()
            now = time.monotonic()
            self._next = now + max(self.every, 4 * (now - started))
