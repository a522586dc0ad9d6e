"""What a host takes of the machine, from the file in which its agent writes that down (`launch/agent/usage.py`)."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

from groundfog.engine.measurements.store import Measured, Measurements, Metric
from groundfog.engine.measurements.summary import Summary

_FILE = "usage"
_EVER = ("CPUUtilization", "DiskUtilization")
"""One of them is in every line."""


class Gauge:
    """Over one host. Each line counts once, however often a server starts anew: what is not younger than the last of
    these metrics was counted. Where hosts have them together, that is so only of lines from before this server
    `began`."""

    def __init__(
        self,
        directory: Path,
        namespace: str,
        dimensions: tuple[tuple[str, str], ...],
        measurements: Measurements,
        *,
        began: float = math.inf,
    ) -> None:
        self._file, self._namespace, self._dimensions = directory / _FILE, namespace, dimensions
        self._measurements, self._position = measurements, 0
        known = filter(None, (measurements.last(self._metric(name)) for name in _EVER))
        self._counted = min(began, max((last.at for last in known), default=0.0))

    def look(self) -> None:
        """At what was measured since the last look."""
        lines = self._lines()
        if lines:
            self._measurements.put(list(self._measured(lines)))
            self._position += len(lines)

    def _lines(self) -> bytes:
        """Whole ones."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._position)
                lines = file.read()
        except FileNotFoundError:
            return b""
        return lines[: lines.rfind(b"\n") + 1]

    def _measured(self, lines: bytes) -> Iterator[Measured]:
        for look in _looks(lines):
            at = look.pop("at")
            for name, value in look.items() if at > self._counted else ():
                yield Measured(metric=self._metric(name), at=at, summary=Summary.of(value), unit="Percent")

    def _metric(self, name: str) -> Metric:
        return Metric(self._namespace, name, self._dimensions)


def _looks(lines: bytes) -> Iterator[dict[str, float]]:
    """But for what a full disk or a power cut has left of one."""
    for line in lines.splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)
