"""What is measured of endpoints: how they are asked, and what their instances take of the machine.

Requests are noted in memory, and written down together every second: a server that is killed loses the last of them.

https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from groundfog.engine.endpoints.replica import Replica
from groundfog.engine.measurements import Gauge, Measured, Measurements, Metric, Summary

INVOCATIONS, INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
"""Namespaces."""
_EVERY = 1.0
_MOST = 1_000_000
"""Requests that wait to be written down, where that is not possible for a while."""

_log = logging.getLogger(__name__)

Seated = tuple[str, str, Replica]
"""An endpoint, one of its variants, and one of its replicas."""


@dataclass(kw_only=True)
class Visit:
    """One request. `since` is when the endpoint was asked, `asked` when the model was, by the monotonic clock."""

    endpoint: str
    variant: str
    instances: int
    since: float
    ended: Callable[["Visit"], None]
    asked: float = field(default_factory=time.monotonic)
    at: int = 0
    """The minute of its end."""
    status: int = 0
    """Of the answer; 0 where there was none."""
    model: float = 0.0
    overhead: float = 0.0
    """Microseconds, without fractions."""

    def end(self, status: int = 0) -> None:
        now = time.monotonic()
        self.at, self.status = int(time.time()) // 60 * 60, status
        self.model = round((now - self.asked) * 1e6)
        self.overhead = round(max(0.0, self.asked - self.since) * 1e6)
        self.ended(self)

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        return _dimensions(self.endpoint, self.variant)


class Ledger:
    """Any thread may begin and end visits."""

    def __init__(self, measurements: Measurements | None) -> None:
        self._measurements, self._started = measurements, time.time()
        self._visits: deque[Visit] = deque(maxlen=_MOST)
        self._gauges: dict[str, Gauge] = {}
        self._writing = threading.Lock()

    def visit(self, endpoint: str, variant: str, instances: int, since: float) -> Visit:
        """The model is asked now."""
        return Visit(endpoint=endpoint, variant=variant, instances=instances, since=since, ended=self._visits.append)

    async def keep(self, seated: Callable[[], Iterable[Seated]]) -> None:
        """For as long as there are endpoints; on the loop that supervises them."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await asyncio.to_thread(self.write, list(seated()))
            except Exception:
                _log.warning("What was measured of endpoints is written down later.", exc_info=True)

    def write(self, seated: Iterable[Seated] = ()) -> None:
        if self._measurements is not None:
            with self._writing:
                self._look_at_gauges(seated, self._measurements)
                self._write_visits(self._measurements)

    def _write_visits(self, measurements: Measurements) -> None:
        visits = [self._visits.popleft() for _ in range(len(self._visits))]
        try:
            if visits:
                measurements.put(list(_measured(visits)))
        except Exception:
            self._visits.extendleft(reversed(visits))
            raise

    def _look_at_gauges(self, seated: Iterable[Seated], measurements: Measurements) -> None:
        gauges: dict[str, Gauge] = {}
        for endpoint, variant, replica in seated:
            gauges[replica.name] = self._gauges.get(replica.name) or Gauge(
                replica.directory, INSTANCES, _dimensions(endpoint, variant), measurements, began=self._started
            )
        self._gauges = gauges
        for gauge in gauges.values():
            gauge.look()


def _dimensions(endpoint: str, variant: str) -> tuple[tuple[str, str], ...]:
    return ("EndpointName", endpoint), ("VariantName", variant)


def _measured(visits: Iterable[Visit]) -> Iterator[Measured]:
    together: dict[tuple[int, tuple[tuple[str, str], ...]], list[Visit]] = {}
    for visit in visits:
        together.setdefault((visit.at, visit.dimensions), []).append(visit)
    for (at, dimensions), same in together.items():
        for name, unit, values in _told(same):
            summary = Summary.counted((value, float(count)) for value, count in Counter(values).items())
            yield Measured(metric=Metric(INVOCATIONS, name, dimensions), at=at, summary=summary, unit=unit)


def _told(visits: list[Visit]) -> Iterator[tuple[str, str, list[float]]]:
    """Names, units, and a value for each."""
    yield "Invocations", "None", [1.0 for _ in visits]
    yield "InvocationsPerInstance", "None", [1 / visit.instances for visit in visits]
    yield "Invocation4XXErrors", "None", [float(400 <= visit.status < 500) for visit in visits]
    yield "Invocation5XXErrors", "None", [float(visit.status >= 500) for visit in visits]
    yield "InvocationModelErrors", "None", [float(not 200 <= visit.status < 300) for visit in visits]
    yield "ModelLatency", "Microseconds", [visit.model for visit in visits]
    yield "OverheadLatency", "Microseconds", [visit.overhead for visit in visits]
