"""Which metrics there are, and their points.

What is measured within one second (or minute, where nobody needs it finer) is one point, however often it was measured.
With age points flow together, into minutes, then five, then hours, as CloudWatch keeps them:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
"""

import hashlib
import json
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from groundfog.engine.errors import Missing, Unfit
from groundfog.engine.measurements.summary import Summary
from groundfog.engine.state import Database, Row

DAY = 86400
KEPT = ((1, 60, DAY // 8), (60, 300, 15 * DAY), (300, 3600, 63 * DAY))
"""Points of so many seconds become points of so many when they are so old."""
FORGOTTEN = 455 * DAY
_SWEEP_EVERY = 600.0
_BATCH = 500
"""Points that flow together in one transaction."""


@dataclass(frozen=True)
class Metric:
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    """Names and values; in which order they are given makes no difference."""

    @property
    def spelled(self) -> str:
        return json.dumps(sorted(self.dimensions))

    @property
    def id(self) -> str:
        return hashlib.sha256(json.dumps([self.namespace, self.name, self.spelled]).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """`at` is in seconds since the epoch."""

    metric: Metric
    at: float
    summary: Summary
    unit: str = "None"
    fine: bool = False
    """Kept by the second at first, not by the minute."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """What was measured in the `seconds` after `at`."""

    at: int
    seconds: int
    unit: str
    summary: Summary


@dataclass(frozen=True)
class Last:
    value: float
    at: float


@dataclass(frozen=True)
class Bookmark:
    """How far a log stream was searched."""

    group: str
    stream: str
    position: int


@dataclass(frozen=True, kw_only=True)
class Sought:
    """Which metrics to list: all that these do not rule out."""

    namespace: str = ""
    name: str = ""
    dimensions: tuple[tuple[str, str | None], ...] = ()
    """Each has to be there, with this value where one is given."""
    since: float = 0.0
    """Written then or later."""
    after: str = ""
    """The token of the page before."""
    limit: int = 500

    def fits(self, metric: Metric) -> bool:
        has = dict(metric.dimensions)
        return all(name in has and value in (None, has[name]) for name, value in self.dimensions)


@dataclass
class _Points:
    """Points that are about to be written, added up by what they belong to."""

    sums: dict[tuple[str, int, int, str], Summary] = field(default_factory=dict)

    def add(self, metric: str, at: int, seconds: int, unit: str, summary: Summary) -> None:
        key = (metric, at - at % seconds, seconds, unit)
        self.sums[key] = self.sums[key] + summary if key in self.sums else summary


class Measurements:
    def __init__(self, state: Database) -> None:
        self._state = state
        self._swept = 0.0

    def put(self, measured: Collection[Measured], *, read: Bookmark | None = None) -> None:
        """Keep these. With `read`, that is where they were found, and both are kept or neither.

        Raises Missing if that stream is not there.
        """
        points = _Points()
        for one in measured:
            points.add(one.metric.id, int(one.at), 1 if one.fine else 60, one.unit, one.summary)
        try:
            with self._state.transaction() as here:
                for one in _latest(measured):
                    self._write_metric(here, one)
                self._add(here, points)
                if read is not None:
                    self._mark(here, read)
        except self._state.violated:
            raise Missing(read.stream if read else "") from None
        if time.time() - self._swept > _SWEEP_EVERY:
            self.sweep()

    def position(self, group: str, stream: str) -> int:
        """How far the stream was searched."""
        row = self._state.queries.find_bookmark(self._state.here, log_group=group, log_stream=stream)
        return 0 if row is None else int(row["position"])

    def last(self, metric: Metric) -> Last | None:
        """What was measured last, whatever its unit."""
        row = self._state.queries.find_metric(self._state.here, id=metric.id)
        return None if row is None else Last(row["last_value"], row["last_at"])

    def points(self, metric: Metric, start: float, end: float, *, unit: str = "") -> list[Point]:
        """In the order of time, from `start` up to but not `end`; without a unit, those of any."""
        rows = self._state.queries.metric_points(
            self._state.here, metric=metric.id, start=int(start), end=int(end), unit=unit
        )
        return [
            Point(at=row["at"], seconds=row["seconds"], unit=row["unit"], summary=_summary(row)) for row in rows
        ]  # fmt: skip

    def page(self, sought: Sought) -> tuple[list[Metric], str]:
        """In the order of namespace and name, and the token of the next page, or nothing. Raises Unfit for a token
        that is not one of ours."""
        found: list[Metric] = []
        for metric in self._from(sought):
            if len(found) == sought.limit:
                return found, json.dumps([found[-1].namespace, found[-1].name, found[-1].spelled, found[-1].id])
            if sought.fits(metric):
                found.append(metric)
        return found, ""

    def sweep(self, now: float | None = None) -> None:
        """Let what is old flow together, and forget what is very old. Happens by itself every ten minutes."""
        now = self._swept = time.time() if now is None else now
        for seconds, coarser, age in KEPT:
            while self._coarsen(seconds, coarser, now - age):
                pass
        while self._forget(now - FORGOTTEN):
            pass
        self._state.queries.delete_metrics_written_before(self._state.here, before=now - FORGOTTEN)

    def _coarsen(self, seconds: int, coarser: int, before: float) -> bool:
        """Some of them; whether there may be more."""
        with self._state.transaction() as here:
            rows = self._aged(here, seconds, before)
            points = _Points()
            for row in rows:
                points.add(row["metric"], row["at"], coarser, row["unit"], _summary(row))
                self._delete(here, row)
            self._add(here, points)
        return len(rows) == _BATCH

    def _forget(self, before: float) -> bool:
        with self._state.transaction() as here:
            rows = self._aged(here, KEPT[-1][1], before)
            for row in rows:
                self._delete(here, row)
        return len(rows) == _BATCH

    def _aged(self, here: Any, seconds: int, before: float) -> list[Row]:
        return list(self._state.queries.aged_metric_points(here, seconds=seconds, before=int(before), most=_BATCH))

    def _delete(self, here: Any, row: Row) -> None:
        self._state.queries.delete_metric_point(
            here, metric=row["metric"], at=row["at"], seconds=row["seconds"], unit=row["unit"]
        )

    def _write_metric(self, here: Any, one: Measured) -> None:
        self._state.queries.put_metric(
            here,
            id=one.metric.id,
            namespace=one.metric.namespace,
            name=one.metric.name,
            dimensions=one.metric.spelled,
            written=time.time(),
            value=one.summary.high if one.summary.low == one.summary.high else one.summary.total / one.summary.count,
            at=one.at,
        )

    def _mark(self, here: Any, read: Bookmark) -> None:
        self._state.queries.put_bookmark(here, log_group=read.group, log_stream=read.stream, position=read.position)

    def _add(self, here: Any, points: _Points) -> None:
        for (metric, at, seconds, unit), summary in points.sums.items():
            key = {"metric": metric, "at": at, "seconds": seconds, "unit": unit}
            row = self._state.queries.find_metric_point(here, **key)
            whole = summary if row is None else _summary(row) + summary
            self._state.queries.put_metric_point(
                here,
                **key,
                count=whole.count,
                total=whole.total,
                low=whole.low,
                high=whole.high,
                tally=whole.tally_json,
            )

    def _from(self, sought: Sought) -> Iterator[Metric]:
        after = _token(sought.after)
        while True:
            rows = self._state.queries.metrics_after(
                self._state.here,
                namespace=sought.namespace,
                name=sought.name,
                since=sought.since,
                most=_BATCH,
                **dict(zip(("after_namespace", "after_name", "after_dimensions", "after_id"), after, strict=True)),
            )
            rows = list(rows)
            for row in rows:
                yield Metric(row["namespace"], row["name"], tuple(map(tuple, json.loads(row["dimensions"]))))
            if len(rows) < _BATCH:
                return
            after = [rows[-1][column] for column in ("namespace", "name", "dimensions", "id")]


def _latest(measured: Collection[Measured]) -> Collection[Measured]:
    """Of each metric."""
    found: dict[Metric, Measured] = {}
    for one in measured:
        if one.metric not in found or one.at >= found[one.metric].at:
            found[one.metric] = one
    return found.values()


def _summary(row: Row) -> Summary:
    tally = None if row["tally"] is None else {float(value): float(count) for value, count in json.loads(row["tally"])}
    return Summary(row["count"], row["total"], row["low"], row["high"], tally)


def _token(after: str) -> list[str]:
    if not after:
        return ["", "", "", ""]
    try:
        parts = json.loads(after)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or len(parts) != 4 or not all(isinstance(part, str) for part in parts):
        raise Unfit("NextToken is not one that an earlier page gave")
    return parts
