"""What is seen to while the hosts of a job run, and once more when they have ended."""

import threading
import time
from dataclasses import dataclass

from groundfog.engine.jobs.documents import job_of
from groundfog.engine.logs import Logs
from groundfog.engine.measurements import Measurements
from groundfog.engine.metrics import FinalMetric, MetricReader
from groundfog.engine.resources import Resource

_EVERY = 0.5
"""Seconds between two rounds."""


@dataclass(frozen=True)
class Attendants:
    """Who can be had for a job."""

    logs: Logs
    measurements: Measurements | None
    closing: threading.Event

    def attend(self, resource: Resource) -> "Attendance":
        job = job_of(resource)
        reader = None
        if job.metrics is not None and self.measurements is not None:
            reader = MetricReader(
                self.logs,
                self.measurements,
                job.metrics,
                group=job.log_group,
                job=resource.name,
                since=resource.created,
            )
        return Attendance(self.closing, reader)


class Attendance:
    """Over one job. What it does is done from wherever an earlier server left off."""

    def __init__(self, closing: threading.Event, reader: MetricReader | None) -> None:
        self._closing, self._reader = closing, reader
        self._seen = 0.0

    def look(self) -> None:
        """Returns soon, most times at once."""
        if time.monotonic() - self._seen < _EVERY:
            return
        if self._reader is not None:
            self._reader.look(self._closing.is_set)
        self._seen = time.monotonic()

    def last_look(self) -> tuple[FinalMetric, ...]:
        """The hosts have ended: nothing more will come."""
        if self._reader is None:
            return ()
        self._reader.look(self._closing.is_set)
        return self._reader.last()
