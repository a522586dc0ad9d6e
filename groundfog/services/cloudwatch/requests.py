"""What the operations' requests have in common: metrics, times, periods, and how they are refused."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from groundfog.engine.errors import Unfit
from groundfog.engine.measurements import Metric, Point, Summary
from groundfog.engine.measurements.statistics import Statistic, statistic
from groundfog.wire.refusal import Refusal

_SHORT = (1, 5, 10, 20, 30)


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
        first, last = cls.moment(start), cls.moment(end)
        if first >= last:
            raise InvalidValue("The parameter StartTime must be less than the parameter EndTime.")
        return cls(first - first % min(period, 60), last, period)

    @staticmethod
    def moment(given: Any) -> float:
        """Seconds since the epoch."""
        return given.timestamp() if isinstance(given, datetime) else float(given)

    def whole(self) -> "Span":
        """The same with periods that begin where everybody's do."""
        return Span(self.start - self.start % self.period, self.end, self.period)

    @property
    def length(self) -> int:
        """How many periods."""
        return math.ceil((self.end - self.start) / self.period)

    def holding(self, moment: float) -> int:
        """When the period began in which this is."""
        return int(moment - (moment - self.start) % self.period)


class MetricOf(Metric):
    """A metric as requests name it."""

    @classmethod
    def read(cls, named: Any) -> Metric:
        dimensions = [(one["Name"], one["Value"]) for one in named.get("Dimensions", [])]
        if len(dict(dimensions)) < len(dimensions):
            raise InvalidValue("The parameter Dimensions must not name a dimension twice.")
        return Metric(named["Namespace"], named["MetricName"], tuple(dimensions))


class Wanted:
    """A statistic by the name that a request gives it."""

    @staticmethod
    def read(name: str, parameter: str) -> Statistic:
        try:
            return statistic(name)
        except Unfit as unfit:
            raise InvalidValue(f"The value {name} for parameter {parameter} is not supported: {unfit}.") from None


class Gathered(dict[tuple[int, str], Summary]):
    """Summaries by the beginning of their period and their unit, in the order of time."""

    @classmethod
    def of(cls, points: list[Point], span: Span, *, by_unit: bool) -> "Gathered":
        gathered = cls()
        for point in points:
            key = (span.holding(point.at), point.unit if by_unit else "")
            gathered[key] = gathered[key] + point.summary if key in gathered else point.summary
        return gathered
