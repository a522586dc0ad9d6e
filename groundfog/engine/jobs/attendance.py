"""What is seen to while the hosts of a job run, and once more when they have ended: metrics, gauges and mirrors."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from groundfog.engine.errors import Missing, Unfit
from groundfog.engine.jobs.documents import job_of
from groundfog.engine.jobs.hosts import Hosts
from groundfog.engine.logs import Logs
from groundfog.engine.measurements import Gauge, Measurements
from groundfog.engine.metrics import FinalMetric, MetricReader
from groundfog.engine.mirrors import Mirroring
from groundfog.engine.objects import Objects
from groundfog.engine.resources import Resource
from groundfog.engine.rounds import Rounds

_METRICS_EVERY, _GAUGES_EVERY, _MIRRORS_EVERY = 0.5, 2.0, 2.0
"""Seconds between two rounds, the mirrors' long enough that a file which is being written is not taken to rest."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attendants:
    """Who can be had for a job."""

    objects: Objects
    logs: Logs
    measurements: Measurements | None
    closing: threading.Event

    def attend(self, resource: Resource, hosts: Hosts) -> "Attendance":
        mirrorings = hosts.mirrorings(self.objects)
        return Attendance(self.closing, self._reader(resource), self._gauges(resource, hosts), mirrorings)

    def _reader(self, resource: Resource) -> MetricReader | None:
        job = job_of(resource)
        if job.metrics is None or self.measurements is None:
            return None
        return MetricReader(
            self.logs, self.measurements, job.metrics, group=job.log_group, job=resource.name, since=resource.created
        )

    def _gauges(self, resource: Resource, hosts: Hosts) -> list[Gauge]:
        if self.measurements is None:
            return []
        return [
            Gauge(directory, hosts.job.log_group, (("Host", f"{resource.name}/{host}"),), self.measurements)
            for host, directory in hosts.named
        ]


class Attendance:
    """Over one job. It goes on wherever an earlier server left off."""

    def __init__(
        self,
        closing: threading.Event,
        reader: MetricReader | None,
        gauges: Sequence[Gauge],
        mirrorings: Sequence[Mirroring],
    ) -> None:
        self._closing, self._reader, self._gauges, self._mirrorings = closing, reader, gauges, mirrorings
        self._metrics, self._usage, self._mirrors = map(Rounds, (_METRICS_EVERY, _GAUGES_EVERY, _MIRRORS_EVERY))

    def look(self) -> None:
        """Returns at once where nothing is due."""
        self._metrics.due(self._read)
        self._usage.due(self._gauge)
        self._mirrors.due(self._send)

    def last_look(self, *, well: bool) -> tuple[FinalMetric, ...]:
        """The hosts have ended, `well` or not: nothing more will come. Raises Unfit where what they left cannot be
        kept."""
        self._read()
        self._gauge()
        for mirroring in (one for one in self._mirrorings if well or not one.at_end):
            try:
                mirroring.send(last=True, interrupted=self._closing.is_set)
            except Missing:
                raise Unfit(f"The bucket where {mirroring.path} is to be kept does not exist any more.") from None
            except OSError as error:
                raise Unfit(f"What the program left in {mirroring.path} cannot be kept: {error}") from None
        return self._reader.last() if self._reader is not None else ()

    def _read(self) -> None:
        if self._reader is not None:
            self._reader.look(self._closing.is_set)

    def _gauge(self) -> None:
        for gauge in self._gauges:
            gauge.look()

    def _send(self) -> None:
        for mirroring in self._mirrorings:
            try:
                mirroring.send(interrupted=self._closing.is_set)
            except (Missing, OSError):
                # It may be better next time; if it is not at the end, the job fails.
                _log.warning("%s cannot be mirrored now", mirroring.path, exc_info=True)
