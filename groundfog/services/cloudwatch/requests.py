"""What the operations' requests have in common: metrics, times, periods, and how they are refused."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from groundfog.engine.errors import Unfit
from groundfog.engine.measurements import Metric, Point, Summary
from groundfog.engine.measurements.statistics import Statistic
from groundfog.engine.measurements.statistics import statistic as named_statistic
from groundfog.wire.refusal import Refusal

_SHORT = (1, 5, 10, 20, 30)
"""Periods that are no multiple of a minute."""


class InvalidValue(Refusal):
    def __init__(self, text: str) -> None:
        super().__init__("InvalidParameterValue", text)


class InvalidCombination(Refusal):
    def __init__(self, text: str) -> None:
        super().__init__("InvalidParameterCombination", text)


class Missing(Refusal):
    def __init__(self, text: str) -> None:
        super().__init__("MissingParameter", text)


@dataclass(frozen=True)
class Span:
    """Seconds since the epoch, from the first up to but not the second, in periods that begin at the first."""

    start: float
    end: float
    period: int

    @classmethod
    def read(cls, start: Any, end: Any, period: int) -> "Span":
        """Begins at a whole minute, or where a shorter period does, so that the point of that minute is in it."""
        if period % 60 and period not in _SHORT:
            raise InvalidValue(
                f"The parameter Period must be {', '.join(map(str, _SHORT))} or a multiple of 60, not {period}."
            )
        first, last = seconds(start), seconds(end)
        if first >= last:
            raise InvalidValue("The parameter StartTime must be less than the parameter EndTime.")
        return cls(first - first % min(period, 60), last, period)

    def whole(self) -> "Span":
        """The same with periods that begin where everybody's do."""
        return Span(self.start - self.start % self.period, self.end, self.period)

    @property
    def length(self) -> int:
        """How many periods."""
        return math.ceil((self.end - self.start) / self.period)

    def beginning(self, moment: float) -> int:
        """Of the period in which this is."""
        return int(moment - (moment - self.start) % self.period)


def metric(named: Any) -> Metric:
    """By `Namespace`, `MetricName` and `Dimensions`."""
    dimensions = [(one["Name"], one["Value"]) for one in named.get("Dimensions", [])]
    if len(dict(dimensions)) < len(dimensions):
        raise InvalidValue("The parameter Dimensions must not name a dimension twice.")
    return Metric(named["Namespace"], named["MetricName"], tuple(dimensions))


def statistic(name: str, parameter: str) -> Statistic:
    try:
        return named_statistic(name)
    except Unfit as unfit:
        raise InvalidValue(f"The value {name} for parameter {parameter} is not supported: {unfit}.") from None


def gathered(points: Iterable[Point], span: Span, *, by_unit: bool) -> dict[tuple[int, str], Summary]:
    """By the beginning of their period and, where that matters, their unit; in the order of time."""
    found: dict[tuple[int, str], Summary] = {}
    for point in points:
        key = (span.beginning(point.at), point.unit if by_unit else "")
        found[key] = found[key] + point.summary if key in found else point.summary
    return found


def seconds(moment: Any) -> float:
    """Since the epoch."""
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
