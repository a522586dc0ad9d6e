"""Metrics that programs say in their logs, found by regular expressions whose first group is the value.

The expressions are users' and may be hostile, or merely slow: `regex` searches one line for no longer than a moment,
lets the server go on meanwhile, and an expression that lost too much time is given up.
"""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from groundfog.engine.errors import Missing, Unfit
from groundfog.engine.logs import Logs
from groundfog.engine.logs.file import Event, say
from groundfog.engine.logs.store import Span, Stream
from groundfog.engine.measurements import Bookmark, Measured, Measurements, Metric, Summary

MOST_REPEATS = 100_000
"""`regex` writes out a part that is repeated so often: more would take seconds and gigabytes."""
PATIENCE = 0.2
"""Seconds for one line."""
MOST_LOST = 3.0
"""Seconds that an expression may lose on lines that took longer."""
_FORGIVEN = 2e-5
"""Seconds that a line makes good which took no longer: one slow line in ten thousand is no reason to give up."""
_TRIES = 5
_MOST_LINES = 1000
_REPEATS = re.compile(r"\{(\d+)")


@dataclass(frozen=True, kw_only=True)
class MetricDefinitions:
    """What to look for in a job's logs, and as which metrics to keep it."""

    namespace: str
    dimensions: tuple[tuple[str, str], ...]
    expressions: tuple[tuple[str, str], ...]
    """A metric's name, and a regular expression."""

    @classmethod
    def read(cls, document: Mapping[str, Any] | None) -> "MetricDefinitions | None":
        """What `asdict` made of one, also by way of JSON. Until 0.4, expressions by name: nothing was kept of them."""
        if not document or "namespace" not in document:
            return None
        return cls(
            namespace=document["namespace"],
            dimensions=tuple((name, value) for name, value in document["dimensions"]),
            expressions=tuple((name, expression) for name, expression in document["expressions"]),
        )

    def metric(self, name: str) -> Metric:
        return Metric(self.namespace, name, self.dimensions)


@dataclass(frozen=True, kw_only=True)
class FinalMetric:
    """What was said last of one."""

    name: str
    value: float
    at: float
    """Seconds since the epoch."""


def last_metrics(measurements: Measurements, definitions: MetricDefinitions, since: float) -> tuple[FinalMetric, ...]:
    """Of each metric that was said since then, in the order of the definitions."""
    found: dict[str, FinalMetric] = {}
    for name, _ in definitions.expressions:
        last = measurements.last(definitions.metric(name))
        if last is not None and last.at >= since:
            found[name] = FinalMetric(name=name, value=last.value, at=last.at)
    return tuple(found.values())


def check(expression: str) -> None:
    """Raises Unfit, with what is wrong with it."""
    try:
        groups = re.compile(expression).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise Unfit(f"it is no regular expression ({error})") from None
    if not groups:
        raise Unfit("it has no group: what the first pair of parentheses matches is the value")
    if math.prod(max(1, int(number)) for number in _REPEATS.findall(expression)) > MOST_REPEATS:
        raise Unfit(f"its repeats in curly braces multiply to more than {MOST_REPEATS}")
    _Search("", expression)


class _Search:
    """One expression, and the time that it lost."""

    def __init__(self, name: str, expression: str) -> None:
        # Loaded here: most that a server does needs no metrics.
        import regex

        self.name, self._lost = name, 0.0
        try:
            self._compiled = regex.compile(expression, regex.V0)
        except (regex.error, RecursionError, OverflowError) as error:
            raise Unfit(f"it is no regular expression ({error})") from None

    @property
    def given_up(self) -> bool:
        return self._lost >= MOST_LOST

    def value(self, line: str) -> float | None:
        """None where there is none, or no finite number."""
        try:
            found = self._search(line)
            value = float(found[1]) if found and found[1] else math.nan
        except (TimeoutError, MemoryError, ValueError):
            return None
        return value if math.isfinite(value) else None

    def _search(self, line: str) -> Any:
        """Raises TimeoutError where it takes too long by itself, not because others had the processor meanwhile."""
        for _ in range(_TRIES):
            began = time.thread_time()
            try:
                found = self._compiled.search(line, timeout=PATIENCE, concurrent=True)
            except TimeoutError:
                spent = time.thread_time() - began
                self._lost += spent
                if spent > PATIENCE / 2:
                    raise
            else:
                self._lost = max(0.0, self._lost - _FORGIVEN)
                return found
        raise TimeoutError


class MetricReader:
    """Searches the logs of one job's hosts as they grow. Each line counts once, however often a server starts anew."""

    def __init__(
        self,
        logs: Logs,
        measurements: Measurements,
        definitions: MetricDefinitions,
        *,
        group: str,
        job: str,
        since: float,
    ) -> None:
        """The streams are those of the group that are called `JOB/...` and are no older than the job."""
        self._logs, self._measurements, self._definitions = logs, measurements, definitions
        self._group, self._prefix, self._since = group, f"{job}/", since
        self._searches = [_Search(metric, expression) for metric, expression in definitions.expressions]
        self._positions: dict[str, int] = {}

    def look(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        """At what was said since the last look."""
        for stream in self._streams():
            while self._read_on(stream, interrupted):
                pass

    def last(self) -> tuple[FinalMetric, ...]:
        return last_metrics(self._measurements, self._definitions, self._since)

    def _streams(self) -> list[Stream]:
        try:
            streams = self._logs.streams(self._group, prefix=self._prefix)
        except Missing:
            return []
        return [stream for stream in streams if stream.created >= self._since]

    def _read_on(self, stream: Stream, interrupted: Callable[[], bool]) -> bool:
        """Whether there may be more."""
        if stream.name not in self._positions:
            self._positions[stream.name] = self._measurements.position(self._group, stream.name)
        start = self._positions[stream.name]
        try:
            page = self._logs.read(self._group, stream.name, start=start, limit=_MOST_LINES, span=Span())
            found: list[Measured] = []
            for event in page.events:
                if interrupted():
                    return False
                found += self._found(event, stream)
            if found:
                self._measurements.put(found, read=Bookmark(self._group, stream.name, page.after))
        except (Missing, Unfit):
            return False  # The stream was deleted, or is another now.
        self._positions[stream.name] = page.after
        return page.after > start

    def _found(self, event: Event, stream: Stream) -> Iterator[Measured]:
        for search in list(self._searches):
            value = search.value(event.message)
            if value is not None:
                yield Measured(
                    metric=self._definitions.metric(search.name),
                    at=event.timestamp / 1000,
                    summary=Summary.of(value),
                    fine=True,
                )
            if search.given_up:
                self._give_up(search, stream)

    def _give_up(self, search: _Search, stream: Stream) -> None:
        self._searches.remove(search)
        say(
            stream.file,
            f"The metric {search.name} is not looked for any more: its regular expression took longer than {PATIENCE} "
            f"s for each of {MOST_LOST / PATIENCE:.0f} lines. One without nested repeats is faster.",
        )
